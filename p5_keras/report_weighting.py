"""The section of a report on what a weighting did."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from p5_keras import report_figures as figures
from p5_keras.weighting.diagnostics import PREFIX

Json = dict[str, Any]

_NOTE = """<p class="note">Means over the steps of each epoch in which the weighting
solved: the weights, the norms of the tasks' gradients, the cosine of each pair of
gradients (below 0, two tasks pull the shared parameters apart), the share of pairs in
conflict, and the decimal logarithm of the condition number of the cosines.</p>"""
_PLOTS = (
    ("Weights", "weight/", "linear"),
    ("Norms of the gradients", "norm/", "log"),
    ("Share of pairs in conflict", "conflict", "linear"),
    ("Condition, log₁₀", "condition", "linear"),
)


def weighting(history: Sequence[Json]) -> str:
    """Plots weights, norms and conflicts over epochs, and the cosines as a map.

    Args:
        history: Logs of each epoch.

    Returns:
        HTML, empty without a weighting.
    """
    keys = list(dict.fromkeys(k for row in history for k in row if PREFIX in k))
    cards = []
    for title, kind, scale in _PLOTS:
        lines = {
            key.removeprefix(PREFIX + kind): [row.get(key, np.nan) for row in history]
            for key in keys
            if key.startswith(PREFIX + kind)
        }
        if lines:
            cards.append(_card(title, figures.lines(history, lines, scale)))
    names, matrix = cosines(history)
    if names:
        title = "Cosines of the gradients, mean over epochs"
        cards.append(_card(title, figures.heat_map(matrix, names)))
    return f'{_NOTE}<div class="grid cards">{"".join(cards)}</div>' if cards else ""


def cosines(history: Sequence[Json]) -> tuple[list[str], np.ndarray]:
    """Returns the tasks, and the mean cosine of each pair over all epochs.

    Args:
        history: Logs of each epoch.

    Returns:
        Names, and `(tasks, tasks)` with NaN where no step had both tasks.
    """
    start = f"{PREFIX}cosine/"
    found: dict[tuple[str, str], list[float]] = {}
    for row in history:
        for key in row:
            if key.startswith(start):
                one, other = key.removeprefix(start).split("/")
                found.setdefault((one, other), []).append(row[key])
    names = list(dict.fromkeys(name for pair in found for name in pair))
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for (one, other), values in found.items():
        i, j = names.index(one), names.index(other)
        matrix[i, j] = matrix[j, i] = np.mean(values)
    return names, matrix


def _card(title: str, figure: Any) -> str:
    image = figures.img(figure, title)
    return f'<div class="card"><h3>{escape(title)}</h3>{image}</div>'
