"""The part of a comparison's page on what arms chose before they were trained."""

import itertools
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from p5_keras import affinity, report_affinity
from p5_keras import report_figures as figures
from p5_keras.report_page import number, scroll, table

Json = dict[str, Any]

_TRIALS = """<p class="note">Trials never open the test split: they measure on the
validation split or, with ± the standard deviation over folds, on each fold of the
training split in turn. The best of each round are tried for longer in the next.</p>"""
_FRONT = """<p class="note">Each point is one choice of weights in the first round, on
validation; those that are joined, or ringed, are not beaten on all tasks by another.
</p>"""


def choices(found: Json) -> str:
    """Shows each choice, and what it was made by.

    Args:
        found: What `results.json` of a comparison holds.

    Returns:
        HTML, empty where nothing was chosen.
    """
    parts = []
    for arm, chosen in found.get("chosen", {}).items():
        parts.append(f"<h3>{escape(arm)}: {escape(chosen['what'])}</h3>")
        if "affinity" in chosen:
            measured = chosen["affinity"]
            both = (np.array(measured[kind], float) for kind in affinity.KINDS)
            parts.append(report_affinity.maps(measured["tasks"], *both))
        else:
            if arm == "weights":
                parts.append(_fronts(chosen["trials"], found["tasks"]))
            parts.append(_trials(chosen["trials"], found["tasks"]) + _TRIALS)
    return "".join(parts)


def _trials(trials: Sequence[Json], tasks: Json) -> str:
    rows = [
        [
            escape(" ".join(trial["flags"]) or "the recipe's own"),
            f"{trial['steps']:,}",
            _skill(trial),
            *(number(trial["val"][task]) for task in tasks),
        ]
        for trial in trials
    ]
    head = ["settings", "steps", "val_skill", *(escape(f"{t}, val") for t in tasks)]
    return scroll(table(head, rows, 1))


def _skill(trial: Json) -> str:
    spread = trial.get("spread")
    text = number(trial["val_skill"])
    return text if spread is None else f"{text} ± {number(spread)}"


def _fronts(trials: Sequence[Json], tasks: Json) -> str:
    """Draws the Pareto front over weights, of two or three tasks."""
    trials = [t for t in trials if t["round"] == 0 and None not in t["val"].values()]
    if len(tasks) not in (2, 3) or not trials:
        return ""
    values = np.array([[t["val"][name] for name in tasks] for t in trials], float)
    signs = [1 if t["better"][t["primary"]] == "higher" else -1 for t in tasks.values()]
    front = pareto(values * signs)
    names = [f"{name} {t['primary']}" for name, t in tasks.items()]
    figure = _front_figure(values, front, names)
    return f'<div class="card">{figures.img(figure, "Pareto front")}</div>' + _FRONT


def pareto(values: np.ndarray) -> np.ndarray:
    """Returns which points are not dominated: `(points,)`, of `(points, objectives)`.

    A point is dominated by one that is at least as high in all and higher in one.
    """
    at_least = np.all(values[None] >= values[:, None], axis=2)
    more = np.any(values[None] > values[:, None], axis=2)
    return ~np.any(at_least & more, axis=1)


def _front_figure(values: np.ndarray, front: np.ndarray, names: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    pairs = list(itertools.combinations(range(len(names)), 2))
    figure = Figure((4.2 * len(pairs), 3.2), 160, layout="constrained")
    for axes, (a, b) in zip(
        figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True
    ):
        axes.plot(values[:, a], values[:, b], "o", ms=4, color="#78716c")
        best = values[front]
        best = best[np.argsort(best[:, a])]
        line = "-" if len(names) == 2 else ""
        axes.plot(best[:, a], best[:, b], line + "o", ms=6, mfc="none", color="#1d4ed8")
        axes.set_xlabel(names[a], fontsize=8, parse_math=False)
        axes.set_ylabel(names[b], fontsize=8, parse_math=False)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
