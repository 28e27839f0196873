"""What each augmentation costs beside decoding and resizing a JPEG.

    python benchmarks/augment.py [--images=FOLDER] [--count=200] [--rounds=7]

One parallel `map`, as in training. What is measured is the time of the processor, over
all its cores, so that other work on the machine does not count. Rounds are
interleaved. Without a folder JPEGs of noise and gradients
are made in memory. Rows that begin with "Keras" are Keras' layers, called one image at
a time as its documentation has it.
"""

import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_string("images", None, "Folder with JPEGs.")
flags.DEFINE_integer("count", 200, "Images in one measurement.")
flags.DEFINE_integer("rounds", 7, "Interleaved rounds.")
flags.DEFINE_integer("size", 224, "Height and width that images are resized to.")

ROWS = {
    "flip_horizontal": {"flip_horizontal": True},
    "all three flips": {n: True for n in p5.data.GEOMETRY[:3]},
    "zoom": {"zoom": 1.5},
    "rotate": {"rotate": 30},
    "zoom and rotate": {"zoom": 1.5, "rotate": 30},
    "all geometry": {
        "flip_horizontal": True,
        "zoom": (0.8, 1.5),
        "stretch": 1.2,
        "rotate": 30,
        "shear": 10,
        "translate": 0.1,
    },
    "brightness": {"brightness": 0.2},
    "contrast": {"contrast": 0.2},
    "saturation": {"saturation": 0.2},
    "hue": {"hue": 0.1},
    "rand_augment=2": {"rand_augment": 2},
    "erase": {"erase": 0.3},
}
LAYERS = {
    "Keras RandomFlip": lambda: keras.layers.RandomFlip("horizontal"),
    "Keras RandomZoom": lambda: keras.layers.RandomZoom(0.3),
    "Keras RandomRotation": lambda: keras.layers.RandomRotation(1 / 12),
    "Keras RandomHue": lambda: keras.layers.RandomHue(0.1),
    "Keras RandomErasing": lambda: keras.layers.RandomErasing(1.0, scale=(0.02, 0.3)),
    "Keras RandAugment": lambda: keras.layers.RandAugment(num_ops=2),
}


def files() -> list[bytes]:
    """Returns the JPEGs, as many as asked for, over and over if there are fewer."""
    if FLAGS.images:
        paths = sorted(pathlib.Path(FLAGS.images).rglob("*.jp*g"))
        found = [path.read_bytes() for path in paths[: FLAGS.count]]
    else:
        rng = np.random.default_rng(0)
        slope = np.indices((375, 500)).sum(0)[..., None] // 4
        found = [
            tf.io.encode_jpeg(
                ((slope + rng.integers(0, 40, (375, 500, 3))) % 256).astype("uint8")
            ).numpy()
            for _ in range(16)
        ]
    return [found[i % len(found)] for i in range(FLAGS.count)]


def dataset(jpegs: list[bytes], change) -> tf.data.Dataset:
    """Decodes, resizes and changes; hands on one number an image."""

    def one(number, jpeg):
        image = tf.io.decode_jpeg(jpeg, channels=3)
        image = tf.image.resize(image, [FLAGS.size, FLAGS.size])
        image = change(image, tf.stack([tf.constant(0, tf.int64), number]))
        return tf.reduce_mean(image)

    data = tf.data.Dataset.from_tensor_slices(jpegs).enumerate()
    return data.map(one, num_parallel_calls=tf.data.AUTOTUNE).batch(len(jpegs))


def main(argv: list[str]) -> None:
    """Measures and prints."""
    jpegs = files()
    changes = {"decode and resize": lambda image, seed: image}
    for name, arguments in ROWS.items():
        augment = p5.data.Augment([], **arguments)
        changes[name] = lambda x, seed, f=augment: f({"image": x}, seed)["image"]
    for name, make in LAYERS.items():
        layer = make()
        changes[name] = lambda x, seed, f=layer: f(x, training=True)
    sides = {name: dataset(jpegs, change) for name, change in changes.items()}
    times = {name: [] for name in sides}
    for turn in range(-1, FLAGS.rounds):  # the first round warms up
        for name, data in sides.items():
            start = time.process_time()
            data.get_single_element()
            if turn >= 0:
                times[name].append((time.process_time() - start) / len(jpegs))
    base = np.array(times["decode and resize"])
    print(f"{'':22}{'ms an image':>12}{'ratio':>8}  interquartile")
    for name, spent in times.items():
        ratios = np.array(spent) / base
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        cost = 1e3 * np.median(spent)
        print(f"{name:22}{cost:12.2f}{middle:8.2f}  {low:.2f} to {high:.2f}")
    shape = tf.io.decode_jpeg(jpegs[0]).shape
    print(f"{len(jpegs)} JPEGs, the first of {shape}, to {FLAGS.size}x{FLAGS.size};")
    print(f"{FLAGS.rounds} interleaved rounds; ratio to decode and resize alone")


if __name__ == "__main__":
    app.run(main)
