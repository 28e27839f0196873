"""What the input pipeline costs beside bare decoding and resizing of the same files.

    python benchmarks/input.py [--data=FOLDER] [--size=64] [--batch=32] [--pairs=12]

The bare rate is that of `tf.data` with one parallel map that reads, decodes and resizes
a file and keeps one pixel of it. Both sides see the same files on the same cores, in
interleaved pairs of one run: a machine that slows down slows both. Beside the time on
the clock stands the time that all cores spent, which other programs disturb less.
Without `--data` the pictures are made for the occasion.
"""

import os
import pathlib
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5
from p5_keras.data.image_file import EXTENSIONS
from p5_keras.data.records import Field, Problems, Records

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Folder with pictures, at any depth.")
flags.DEFINE_integer("limit", 2000, "Most pictures to read.")
flags.DEFINE_integer("size", 64, "Height and width of the examples, in pixels.")
flags.DEFINE_integer("batch", 32, "Batch size.")
flags.DEFINE_integer("pairs", 12, "Interleaved pairs.")
flags.DEFINE_float("seconds", 1.0, "Duration of one measurement.")
flags.DEFINE_integer("steps", 20, "Training steps in one measurement of waiting.")

#: What augmentation costs is told for each of these.
AUGMENTS = {
    "flip_horizontal": {"flip_horizontal": True},
    "flip_vertical": {"flip_vertical": True},
    "transpose": {"transpose": True},
    "zoom": {"zoom": 1.5},
    "brightness": {"brightness": 0.1},
    "contrast": {"contrast": 0.2},
    "saturation": {"saturation": 0.2},
    "hue": {"hue": 0.05},
}


def make_pictures(folder: pathlib.Path, count: int = 256) -> None:
    """Writes smooth pictures of 500 x 375 pixels with some noise, as JPEG."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (12, 16, 3), dtype="uint8")
        image = np.asarray(Image.fromarray(coarse).resize((500, 375)), "int16")
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255)
        Image.fromarray(image.astype("uint8")).save(folder / f"{i}.jpg", quality=90)


def make_records(folder: pathlib.Path) -> Records:
    """Returns the pictures below a folder, with the number of each as its class."""
    known = {suffix for group in EXTENSIONS.values() for suffix in group}
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in known]
    files = files[:: max(len(files) // FLAGS.limit, 1)][: FLAGS.limit]
    return Records(
        "pictures",
        np.array(["train"] * len(files)),
        {"kind": Field("class", ("even", "odd"))},
        {"kind": np.arange(len(files)) % 2},
        images=np.array([str(file) for file in files]),
        problems=Problems("skip"),
    )


def bare(records: Records) -> tf.data.Dataset:
    """Returns the least that must be done: read, decode and resize each file."""

    def one(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
        image.set_shape([None, None, 3])
        return tf.image.resize(image, (FLAGS.size, FLAGS.size), antialias=True)[0, 0]

    paths = tf.random.Generator.from_seed(0).uniform([len(records)])
    paths = tf.gather(tf.constant(records.images), tf.argsort(paths))
    dataset = tf.data.Dataset.from_tensor_slices(paths).repeat()
    dataset = dataset.map(one, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(FLAGS.batch).prefetch(tf.data.AUTOTUNE)


def measure(dataset: tf.data.Dataset) -> np.ndarray:
    """Returns seconds an example, on the clock and of all cores together."""
    iterator, steps = iter(dataset), 0
    next(iterator)
    start, cores = time.perf_counter(), time.process_time()
    while (clock := time.perf_counter() - start) < FLAGS.seconds:
        next(iterator)
        steps += 1
    del iterator  # ends what is read ahead, which counts too
    cores = time.process_time() - cores
    return np.array([clock, cores]) / (steps * FLAGS.batch)


def interleave(sides: dict, measure_one) -> dict:
    """Measures all sides again and again; the first round warms up."""
    found: dict[str, list] = {name: [] for name in sides}
    for pair in range(-1, FLAGS.pairs):
        names = list(sides) if pair % 2 else list(sides)[::-1]
        for name in names:
            value = measure_one(sides[name])
            if pair >= 0:
                found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def interval(ratios: np.ndarray) -> str:
    """Returns the median and its bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (5000, len(ratios))), axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{np.median(ratios):7.3f} ({low:.3f} to {high:.3f})"


def print_rates(sides: dict, base: str) -> None:
    """Prints the rate of each side and its ratio to that of one of them."""
    found = interleave(sides, measure)
    print(
        f"{'':18}{'examples/s':>11}  {'ratio on the clock':<26}"
        f"{'core µs each':>13}  ratio of core time"
    )
    for name, times in found.items():
        clock, cores = np.median(times, axis=0)
        ratios = [interval(r) for r in (found[base] / times).T]
        print(
            f"{name:18}{1 / clock:11.0f}  {ratios[0]:<26}{1e6 * cores:13.0f}  "
            f"{ratios[1]}"
        )


def print_waiting(sides: dict, tasks: list[p5.Task]) -> None:
    """Prints the share of a training step that is spent waiting for its batch."""
    trunk = p5.trunks.Conv(width=32, depth=2, levels=4)  # that of quickstart
    model = p5.build_model(trunk, tasks, (FLAGS.size, FLAGS.size, 3))
    model.compile("adam")
    step = tf.function(model.train_step)

    def one(dataset: tf.data.Dataset) -> tuple[float, float]:
        iterator, waited = iter(dataset), 0.0
        step(next(iterator))
        start = time.perf_counter()
        for _ in range(FLAGS.steps):
            before = time.perf_counter()
            batch = next(iterator)
            waited += time.perf_counter() - before
            float(step(batch)["loss"])
        return waited, time.perf_counter() - start

    for name, times in interleave(sides, one).items():
        shares = 100 * times[:, 0] / times[:, 1]
        print(
            f"{name:18}{1e3 * np.median(times[:, 1]) / FLAGS.steps:9.1f} ms a step, "
            f"{interval(shares)} % of it waiting"
        )


def main(argv: list[str]) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        cache = os.path.join(folder, "cache")
        data = pathlib.Path(FLAGS.data or folder)
        if not FLAGS.data:
            make_pictures(data)
        records = make_records(data)
        start = time.perf_counter()
        records, summary = p5.data.inspect(records, cache)
        seconds = time.perf_counter() - start
        print(f"{summary}\ninspected at {len(records) / seconds:.0f} pictures/s")
        task = p5.tasks.Classification("kind", class_names=["even", "odd"])
        keras.utils.set_random_seed(0)

        def training(cache_place: str, augment=None) -> tf.data.Dataset:
            source = p5.data.from_records(
                records,
                "train",
                FLAGS.size,
                cache_place,
                channels=3,
                augment=augment,
                cache_dir=cache,
            )
            return p5.data.training(source, [task], FLAGS.batch)

        sides = {f"cache={c}": training(c) for c in ("none", "memory", "disk")}
        print(
            f"\n{FLAGS.size} pixels, batch {FLAGS.batch}, {os.cpu_count()} cores, "
            f"{FLAGS.pairs} pairs of {FLAGS.seconds} s; median and 95% interval"
        )
        print_rates({"bare": bare(records), **sides}, "bare")
        print(f"\ntraining steps of the quickstart trunk, {FLAGS.steps} a measurement")
        print_waiting(sides, [task])
        print("\naugmentation, from memory")
        augments = {
            name: training("memory", p5.data.Augment(**settings))
            for name, settings in AUGMENTS.items()
        }
        print_rates({"none": sides["cache=memory"], **augments}, "none")


if __name__ == "__main__":
    app.run(main)
