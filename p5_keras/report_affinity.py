"""The section of a report on what tasks do to each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from p5_keras import affinity
from p5_keras import report_figures as figures

Json = dict[str, Any]

_NOTE = """<p class="note">Lookahead affinity: the part of the loss of a column's task
that a step on the loss of a row's task takes away, in percent; above 0 it helps. The
cosine is that of the two gradients. Both are means over all epochs.</p>"""


def section(history: Sequence[Json]) -> str:
    """Draws the affinities of all pairs of tasks, as `p5_keras.Affinity` logs them.

    Args:
        history: Logs of each epoch.

    Returns:
        HTML, empty where nothing was measured.
    """
    names, lookahead = affinity.matrix(history, "lookahead")
    return maps(names, lookahead, affinity.matrix(history, "cosine")[1])


def maps(names: Sequence[str], lookahead: np.ndarray, cosine: np.ndarray) -> str:
    """Draws two heat maps, of `(tasks, tasks)` each."""
    if not names:
        return ""
    percent = 100 * lookahead
    largest = float(np.nanmax(np.abs(percent), initial=0.0)) or 1.0
    cards = [
        f'<div class="card"><h3>{title}</h3>{figures.img(figure, title)}</div>'
        for title, figure in (
            ("Lookahead affinity, %", figures.heat_map(percent, names, largest)),
            ("Cosines of the gradients", figures.heat_map(cosine, names)),
        )
    ]
    return f'<div class="grid cards">{"".join(cards)}</div>{_NOTE}'
