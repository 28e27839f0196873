"""What the runs of a comparison say: numbers by arm, and sentences from them."""

import datetime
import math
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from p5_keras.compare.arms import JOINT, SINGLE, TUNED, Arm
from p5_keras.compare.statistics import delta_m, interval, mean_ranks
from p5_keras.task import Task
from p5_keras.verdict import (
    NO,
    SMALL,
    UNKNOWN,
    YES,
    answer_of,
    sign,
    smallest_difference,
)
from p5_keras.workdir import Workdir, versions

Json = dict[str, Any]


def folder(workdir: Workdir, arm: str, model: str, seed: int) -> Path:
    """Returns the folder of a run in that of its comparison."""
    return workdir / "runs" / plain(arm) / model / f"seed_{seed}"


def plain(arm: str) -> str:
    """Returns the name of an arm as that of a folder."""
    return arm.replace("|", "_")


def check(workdir: Workdir) -> None:
    """Checks the files of the runs of a comparison that have finished.

    Raises:
        ValueError: One is damaged.
    """
    for part in ("runs", "trials"):
        for path in sorted((workdir / part).rglob("results.json")):
            run = Workdir(path.parent)
            run.results()
            run.scores()


def gather(
    workdir: Workdir, arms: Sequence[Arm], seeds: Sequence[int], tasks: Sequence[Task]
) -> Json:
    """Puts the results of finished runs together.

    Args:
        workdir: Folder of the comparison.
        arms: Its arms, the single-task models and the joint model among them.
        seeds: Seeds of which every run has finished.
        tasks: The tasks.

    Returns:
        "arms", by name: "models", "parameters", "flops" of a forward pass, "seconds"
        and "steps" of training, "metrics" by task and name over seeds, "delta_m"
        against the single-task models, "rank", and "differences" by the arm that they
        are against and task. "verdicts": sentences. And what it was made with.
    """
    better = {task.name: dict(task.better) for task in tasks}
    found: Json = {}
    scores: dict[str, dict[str, np.ndarray]] = {}
    for arm in arms:
        runs = {
            model: [_run(folder(workdir, arm.name, model.name, s)) for s in seeds]
            for model in arm.models
        }
        found[arm.name] = _sizes(runs)
        metrics: Json = {}
        for model, results in runs.items():
            for task in model.tasks:
                shown = [r["tasks"][task]["metrics"] for r in results]
                metrics[task] = {
                    name: [m[name]["test"] for m in shown] for name in shown[0]
                }
        found[arm.name]["metrics"] = {t.name: metrics[t.name] for t in tasks}
        scores[arm.name] = {
            task: np.stack([_scores(r["folder"], task) for r in results])
            for model, results in runs.items()
            for task in model.tasks
        }
    _compare(found, scores, better, {task.name: task for task in tasks})
    return {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["python", *sys.argv]),
        "seeds": list(seeds),
        "tasks": {
            t.name: {"primary": t.primary, "score": t.score_name, "better": t.better}
            for t in tasks
        },
        "arms": found,
        "verdicts": list(verdicts(found)) if len(seeds) > 1 else [],
        "versions": versions(),
    }


def _run(path: Path) -> Json:
    return {**Workdir(path).results(), "folder": path}


def _scores(path: Path, task: str) -> np.ndarray:
    return np.asarray(Workdir(path).scores()[task], "float64")


def _sizes(runs: dict[Any, list[Json]]) -> Json:
    """Returns what an arm's models are and cost."""
    models: Json = {
        model.name: {
            "tasks": list(model.tasks),
            "flags": list(model.flags),
            "steps": [r["train"]["steps"] for r in results],
            "parameters": _sum(results[0]["parameters"]),
            "flops": _sum(results[0]["flops"]),
            "seconds": [r["train"]["wall_seconds"] for r in results],
        }
        for model, results in runs.items()
    }
    total: Json = {
        key: sum(m[key] for m in models.values()) for key in ("parameters", "flops")
    }
    for key in ("seconds", "steps"):
        total[key] = float(np.mean([m[key] for m in models.values()], axis=1).sum())
    return {"models": models, **total}


def _sum(part: Json) -> int:
    return int(part["trunk"] + part["sharing"] + sum(part["heads"].values()))


def _compare(
    found: Json, scores: Json, better: Json, tasks: Mapping[str, Task]
) -> None:
    """Adds gains, ranks and differences to what is known of each arm."""
    single = found[SINGLE]["metrics"]
    means = {
        arm: {task: float(s.mean()) for task, s in by_task.items() if s.size}
        for arm, by_task in scores.items()
    }
    ranks = mean_ranks(means)
    for arm, entry in found.items():
        seeds = len(next(iter(next(iter(single.values())).values())))
        gains = [
            delta_m(_of_seed(entry["metrics"], i), _of_seed(single, i), better)
            for i in range(seeds)
        ]
        entry["delta_m"] = {k: [g[k] for g in gains] for k in gains[0]}
        entry["rank"], entry["scores"] = ranks[arm], means[arm]
        entry["differences"] = {}
        for other in (SINGLE, JOINT, TUNED):
            if arm in (SINGLE, other) or other not in found or seeds < 2:
                continue
            if (arm, other) == (JOINT, TUNED):  # the other way round is enough
                continue
            entry["differences"][other] = {
                task: {
                    **vars(interval(scores[arm][task] - scores[other][task])),
                    "smallest_difference": smallest_difference(
                        tasks[task], means[other][task]
                    ),
                }
                for task in means[arm]
                if scores[arm][task].shape[1] > 1
            }


def _of_seed(metrics: Json, i: int) -> Json:
    def number(value: float | None) -> float:
        return math.nan if value is None else value

    return {
        task: {name: number(values[i]) for name, values in by_name.items()}
        for task, by_name in metrics.items()
    }


def verdicts(arms: Json) -> Iterable[str]:
    """Says in words what the intervals support, and no more."""
    joint = arms[JOINT]["differences"].get(SINGLE, {})
    for task, difference in joint.items():
        yield _about(task, JOINT, "a model of its own", difference)
        if sign(difference) < 0:
            yield from _what_to_try(task, arms)
    gains = [sign(d) for d in joint.values()]
    wins, losses = gains.count(1), gains.count(-1)
    flops = arms[JOINT]["flops"] / arms[SINGLE]["flops"]
    cost = f"It costs {flops:.2f} of the operations of {len(joint)} models."
    if losses and wins:
        yield f"Sharing helps {wins} and harms {losses} of {len(joint)} tasks. {cost}"
    elif losses:
        yield (
            f"Sharing harms {losses} of {len(joint)} tasks, and no gain is shown. "
            f"{cost}"
        )
    elif wins:
        yield (
            f"Sharing helps {wins} of {len(joint)} tasks, and no harm is shown. {cost}"
        )
    else:
        yield f"No difference is found between sharing and not sharing. {cost}"
    for arm, entry in arms.items():
        for other, what in ((JOINT, "sum"), (TUNED, "tuned sum")):
            if other in entry["differences"]:
                found = _in_words(entry["differences"][other])
                yield f"{arm} against the {what} of the losses: {found}."


def _in_words(differences: Json) -> str:
    answers = {task: answer_of(d) for task, d in differences.items()}
    parts = [
        f"{word} on {', '.join(t for t, a in answers.items() if a == said)}"
        for said, word in ((YES, "better"), (NO, "worse"), (SMALL, SMALL))
        if said in answers.values()
    ]
    return " and ".join(parts) or "no difference found on any task"


def _about(task: str, arm: str, other: str, d: Json) -> str:
    how = {
        YES: "gains on",
        NO: "loses against",
        SMALL: "differs too little to matter from",
        UNKNOWN: "shows no difference from",
    }[answer_of(d)]
    return (
        f"{task}: the {arm} model {how} {other}: {d['mean']:+.4f} "
        f"({d['low']:+.4f} to {d['high']:+.4f})."
    )


def _what_to_try(task: str, arms: Json) -> Iterable[str]:
    """Says what a task that loses by sharing may do, from the other arms."""
    keeps = [
        arm
        for arm, entry in arms.items()
        if arm not in (SINGLE, JOINT)
        and task in entry["differences"][SINGLE]
        and sign(entry["differences"][SINGLE][task]) >= 0
    ]
    if keeps:
        yield f"{task}: no loss is shown with {', '.join(keeps)}."
    else:
        yield (
            f"{task}: to try: a branch of its own (sharing Branching), experts "
            "(--compare=MMoE), a gradient method, a larger loss_weight, or a wider "
            "trunk."
        )
