"""Every weighting beside tuned fixed weights and single-task models, over seeds.

    python benchmarks/compare_weightings.py [--seeds=3] [--jobs=2] [--data_dir=FOLDER]

MultiMNIST with the model and the optimizer of `models/multi_mnist.py`, on fewer
training pictures and epochs, so that all of it fits into an hour. With one seed every
run has the same weights to begin with, and the same pictures in the same order. The
learning rate decays to 0 and the last epoch is measured, so nothing is chosen but the
fixed weights: on the validation split, with a seed that is not reported. Weightings
have their default arguments. Each run adds a line to the file of results; one that is
there is not repeated.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import statistics
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
# Processes share the cores; one thread each.
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras
import tensorflow as tf
from absl import app, flags

import p5_keras as p5

FLAGS = flags.FLAGS
flags.DEFINE_integer("seeds", 3, "Seeds of each method, from 1; seed 0 tunes.")
flags.DEFINE_integer("jobs", 2, "Processes.")
flags.DEFINE_integer("epochs", 4, "Epochs of each run.")
flags.DEFINE_integer("examples", 20_000, "Training pictures.")
flags.DEFINE_string("variant", "mnist", "mnist, fashion or fashion_and_mnist.")
flags.DEFINE_string("data_dir", None, "Folder with local copies of the data.")
flags.DEFINE_list("methods", None, "Only these weightings.")
flags.DEFINE_string("out", "runs/compare_weightings.jsonl", "File of results.")

SHARES = (0.2, 0.35, 0.5, 0.65, 0.8)
TASKS = ("left", "right")
PARTS = ("train", "validation", "test")
SOURCES: list[p5.data.Source] = []
#: The rest of the catalogue: no method, or the plain sum, or it needs a main task.
LEFT_OUT = (
    "Weighting",
    "GramWeighting",
    "Clock",
    "Cost",
    "measure",
    "print_cost",
    "CosineGate",
)


def train(method: str, share: float, seed: int, settings: dict) -> dict:
    """Trains one model and measures it.

    Args:
        method: A weighting, or "fixed".
        share: Loss weight of the left task, the right one having the rest of 1; 0 or 1
            is a single-task model.
        seed: Of weights, order and dropout.
        settings: Flags.
    """
    tf.get_logger().setLevel("ERROR")
    recipe = p5.recipe.load("multi_mnist")
    config = p5.recipe.configure(recipe.Config(), [], settings)
    keras.utils.set_random_seed(seed)
    tasks = recipe.tasks(config)
    if not SOURCES:  # read once by each process
        SOURCES.extend(recipe.data(config, tasks, part) for part in PARTS)
    train, val, test = SOURCES
    train = train.first(settings["examples"])
    steps = p5.data.steps_per_epoch(train, config.batch_size)
    model = recipe.model(config, tasks)
    model.compile(
        p5.recipe.default_optimizer(config, steps * config.epochs),
        loss_weights={"left": 2 * share, "right": 2 - 2 * share},
        weighting=None if method == "fixed" else getattr(p5.weighting, method)(),
    )
    model.fit(
        p5.data.training(train, tasks, config.batch_size, seed),
        steps_per_epoch=steps,
        epochs=config.epochs,
        verbose=0,
    )
    found = {"method": method, "share": share, "seed": seed}
    for name, source in (("val", val), ("test", test)):
        batches = p5.data.evaluation(source, tasks, 500)
        logs = model.evaluate(batches, return_dict=True, verbose=0)
        found[name] = {task: logs[f"{task}_accuracy"] for task in TASKS}
    return found


def run_all(runs: list[tuple], settings: dict) -> list[dict]:
    """Does what is not in the file of results yet, and returns all of `runs`."""
    path = pathlib.Path(settings["out"])
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    known = {(r["method"], r["share"], r["seed"]): r for r in map(json.loads, lines)}
    left = [run for run in runs if run not in known]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(settings["jobs"], context) as pool:
        futures = [pool.submit(train, *run, settings) for run in left]
        for future in concurrent.futures.as_completed(futures):
            found = future.result()
            known[found["method"], found["share"], found["seed"]] = found
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps(found), flush=True)
    return [known[run] for run in runs]


def row(name: str, runs: list[dict], base: list[dict]) -> str:
    """Returns a line of the table: means, and the paired difference to the base."""
    cells = []
    for task in TASKS:
        values = [100 * r["test"][task] for r in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells.append(f"{statistics.mean(values):.2f} ± {spread:.2f}")
    pairs = [
        100 * statistics.mean(a["test"][t] - b["test"][t] for t in TASKS)
        for a, b in zip(runs, base, strict=True)
    ]
    spread = statistics.stdev(pairs) if len(pairs) > 1 else 0.0
    cells.append(f"{statistics.mean(pairs):+.2f} ± {spread:.2f}")
    return f"| {name} | {' | '.join(cells)} |"


def main(argv: list[str]) -> None:
    """Runs, and prints a table in Markdown."""
    settings = FLAGS.flag_values_dict()
    names = [n for n in p5.weighting.__all__ if n not in LEFT_OUT]
    names = settings["methods"] or names
    seeds = range(1, settings["seeds"] + 1)
    tuning = run_all([("fixed", share, 0) for share in SHARES], settings)
    best = max(tuning, key=lambda r: sum(r["val"].values()))["share"]
    groups = {
        "equal weights": ("fixed", 0.5),
        f"fixed weights, tuned: {2 * best:g} and {2 - 2 * best:g}": ("fixed", best),
        "left alone": ("fixed", 1.0),
        "right alone": ("fixed", 0.0),
        **{name: (name, 0.5) for name in names if name != "Fixed"},
    }
    wanted = [(*method, seed) for method in groups.values() for seed in seeds]
    found = run_all(list(dict.fromkeys(wanted)), settings)
    by_run = {(r["method"], r["share"], r["seed"]): r for r in found}
    rows = {
        name: [by_run[*method, seed] for seed in seeds]
        for name, method in groups.items()
    }
    left, right = rows.pop("left alone"), rows.pop("right alone")
    single = [
        {"test": {"left": a["test"]["left"], "right": b["test"]["right"]}}
        for a, b in zip(left, right, strict=True)
    ]
    print("| | left | right | mean, less that of equal weights |")
    print("|---|---|---|---|")
    for name, runs in {"two single-task models": single, **rows}.items():
        print(row(name, runs, rows["equal weights"]))


if __name__ == "__main__":
    app.run(main)
