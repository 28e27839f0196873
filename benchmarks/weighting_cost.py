"""What a weighting costs: a training step beside the plain one of the same model.

    python benchmarks/weighting_cost.py [--tasks=2,8] [--methods=FAMO,NashMTL] \
        [--set gradients=features] [--set update_every=10] [--network=small]
    python benchmarks/weighting_cost.py --solve [--tasks=8,40]
    python benchmarks/weighting_cost.py --torchjd [--tasks=2,8]

The network has six 3x3 convolutions of 32 to 128 channels with batch normalisation, on
32x32 pictures, and one classifier a task; "small" is a dense network on vectors. Pairs
are interleaved in one run, so a machine that slows down slows both sides. `--set`
changes a parameter of the methods that have it. `--solve` times `step()` alone, with
Gram matrices of random gradients: the shortest of 100 calls, and the median, which
other work on the machine lengthens. `--torchjd` does the same for TorchJD on the same
network in PyTorch, against PyTorch's own plain step, where both are installed.
"""

import ast
import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from interleaved import interval, seconds, steps
from keras import layers

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5
from p5_keras.weighting import Clock, GramWeighting, Weighting

FLAGS = flags.FLAGS
flags.DEFINE_list("tasks", ["2", "4", "8", "16", "32"], "Numbers of tasks.")
flags.DEFINE_list("methods", [], "Names from `p5_keras.weighting`; all if empty.")
flags.DEFINE_multi_string("set", [], "Parameter of the methods, name=value.")
flags.DEFINE_enum("network", "conv", ["conv", "small"], "Which network.")
flags.DEFINE_integer("pairs", 10, "Interleaved pairs.")
flags.DEFINE_integer("steps", 1, "Steps in one measurement; `update_every` at least.")
flags.DEFINE_integer("batch_size", 64, "Examples in a batch.")
flags.DEFINE_integer("threads", 2, "Threads of TensorFlow or PyTorch.")
flags.DEFINE_bool("solve", False, "Time `step()` alone.")
flags.DEFINE_bool("torchjd", False, "Measure TorchJD.")

#: Channels and strides of the convolutions.
CONVOLUTIONS = ((32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1))
CLASSES = 10
Sides = tuple[Callable[[], None], Callable[[], None]]


def build(count: int, weighting: Weighting | None) -> p5.MultiTaskModel:
    """Builds and compiles one side."""
    keras.utils.set_random_seed(0)
    if FLAGS.network == "small":
        inputs = keras.Input((32,))
        vector = layers.Dense(64, "relu")(layers.Dense(64, "relu")(inputs))
    else:
        inputs = x = keras.Input((32, 32, 3))
        for width, stride in CONVOLUTIONS:
            x = layers.Conv2D(width, 3, stride, "same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        vector = layers.GlobalAveragePooling2D()(x)
    tasks = [
        p5.tasks.Classification(f"task{t}", num_classes=CLASSES, label=f"task{t}")
        for t in range(count)
    ]
    outputs = {t.name: layers.Dense(CLASSES, name=t.name)(vector) for t in tasks}
    model = p5.MultiTaskModel(inputs, outputs, tasks=tasks)
    model.compile(keras.optimizers.Adam(1e-3), weighting=weighting)
    return model


def batch(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draws one batch."""
    rng, size = np.random.default_rng(0), FLAGS.batch_size
    shape = (32,) if FLAGS.network == "small" else (32, 32, 3)
    x = rng.normal(size=(size, *shape)).astype("float32")
    labels = rng.integers(0, CLASSES, (count, size)).astype("int32")
    return x, {f"task{t}": y for t, y in enumerate(labels)}


def make(name: str) -> Weighting:
    """Makes a method with the parameters of `--set` that it has."""
    kind = getattr(p5.weighting, name)
    known = {f.name for f in dataclasses.fields(kind)}
    given: dict[str, Any] = {"primary": "task0"} if "primary" in known else {}
    for one in FLAGS.set:
        key, _, value = one.partition("=")
        if key in known:
            try:
                given[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                given[key] = value
    return kind(**given)


def all_methods() -> list[str]:
    """Names of all methods of the package."""
    found = []
    for name in p5.weighting.__all__:
        kind = getattr(p5.weighting, name)
        base = kind in (Weighting, GramWeighting)
        if isinstance(kind, type) and issubclass(kind, Weighting) and not base:
            found.append(name)
    return found


def ours(count: int, method: Weighting) -> tuple[Sides, int]:
    """Prepares both sides, and returns how many steps one measurement has."""
    data = tf.data.Dataset.from_tensors(batch(count)).cache()
    length = max(FLAGS.steps, getattr(method, "update_every", 1))
    sides = tuple(steps(build(count, w), data, length) for w in (method, None))
    return sides, length  # type: ignore[return-value]


def solve_time(count: int, method: Weighting) -> np.ndarray:
    """Returns milliseconds of `step()` by itself, in 100 calls."""
    rows = np.random.default_rng(0).normal(size=(count, 2 * count))
    rows *= 10 ** np.random.default_rng(1).uniform(-1, 1, (count, 1))
    gram = tf.constant(rows @ rows.T)
    state = method.start([f"task{t}" for t in range(count)])
    present = tf.ones(count, tf.bool)
    clock = Clock(tf.constant(0, tf.int64), tf.constant(0, tf.int64))
    seed = tf.constant([0, 0], tf.int64)

    @tf.function
    def solve(gram: Any, losses: Any, state: Any) -> Any:
        return method.step(losses, gram, present, clock, seed, state)

    losses = tf.ones(count, gram.dtype)
    state = {name: tf.constant(value) for name, value in state.items()}

    def run() -> None:
        solve(gram, losses, state)[0].numpy()

    return 1e3 * seconds((run, run), 50).ravel()


def main(argv: list[str]) -> None:
    """Measures and prints a Markdown table."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    names = FLAGS.methods or all_methods()
    counts = [int(count) for count in FLAGS.tasks]
    if FLAGS.torchjd:
        import torchjd_cost

        names = FLAGS.methods or torchjd_cost.METHODS
        convolutions = CONVOLUTIONS if FLAGS.network == "conv" else ()
    columns = [f"T = {count}" for count in counts]
    print(f"| method | {' | '.join(columns)} |\n|---{'|---' * len(counts)}|")
    plain: dict[int, list[float]] = {count: [] for count in counts}
    for name in names:
        cells = []
        for count in counts:
            method = None if FLAGS.torchjd else make(name)
            if FLAGS.solve:
                if isinstance(method, GramWeighting):
                    found = solve_time(count, method)
                    cells.append(f"{found.min():.2f} ({np.median(found):.2f}) ms")
                continue
            if method is None:
                settings = (convolutions, CLASSES, FLAGS.threads)
                sides, length = torchjd_cost.sides(name, batch(count), *settings), 1
            else:
                sides, length = ours(count, method)
            times = seconds(sides, FLAGS.pairs) / length
            plain[count].append(1e3 * float(np.median(times[1])))
            ratio, low, high = interval(times[0] / times[1])
            cells.append(f"{ratio:.2f} ({low:.2f} to {high:.2f})")
            keras.backend.clear_session()
        if cells:
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for count, found in plain.items():
        if found:
            print(f"\nPlain step, T = {count}: {np.median(found):.1f} ms (median).")
    if FLAGS.solve:
        return
    print(
        f"\n{FLAGS.pairs} pairs, batch {FLAGS.batch_size}, {FLAGS.threads} threads, "
        f"network {FLAGS.network}, set {FLAGS.set}."
    )


if __name__ == "__main__":
    app.run(main)
