"""What an arm chooses before it is trained: settings, or groups of tasks.

A choice is made of trials, runs that measure on validation what others measure on
test. Of many settings those that do best in a short trial get a longer one.
"""

import csv
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from p5_keras import affinity
from p5_keras.compare.arms import TUNED, Arm, Model, group
from p5_keras.compare.grouping import propose
from p5_keras.compare.options import Options
from p5_keras.recipe import Config
from p5_keras.task import Task
from p5_keras.workdir import Workdir

Json = dict[str, Any]
#: Does trials of a length, in parts of a run's steps; each is a name and flags.
#: Returns their folders, `None` for one that failed.
Trials = Callable[[list[tuple[str, tuple[str, ...]]], float], list[Path | None]]

#: Of each round of a search: the part of the settings that are in it, the part of a
#: run's steps that each gets.
ROUNDS = ((1.0, 1 / 8), (1 / 3, 1 / 3))
#: Batches an epoch on which affinities are measured.
BATCHES = 8


def choose(
    arm: Arm, config: Config, tasks: Sequence[Task], options: Options, trials: Trials
) -> Json:
    """Makes the choice of an arm.

    Args:
        arm: An arm that chooses.
        config: The recipe's configuration.
        tasks: The tasks.
        options: How many settings a search tries, and on how many folds.
        trials: Does trials.

    Returns:
        "models", the arguments of each `Model` of the arm; "what", the choice in a
        sentence; and what it was made by: "trials" or "affinity".

    Raises:
        ValueError: No trial came to an end.
    """
    if arm.networks:
        return _grouped(arm, tasks, trials)
    rng = np.random.default_rng(0)
    make = _tuned if arm.name == TUNED else _weights
    settings = make(config, tasks, options.trials, rng)
    return _searched(arm, settings, tasks, options.folds, trials)


def _grouped(arm: Arm, tasks: Sequence[Task], trials: Trials) -> Json:
    """Divides the tasks by affinities that one joint run measures."""
    flags = (*arm.models[0].flags, f"--set=affinity_batches={BATCHES}")
    (folder,) = trials([("affinity", flags)], 1.0)
    if folder is None:
        raise ValueError("the run that measures affinities failed")
    with (folder / "logs" / "history.csv").open() as file:
        rows = [
            {k: float(v) for k, v in row.items() if v and affinity.PREFIX in k}
            for row in csv.DictReader(file)
        ]
    names, lookahead = affinity.matrix(rows, "lookahead")
    groups = propose(lookahead, names, arm.networks)
    _, cosine = affinity.matrix(rows, "cosine")
    return {
        "models": [dataclasses.asdict(group(g)) for g in groups],
        "what": " | ".join(" + ".join(g) for g in groups),
        "affinity": {
            "tasks": names,
            "lookahead": lookahead.tolist(),
            "cosine": cosine.tolist(),
        },
    }


def _searched(
    arm: Arm,
    settings: list[tuple[str, ...]],
    tasks: Sequence[Task],
    folds: int,
    trials: Trials,
) -> Json:
    """Finds the best settings by successive halving.

    With several folds each setting is tried on every one, and counts as their mean.

    Reference:
        Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
        Optimization, AISTATS 2016.
    """
    model, done = arm.models[0], []
    parts: list[tuple[str, tuple[str, ...]]] = [("", ())]
    if folds > 1:
        parts = [(f"_fold_{k}", (f"--fold={k}",)) for k in range(folds)]
    left = list(range(len(settings)))
    for number, (part, fraction) in enumerate(ROUNDS):
        left = left[: max(1, math.ceil(part * len(settings)))]
        wanted = [
            (f"{i}_round_{number}{name}", (*model.flags, *settings[i], *flags))
            for i in left
            for name, flags in parts
        ]
        folders = trials(wanted, fraction)
        skills: dict[int, float] = {}
        for place, i in enumerate(left):
            own = folders[place * len(parts) : (place + 1) * len(parts)]
            skills[i] = -math.inf
            if None in own:  # a rate that was too high, for instance
                continue
            trial = _measured([folder for folder in own if folder], tasks)
            if trial["val_skill"] is not None:
                skills[i] = trial["val_skill"]
            done.append({"flags": settings[i], "round": number, **trial})
        left = [i for i in left if skills[i] > -math.inf]
        left.sort(key=lambda i: -skills[i])
        if not left:
            raise ValueError("every trial failed")
    best = settings[left[0]]
    chosen = Model(model.name, model.tasks, (*model.flags, *best))
    what = "the recipe's own" if left[0] == 0 else ", ".join(map(_plain, best))
    what += f", the best of {len(settings)}"
    if folds > 1:
        what += f" by {folds}-fold cross-validation"
    models = [dataclasses.asdict(chosen)]
    return {"models": models, "what": what, "trials": done}


def _measured(folders: Sequence[Path], tasks: Sequence[Task]) -> Json:
    """Returns what trials of one setting measured, the mean over its folds.

    Returns:
        "val_skill", the "val" of each task's primary metric, "steps", and "spread",
        the standard deviation of `val_skill`; `None` for what was not measured.
    """
    runs = [Workdir(path).results() for path in folders]
    skills = [run["train"]["val_skill"] for run in runs]
    values = {
        t.name: [run["tasks"][t.name]["metrics"][t.primary]["val"] for run in runs]
        for t in tasks
    }
    several = len(runs) > 1 and None not in skills
    return {
        "val_skill": _mean(skills),
        "spread": float(np.std(skills, ddof=1)) if several else None,
        "steps": round(np.mean([run["train"]["steps"] for run in runs])),
        "val": {name: _mean(own) for name, own in values.items()},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean, `None` where a value is missing."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _plain(flag: str) -> str:
    return flag.removeprefix("--set=").removeprefix("--")


def _tuned(
    config: Config, tasks: Sequence[Task], count: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Returns the recipe's own settings, and random ones around them."""
    drops = hasattr(config.trunk, "dropout")
    found: list[tuple[str, ...]] = [()]
    while len(found) < count:
        rate = config.learning_rate * 10 ** rng.uniform(-0.75, 0.75)
        flags = [f"--learning_rate={rate:.3g}"]
        flags.append(f"--set=weight_decay={10 ** rng.uniform(-5, -0.5):.2g}")
        if drops:
            flags.append(f"--set=trunk.dropout={rng.choice([0.0, 0.1, 0.2, 0.4])}")
        found.append(tuple(flags))
    return found


def _weights(
    config: Config, tasks: Sequence[Task], count: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Returns the tasks' own weights, and random ones of the same sum."""
    own = np.array([task.loss_weight for task in tasks])
    found: list[tuple[str, ...]] = [()]
    while len(found) < count:
        weights = own * 10 ** rng.uniform(-1, 1, len(own))
        weights *= own.sum() / weights.sum()
        pairs = zip(tasks, weights, strict=True)
        text = ",".join(f"{task.name}={w:.3g}" for task, w in pairs)
        found.append((f"--set=loss_weights={text}",))
    return found
