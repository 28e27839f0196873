"""The figure of MMoE's paper: experts under gates against a shared bottom.

    python benchmarks/mmoe_figure.py [--seeds=100] [--steps=1500] \
        [--plot=docs/figures/mmoe.svg]

`models/synthetic_mmoe.py` at three correlations of its two tasks. A seed is a problem
(weight vectors, examples, noise) and a start of the weights; both models and all
correlations have the same ones, so differences are paired. Both models train for the
same number of steps; for each model and correlation the learning rate is the best of
the paper's three on the validation split, with seeds that are not reported. What is
measured is the last step. Each run adds a line to the file of results; one that is
there is not repeated.
"""

import dataclasses
import json
import os
import pathlib
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
# The layers are too small for two threads to gain anything.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import p5_keras as p5

FLAGS = flags.FLAGS

CORRELATIONS = (0.5, 0.9, 1.0)
RATES = (1e-4, 1e-3, 1e-2)
TUNING = 3  # seeds, from 0; those that are reported come after them
POINTS = 15  # of a curve
ARMS = {
    "shared bottom": {"sharing": None, "trunk": p5.trunks.Dense([113])},
    "MMoE": {},
}
COLORS = {"shared bottom": "#b45309", "MMoE": "#1d4ed8"}


class Trainer:
    """Trains one architecture again and again without tracing it again.

    Args:
        recipe: The module of the recipe.
        arm: Name of the architecture.
        steps: Training steps of each run.
    """

    def __init__(self, recipe: Any, arm: str, steps: int) -> None:
        self.recipe, self.arm, self.stride = recipe, arm, steps // POINTS
        self.config = dataclasses.replace(recipe.Config(), **ARMS[arm])
        self.tasks = recipe.tasks(self.config)
        self.model = recipe.model(self.config, self.tasks)
        self.model.compile(
            recipe.optimizer(self.config, steps), steps_per_execution=self.stride
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = [v.numpy() for v in self.model.optimizer.variables]

    def run(self, correlation: float, rate: float, seed: int) -> dict[str, Any]:
        """Trains from a new start on a new problem, and measures.

        Args:
            correlation: Of the tasks.
            rate: Learning rate.
            seed: Number of the problem, and seed of the start and the order.

        Returns:
            What was run, the curve of mean squared errors on validation, and that on
            the test split; errors are means over both tasks.
        """
        begun = time.process_time()
        config = dataclasses.replace(
            self.config, correlation=correlation, problem=seed, learning_rate=rate
        )
        keras.utils.set_random_seed(seed)
        fresh = self.recipe.model(config, self.tasks)
        self.model.set_weights(fresh.get_weights())
        for variable, value in zip(
            self.model.optimizer.variables, self.start, strict=True
        ):
            variable.assign(value)
        self.model.optimizer.learning_rate = rate
        train, val, test = (
            self.recipe.data(config, self.tasks, split) for split in p5.data.SPLITS
        )
        logs = self.model.fit(
            p5.data.training(train, self.tasks, config.batch_size, seed),
            steps_per_epoch=self.stride,
            epochs=POINTS,
            validation_data=p5.data.evaluation(val, self.tasks, 5000),
            verbose=0,
        ).history
        batches = p5.data.evaluation(test, self.tasks, 5000)
        final = self.model.evaluate(batches, return_dict=True, verbose=0)
        curve = np.mean([logs[f"val_{task.name}_loss"] for task in self.tasks], axis=0)
        return {
            "arm": self.arm,
            "correlation": correlation,
            "rate": rate,
            "seed": seed,
            "steps": self.stride * POINTS,
            "curve": [float(value) for value in curve],
            "test": sum(final[f"{task.name}_loss"] for task in self.tasks) / 2,
            "seconds": time.process_time() - begun,
        }


class Runs:
    """Results by what was run, in memory and in a file.

    Args:
        path: The file, with a line a run.
        steps: Training steps of each run.
    """

    def __init__(self, path: pathlib.Path, steps: int) -> None:
        self.path, self.steps = path, steps - steps % POINTS
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {self._key(**run): run for run in map(json.loads, lines)}
        self.recipe = p5.recipe.load("synthetic_mmoe")
        self.trainers: dict[str, Trainer] = {}

    def get(self, arm: str, correlation: float, rate: float, seed: int) -> Any:
        """Returns a run, which is done now if it is not known."""
        key = self._key(arm, correlation, rate, seed, self.steps)
        if key not in self.known:
            if arm not in self.trainers:
                self.trainers[arm] = Trainer(self.recipe, arm, self.steps)
            found = self.known[key] = self.trainers[arm].run(correlation, rate, seed)
            with self.path.open("a") as file:
                file.write(json.dumps(found) + "\n")
        return self.known[key]

    def _key(self, arm, correlation, rate, seed, steps, **_):
        return arm, correlation, rate, seed, steps


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Returns the mean of `(seeds,)` and the ends of its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = rng.choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def table(found: dict[tuple[str, float], list[dict]], rates: dict) -> str:
    """Returns the errors at each correlation and their paired differences."""
    errors = {key: np.array([r["test"] for r in runs]) for key, runs in found.items()}
    gaps = {p: errors["shared bottom", p] - errors["MMoE", p] for p in CORRELATIONS}
    lines = [
        "| correlation | shared bottom | MMoE | difference, 95 % interval | "
        "learning rates |",
        "|---|---|---|---|---|",
    ]
    for p in CORRELATIONS:
        cells = []
        for arm in ARMS:
            values = errors[arm, p]
            cells.append(f"{values.mean():.4f} ± {values.std(ddof=1):.4f}")
        mean, low, high = mean_interval(gaps[p])
        used = ", ".join(f"{rates[arm, p]:g}" for arm in ARMS)
        cells += [f"{mean:+.4f} ({low:+.4f} to {high:+.4f})", used]
        lines.append(f"| {p:g} | {' | '.join(cells)} |")
    lines += ["", "| | by how much it grows, 95 % interval |", "|---|---|"]
    what = {"the difference": gaps}
    what |= {f"error of {a}": {p: errors[a, p] for p in CORRELATIONS} for a in ARMS}
    for name, values in what.items():
        for low_p, high_p in ((0.9, 1.0), (0.5, 0.9), (0.5, 1.0)):
            mean, low, high = mean_interval(values[low_p] - values[high_p])
            lines.append(
                f"| {name}, from {high_p:g} to {low_p:g} | "
                f"{mean:+.4f} ({low:+.4f} to {high:+.4f}) |"
            )
    return "\n".join(lines)


def draw(found: dict[tuple[str, float], list[dict]], path: pathlib.Path) -> None:
    """Draws errors over steps, errors of all seeds at the end, and differences.

    Args:
        found: Runs by architecture and correlation.
        path: Where to save the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure((9.6, 3.2), layout="constrained")
    curves, ends, gaps = figure.subplots(1, 3, width_ratios=[1.3, 1.1, 0.8])
    styles = dict(zip(CORRELATIONS, ("-", "--", ":"), strict=True))
    rng = np.random.default_rng(0)
    for (arm, p), runs in found.items():
        every = np.array([run["curve"] for run in runs])
        steps = runs[0]["steps"] * np.arange(1, POINTS + 1) / POINTS
        style = {"color": COLORS[arm], "ls": styles[p], "lw": 1.5}
        curves.plot(steps, every.mean(axis=0), label=f"{arm}, {p:g}", **style)
        place = 3 * CORRELATIONS.index(p) + list(ARMS).index(arm)
        values = [run["test"] for run in runs]
        spread = place + rng.uniform(-0.25, 0.25, len(values))
        ends.plot(spread, values, ".", color=COLORS[arm], ms=4, alpha=0.6, mew=0)
        ends.plot([place - 0.35, place + 0.35], [np.mean(values)] * 2, color="black")
    curves.set(yscale="log", xlabel="step", title="validation, mean over seeds")
    curves.legend(fontsize=7, frameon=False)
    ticks = [3 * i + 0.5 for i in range(len(CORRELATIONS))]
    names = [f"{p:g}" for p in CORRELATIONS]
    ends.set(yscale="log", xlabel="correlation", title="test, every seed")
    ends.set_xticks(ticks, names)
    for i, p in enumerate(CORRELATIONS):
        pair = [np.array([r["test"] for r in found[arm, p]]) for arm in ARMS]
        mean, low, high = mean_interval(pair[0] - pair[1])
        gaps.errorbar(i, mean, [[mean - low], [high - mean]], fmt="o", color="black")
    gaps.axhline(0, color="0.7", lw=0.8)
    gaps.set_xticks(range(len(CORRELATIONS)), names)
    gaps.set(
        xlabel="correlation",
        title="shared bottom less MMoE",
        xlim=(-0.5, len(CORRELATIONS) - 0.5),
    )
    curves.set_ylabel("mean squared error")
    for axes in (curves, ends, gaps):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
        axes.tick_params(labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(argv: list[str]) -> None:
    """Tunes, runs, prints two tables in Markdown and draws."""
    tf.get_logger().setLevel("ERROR")
    runs = Runs(pathlib.Path(FLAGS.out), FLAGS.steps)
    pairs = [(arm, p) for arm in ARMS for p in CORRELATIONS]
    rates = {}
    for pair in pairs:
        error = {
            rate: np.mean(
                [runs.get(*pair, rate, s)["curve"][-1] for s in range(TUNING)]
            )
            for rate in RATES
        }
        rates[pair] = min(error, key=error.get)
        print(pair, {rate: f"{value:.4f}" for rate, value in error.items()}, flush=True)
    seeds = range(TUNING, TUNING + FLAGS.seeds)
    found = {pair: [runs.get(*pair, rates[pair], s) for s in seeds] for pair in pairs}
    print(f"\n{table(found, rates)}")
    took = sum(run["seconds"] for run in runs.known.values())
    print(f"\n{len(runs.known)} runs, {took:.0f} s of CPU time.")
    draw(found, pathlib.Path(FLAGS.plot))
    print(f"Figure: {FLAGS.plot}")


if __name__ == "__main__":
    flags.DEFINE_integer("seeds", 100, "Seeds of each model and correlation.")
    flags.DEFINE_integer("steps", 1500, "Training steps of each run.")
    flags.DEFINE_string("out", "runs/mmoe_figure.jsonl", "File of results.")
    flags.DEFINE_string("plot", "runs/mmoe_figure.svg", "The figure.")
    app.run(main)
