"""What a training step costs beside the same network in stock Keras.

    python benchmarks/step_cost.py [--pairs=20] [--steps=10] [--recipe=quickstart]

Both sides have the same layers, optimizer, batches and loss weights, and go through
Keras' own `fit` function. Stock Keras gets its own losses and metrics, and no sample
weights, with which its losses of maps fail; only the detector's loss, which Keras
lacks, is ours on both sides. Pairs are interleaved in one run: a machine that slows
down slows both.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags
from interleaved import interval, seconds, steps

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_integer("pairs", 20, "Interleaved pairs.")
flags.DEFINE_integer("steps", 10, "Steps in one measurement.")
flags.DEFINE_string("recipe", "quickstart", "Recipe to measure.")
flags.DEFINE_string("data_dir", None, "Folder with a local copy of the data.")


def stock_parts(task: p5.Task) -> tuple[keras.losses.Loss, list[keras.Metric]]:
    """Returns what a Keras user would compile the task's output with."""
    losses, metrics = keras.losses, keras.metrics
    if task.kind == "classification":
        return (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            [metrics.SparseCategoricalAccuracy()],
        )
    if task.kind == "regression":
        return losses.MeanSquaredError(), [
            metrics.MeanAbsoluteError(),
            metrics.RootMeanSquaredError(),
        ]
    if task.kind == "segmentation":
        return (
            losses.SparseCategoricalCrossentropy(from_logits=True),
            [
                metrics.MeanIoU(len(task.class_names), sparse_y_pred=False),
                metrics.SparseCategoricalAccuracy(),
            ],
        )
    return task.default_loss(), task.default_metrics()


def build(recipe, config, tasks, stock: bool) -> keras.Model:
    """Builds and compiles one side."""
    keras.utils.set_random_seed(0)
    model = recipe.model(config, tasks)
    optimizer = p5.recipe.default_optimizer(config, 10_000)
    if not stock:
        model.compile(optimizer)
        return model
    parts = {task.name: stock_parts(task) for task in tasks}
    model = keras.Model(model.inputs, dict(model.output))
    model.compile(
        optimizer,
        loss={name: loss for name, (loss, _) in parts.items()},
        loss_weights={task.name: task.loss_weight for task in tasks},
        metrics={name: metric for name, (_, metric) in parts.items()},
    )
    return model


def main(argv: list[str]) -> None:
    """Measures and prints."""
    recipe = p5.recipe.load(FLAGS.recipe)
    config = p5.recipe.configure(recipe.Config(), [])
    if FLAGS.data_dir:
        config = p5.recipe.configure(config, [f"data_dir={FLAGS.data_dir}"])
    tasks = recipe.tasks(config)
    source = recipe.data(config, tasks, "validation")
    batches = p5.data.evaluation(source, tasks, config.batch_size).take(1).cache()
    p5.data.adapt(tasks, batches)
    sides = []
    for stock in (False, True):
        model = build(recipe, config, tasks, stock)
        data = batches.map(lambda x, y, w: (x, y)) if stock else batches
        sides.append(steps(model, data, FLAGS.steps))
    ours, stock_times = seconds(tuple(sides), FLAGS.pairs) / FLAGS.steps
    ratio, low, high = interval(ours / stock_times)
    print(f"p5_keras    {1e3 * np.median(ours):7.1f} ms a step (median)")
    print(f"stock Keras {1e3 * np.median(stock_times):7.1f} ms a step (median)")
    print(
        f"ratio       {ratio:7.3f}, 95% interval {low:.3f} to {high:.3f}, "
        f"{FLAGS.pairs} pairs of {FLAGS.steps} steps, batch {config.batch_size}"
    )


if __name__ == "__main__":
    app.run(main)
