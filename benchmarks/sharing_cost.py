"""What each sharing costs: parameters, operations of a forward pass, time of a step.

    python benchmarks/sharing_cost.py [--rounds=5] [--steps=10] [--recipe=quickstart]

All sharings have the recipe's trunk, tasks and batches, and their default arguments.
Rounds go through all of them in turn, so a machine that slows down slows all; times
are medians over the rounds, and what counts is their ratio to hard sharing.
"""

import dataclasses
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from absl import app, flags

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 5, "Rounds through all sharings.")
flags.DEFINE_integer("steps", 10, "Steps in one measurement.")
flags.DEFINE_integer("batch_size", None, "Batch size. Default: the recipe's.")
flags.DEFINE_string("recipe", "quickstart", "Recipe to measure.")
flags.DEFINE_string("data_dir", None, "Folder with a local copy of the data.")


def main(argv: list[str]) -> None:
    """Prints one line a sharing, in Markdown."""
    del argv
    recipe = p5.recipe.load(FLAGS.recipe)
    given = {"data_dir": FLAGS.data_dir, "batch_size": FLAGS.batch_size}
    config = p5.recipe.configure(recipe.Config(), [], given)
    tasks = recipe.tasks(config)
    source = recipe.data(config, tasks, "validation").first(4 * config.batch_size)
    p5.data.prepare([source] * 3, tasks, config.batch_size)
    batches = p5.data.training(source, tasks, config.batch_size, 0).take(4).cache()
    batches = batches.repeat()  # nothing is read or drawn while the clock runs
    models = {}
    kinds = [getattr(p5.sharing, name) for name in p5.sharing.__all__]
    for kind in kinds:
        if not isinstance(kind, type) or kind is p5.Sharing:
            continue
        if issubclass(kind, p5.Sharing):
            keras.utils.set_random_seed(0)
            changed = dataclasses.replace(config, sharing=kind())
            model = models[kind.__name__] = recipe.model(changed, tasks)
            model.compile(p5.recipe.default_optimizer(changed, 10_000))
            model.fit(batches, steps_per_epoch=2, verbose=0)
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(FLAGS.rounds):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(batches, steps_per_epoch=FLAGS.steps, verbose=0)
            times[name].append((time.perf_counter() - start) / FLAGS.steps)
    hard = np.array(times["Hard"])
    print("| sharing | parameters | shared | MFLOPs | step, to hard | bottleneck |")
    print("|---|---|---|---|---|---|")
    for name, model in models.items():
        shared = sum(int(np.prod(v.shape)) for v in model.shared_variables)
        share = shared / sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        ratio = float(np.median(np.array(times[name]) / hard))
        has = "no" if model.bottleneck is None else "yes"
        print(
            f"| `{name}` | {model.count_params():,} | {share:.0%} "
            f"| {p5.cost.flops(model) / 1e6:.1f} | {ratio:.2f} | {has} |"
        )
    print(f"\nHard: {np.median(hard) * 1e3:.0f} ms a step, batch {config.batch_size}")


if __name__ == "__main__":
    app.run(main)
