"""What a model's tasks lose when it learns one more, on digit_scenes.

python benchmarks/grow.py --epochs=6 --new_epochs=2 --seeds 0 1 2

Trains the quickstart without "count", then adds "count" in three ways: the trunk
frozen, tuned, and tuned while the old tasks are kept by distillation. What learns
"count" sees labels of "count" alone. Prints test metrics of all tasks before and after.
"""

import argparse
import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import p5_keras as p5

WAYS = ("frozen", "tuned", "kept")


def fit(recipe, config, model, source, epochs: int, seed: int) -> None:
    """Trains a model as the recipe would."""
    steps = p5.data.steps_per_epoch(source, config.batch_size)
    optimizer = recipe.optimizer(config, epochs * steps)
    model.compile(optimizer)
    tasks = list(model.tasks)
    batches = p5.data.training(source, tasks, config.batch_size, seed)
    model.fit(batches, epochs=epochs, steps_per_epoch=steps, verbose=0)
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)


def run(seed: int, arguments: argparse.Namespace) -> dict[str, dict]:
    """Returns what changed, by the way and by the metric."""
    keras.utils.set_random_seed(seed)
    recipe = p5.recipe.load("quickstart")
    config = recipe.Config()
    config = dataclasses.replace(config, scenes=arguments.scenes)
    every = recipe.tasks(config)
    sources = [recipe.data(config, every, split) for split in p5.data.SPLITS]
    _, _, test = p5.data.prepare(sources, every, config.batch_size)
    old = [task for task in every if task.name != "count"]
    new = next(task for task in every if task.name == "count")
    model = recipe.model(config, old)
    fit(recipe, config, model, sources[0], arguments.epochs, seed)
    later = dataclasses.replace(config, learning_rate=arguments.learning_rate)
    found = {}
    for way in arguments.ways:
        keras.utils.set_random_seed(seed)
        grown = p5.grow.add_task(model, new)
        learner = p5.grow.learner(
            grown,
            ["count"],
            model if way == "kept" else None,
            frozen=way == "frozen",
            weight=arguments.weight,
        )
        fit(recipe, later, learner, sources[0], arguments.new_epochs, seed + 100)
        found[way] = p5.grow.changes(model, grown, test)
        for key, row in found[way].items():
            print(seed, way, key, {k: round(v, 4) for k, v in row.items()}, flush=True)
    return found


def main() -> None:
    """Prints a table of means and standard deviations over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--new_epochs", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=16_000)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    arguments = parser.parse_args()
    runs = [run(seed, arguments) for seed in arguments.seeds]
    ways = arguments.ways
    print(f"{'metric':20s} {'before':>17s}", *(f"{way:>17s}" for way in ways))
    for key in runs[0][ways[0]]:
        values = [[r[ways[0]][key]["before"] for r in runs]]
        values += [[r[way][key]["after"] for r in runs] for way in ways]
        cells = [f"{np.mean(v):.4f} ± {np.std(v, ddof=len(v) > 1):.4f}" for v in values]
        print(f"{key:20s}", *(f"{cell:>17s}" for cell in cells))


if __name__ == "__main__":
    main()
