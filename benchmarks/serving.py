"""One model for all tasks beside one model a task: latency and memory.

    python benchmarks/serving.py --workdir=runs/quickstart [--pairs=20]

Takes the best model of a finished run, and for each task the model that is left when
all other heads are cut away: the network that a single-task model of the same design
would be, with the same weights. Each is exported as a SavedModel and called by its
decoded signature, by turns.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "runs/quickstart", "A finished run.")
flags.DEFINE_integer("pairs", 20, "Measurements of each model.")
flags.DEFINE_list("batches", ["1", "32"], "Batch sizes.")


def server(model: p5.MultiTaskModel, folder: str) -> Callable[[tf.Tensor], None]:
    """Exports a model, and returns what answers a request and waits for it."""
    p5.export.saved_model(model, folder)
    loaded = tf.saved_model.load(folder)
    serve, name = loaded.signatures["serving_default"], model.inputs[0].name

    def run(x: tf.Tensor, keep: object = loaded) -> None:
        for value in serve(**{name: x}).values():
            value.numpy()

    return run


def main(argv: list[str]) -> None:
    """Measures and prints a Markdown table."""
    logging.set_verbosity(logging.WARNING)
    model = p5.Workdir(FLAGS.workdir).best_model()
    models = {"all tasks": model}
    for name in model.task_names:
        models[name] = p5.export.submodel(model, [name])
    sizes = [int(size) for size in FLAGS.batches]
    times: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {n: server(m, os.path.join(folder, n)) for n, m in models.items()}
        for size in sizes:
            x = tf.random.uniform([size, *model.input_shape[1:]], 0, 255, seed=0)
            for repeat in range(-2, FLAGS.pairs):
                for name, run in runs.items():
                    start = time.perf_counter()
                    run(x)
                    if repeat >= 0:
                        took = 1e3 * (time.perf_counter() - start)
                        times.setdefault((name, size), []).append(took)
    print(f"| model | parameters | {' | '.join(f'batch {n}, ms' for n in sizes)} |")
    print(f"|---|---|{'---|' * len(sizes)}")
    for name, one in models.items():
        cells = [f"{np.median(times[name, size]):.2f}" for size in sizes]
        print(f"| {name} | {one.count_params():,} | {' | '.join(cells)} |")
    for size in sizes:
        together = np.array(times["all tasks", size])
        alone = np.array([times[name, size] for name in model.task_names])
        print(
            f"\nBatch {size}: all tasks together take "
            f"{np.median(together / alone.sum(0)):.2f} times what the models of one "
            f"task take one after another, {np.median(together / alone.mean(0)):.2f} "
            f"times their mean, {np.median(together / alone.max(0)):.2f} times the "
            "slowest."
        )


if __name__ == "__main__":
    app.run(main)
