"""The numbers of a finished run, measured once on the test split."""

import datetime
import math
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras import cost, evaluation, report
from p5_keras.data import Source, by_source
from p5_keras.model import MultiTaskModel
from p5_keras.plan import Plan
from p5_keras.state_files import Progress
from p5_keras.verdict import beats_trivial, smallest_difference
from p5_keras.workdir import versions

Json = dict[str, Any]


def show(
    model: MultiTaskModel,
    dataset: tf.data.Dataset,
    parts: Mapping[str, tf.data.Dataset],
) -> None:
    """Prints all metrics on a dataset, and by source for a mixture of several.

    Args:
        model: A trained model.
        dataset: Batches `(x, y, sample_weight)`.
        parts: Those of each source, as `data.by_source` makes them.
    """
    for key, value in model.evaluate(dataset, return_dict=True, verbose=0).items():
        print(f"{key:32s} {value:.4f}")
    for source, by_task in evaluation.by_source(model, parts).items():
        for task, metrics in by_task.items():
            for name, value in metrics.items():
                print(f"{source}: {f'{task}_{name}':32s} {value:.4f}")


def finish(
    plan: Plan,
    progress: Progress,
    val: tf.data.Dataset,
    test: tf.data.Dataset,
    priors: dict[str, np.ndarray],
    source: Source,
) -> Json:
    """Evaluates the best epoch; writes `results.json`, `scores.npz`, `report.html`.

    Args:
        plan: The plan of the run.
        progress: How training went.
        val: Validation batches.
        test: Test batches; nothing else measures on them.
        priors: Raw outputs of the trivial predictor.
        source: The test examples; a mixture is measured by source as well.

    Returns:
        What `results.json` holds.
    """
    workdir, decided = plan.workdir, plan.decided
    model = workdir.best_model()
    on_val = model.evaluate(val, return_dict=True, verbose=0)
    on_test = model.evaluate(test, return_dict=True, verbose=0)
    trivial = evaluation.trivial_metrics(model.tasks, test, priors)
    scores, confusions, examples, each = evaluation.assess(model, test, priors)
    with workdir.whole("scores.npz") as path:
        np.savez_compressed(path, allow_pickle=False, **each)
    train = {
        "epochs": len(progress.history),
        "steps": progress.step,
        "skipped": len(progress.skipped),
        "examples_per_second": progress.steps_per_second * decided["batch_size"],
        "wall_seconds": progress.seconds,
        "best_epoch": progress.best_epoch,
        "val_skill": progress.best,
    }
    found = results(model, decided, on_val, on_test, trivial, scores, train)
    if parts := by_source(source, list(model.tasks), plan.config.batch_size):
        found["sources"] = evaluation.by_source(model, parts)
    report.write(
        workdir / "report.html",
        config=decided,
        results=found,
        history=progress.history,
        tasks=model.tasks,
        examples=examples,
        confusions=confusions,
        data=workdir.read("data.json"),
    )
    workdir.write("results.json", found)
    return found


def results(
    model: MultiTaskModel,
    decided: Json,
    val: Json,
    test: Json,
    trivial: Json,
    scores: Json,
    train: Json,
) -> Json:
    """Puts the numbers of a run together as `results.json` holds them.

    Args:
        model: The model that was evaluated.
        decided: All that was decided, by name.
        val: Logs of `evaluate` on the validation split.
        test: Logs of `evaluate` on the test split.
        trivial: Logs of the trivial predictor on the test split.
        scores: Paired scores on the test split, by task.
        train: Epochs, steps, speed and time.
    """
    tasks = {}
    for task in model.tasks:
        metrics: Json = {}
        for name, better in task.better.items():
            key = f"{task.name}_{name}"
            values = {
                "test": test.get(key, math.nan),
                "val": val.get(key, math.nan),
                "trivial": trivial.get(key, math.nan),
            }
            smallest = smallest_difference(task, values["trivial"], name)
            metrics[name] = {
                **values,
                "better": better,
                "smallest_difference": smallest,
            }
            empty = [split for split, value in values.items() if math.isnan(value)]
            if empty:
                where = " and ".join(empty)
                metrics[name]["reason"] = f"no label to measure it on in {where}"
        tasks[task.name] = {
            "kind": task.kind,
            "primary": task.primary,
            "metrics": metrics,
            "score": scores[task.name],
        }
        tasks[task.name]["verdict"] = beats_trivial(tasks[task.name])
    return {
        "recipe": decided["recipe"],
        "seed": decided["seed"],
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["python", *sys.argv]),
        **cost.parts(model),
        "objective": {
            "loss_weights": model.loss_weights,
            "trunk_l2": model.trunk_l2,
            "head_l2": model.head_l2,
        },
        "tasks": tasks,
        "train": train,
        "versions": versions(),
    }
