"""A comparison as a table for the terminal and as a page."""

import math
import os
import pathlib
import string
from html import escape
from typing import Any

import numpy as np

from p5_keras import report_figures as figures
from p5_keras.atomic import whole
from p5_keras.compare import page_choice
from p5_keras.compare.arms import JOINT, SINGLE
from p5_keras.naming import printable
from p5_keras.report_page import number, scroll, section, table
from p5_keras.verdict import NO, UNKNOWN, YES, answer_of, sign

Json = dict[str, Any]

_NOTE = """<p class="note">Mean ± standard deviation over {seeds} seeds, on test
examples that nothing was chosen by: the best epoch of every run is that of the
validation split. Δm is the mean relative gain over the single-task models, above 0 is
better, over tasks and over all metrics. Rank 1 is the best.</p>"""
_TRAINING = """<p class="note">Operations of training are three times those of the
forward passes, which is what a plain step takes; a gradient method takes more. Seconds
are of the training alone.</p>"""
_WORDS = {YES: "better", NO: "worse", UNKNOWN: "no difference found"}
_DIFFERENCES = """<p class="note">Differences of the score of the same test example with
the same seed, with a 95% interval for other seeds and other examples of the same kind;
higher is better for every score. Too small to matter is what is below the smallest
difference that counts, which docs/results.md says for each metric. Of many intervals
one in twenty misses by chance.
</p>"""


def leaderboard(found: Json) -> str:
    """Returns a comparison as a plain text table and its verdicts, line by line.

    Args:
        found: What `results.json` of a comparison holds.
    """
    return "\n".join([lines(found), *found["verdicts"]])


def lines(found: Json) -> str:
    """Returns a comparison as a plain text table.

    Args:
        found: What `results.json` of a comparison holds.
    """
    rows = [_head(found, ("^", "v"))]
    for arm, entry in found["arms"].items():
        rows.append([arm, *_cells(found, entry, " +- ")])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    body = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    rule = "-" * max(map(len, body))
    seeds = len(found["seeds"])
    note = (
        f"Mean +- standard deviation over {seeds} seeds, on test; ^ higher is better."
    )
    return "\n".join([body[0], rule, *body[1:], rule, note])


def write(path: str | os.PathLike[str], found: Json) -> None:
    """Writes a comparison as one HTML file that needs nothing else.

    Args:
        path: Where to write it.
        found: What `results.json` of a comparison holds.
    """
    words = "".join(f"<li>{escape(text)}</li>" for text in found["verdicts"])
    failed = "".join(
        f"<li>{escape(arm)}: {escape(why)}</li>"
        for arm, why in found.get("failed", {}).items()
    )
    rows = [
        [f"<b>{escape(arm)}</b>", *map(escape, _cells(found, entry, " ± "))]
        for arm, entry in found["arms"].items()
    ]
    head = [escape(cell) for cell in _head(found, ("↑", "↓"))]
    note = _NOTE.format(seeds=len(found["seeds"]))
    bars = _image(_bars(found), "Differences by task and arm")
    costs = _image(_cost(found), "Δm and cost")
    body = [
        section("What the evidence says", f"<ul>{words}</ul>"),
        section("All arms", scroll(table(head, rows, 1)) + note),
        section("Differences", bars + _differences(found)),
        section("What was chosen", page_choice.choices(found)),
        section("Cost", costs),
        section("Two tasks", _two(found)),
        section("What each model got", _models(found)),
        section("Left out", f"<ul>{failed}</ul>" if failed else ""),
        section("The command", f'<pre class="card">{escape(found["command"])}</pre>'),
    ]
    template = pathlib.Path(__file__).parents[1] / "report_template.html"
    name = pathlib.Path(str(found["recipe"])).stem
    page = string.Template(template.read_text("utf-8")).substitute(
        title=escape(f"{name}: does sharing help?"),
        eyebrow=escape(f"p5_keras comparison {found['date']}"),
        summary=escape(
            f"{len(found['arms'])} arms, {len(found['tasks'])} tasks, "
            f"{len(found['seeds'])} seeds in {found['minutes']:.0f} minutes, "
            f"{found['jobs']} at a time."
        ),
        body="\n".join(body),
    )
    with whole(path) as partial:
        partial.write_text(printable(page, keep="\n\t"), encoding="utf-8")


def _head(found: Json, arrows: tuple[str, str]) -> list[str]:
    tasks = [
        f"{name} {t['primary']} {arrows[t['better'][t['primary']] == 'lower']}"
        for name, t in found["tasks"].items()
    ]
    return [
        "arm",
        *tasks,
        "Δm tasks, %",
        "Δm metrics, %",
        "rank",
        "parameters",
        "MFLOP",
        "training, s",
    ]


def _cells(found: Json, entry: Json, sign: str) -> list[str]:
    tasks = [
        _spread(entry["metrics"][name][t["primary"]], sign)
        for name, t in found["tasks"].items()
    ]
    gains = [_spread(entry["delta_m"][k], sign, 2) for k in ("tasks", "metrics")]
    costs = [
        f"{entry['rank']:.1f}",
        f"{entry['parameters']:,}",
        f"{entry['flops'] / 1e6:,.4g}",
        f"{entry['seconds']:,.0f}",
    ]
    return [*tasks, *gains, *costs]


def _spread(values: list[float | None], sign: str, digits: int = 4) -> str:
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return "–"
    mean = f"{np.mean(known):.{digits}f}"
    return f"{mean}{sign}{np.std(known, ddof=1):.{digits}f}" if known[1:] else mean


def _differences(found: Json) -> str:
    rows = []
    for arm, entry in found["arms"].items():
        for other, by_task in entry["differences"].items():
            for task, d in by_task.items():
                answer = answer_of(d)
                word = _WORDS.get(answer, answer)
                rows.append(
                    [
                        f"<b>{escape(arm)}</b> against {escape(other)}",
                        escape(f"{task}, {found['tasks'][task]['score']}"),
                        f'<span class="chip {answer}">{word}</span>',
                        number(d["mean"], sign="+"),
                        " to ".join(number(d[k], sign="+") for k in ("low", "high")),
                    ]
                )
    head = ["arms", "score of an example", "", "difference", "95% interval"]
    return scroll(table(head, rows, 3)) + _DIFFERENCES if rows else ""


def _models(found: Json) -> str:
    rows = []
    for arm, entry in found["arms"].items():
        for name, model in entry["models"].items():
            steps = np.mean(model["steps"])
            examples = steps * found["batch_size"]
            rows.append(
                [
                    escape(arm),
                    escape(name),
                    f"{steps:,.0f}",
                    f"{np.mean(model['seconds']):,.0f}",
                    f"{3e-12 * model['flops'] * examples:,.2f}",
                    f"{model['parameters']:,}",
                ]
            )
    head = ["arm", "model", "steps", "seconds", "training TFLOP", "parameters"]
    return scroll(table(head, rows, 2)) + _TRAINING


def _image(figure: Any, alt: str) -> str:
    return f'<div class="card">{figures.img(figure, alt)}</div>'


def _bars(found: Json) -> Any:
    """Draws each arm's difference from the single-task models, a panel a task."""
    from matplotlib.figure import Figure

    names = [arm for arm in found["arms"] if arm != SINGLE]
    tasks = list(found["tasks"])
    figure = Figure(
        (2.0 * len(tasks) + 1.2, 0.32 * len(names) + 1.0), 160, layout="constrained"
    )
    panels = figure.subplots(1, len(tasks), sharey=True, squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        for i, arm in enumerate(names):
            d = found["arms"][arm]["differences"].get(SINGLE, {}).get(task)
            if d is None:
                continue
            color = ("#b91c1c", "#78716c", "#15803d")[sign(d) + 1]
            ends = [[d["mean"] - d["low"]], [d["high"] - d["mean"]]]
            axes.errorbar(d["mean"], i, xerr=ends, fmt="o", ms=4, lw=1.5, color=color)
        axes.axvline(0, color="#e7e5e4", lw=1, zorder=0)
        axes.set_title(task, fontsize=8.5, parse_math=False)
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _cost(found: Json) -> Any:
    """Draws Δm over the time of training."""
    points = {
        arm: (entry["seconds"], entry["delta_m"]["tasks"])
        for arm, entry in found["arms"].items()
    }
    return _scatter(points, "training of all models, s", "Δm over tasks, %")


def _two(found: Json) -> str:
    """Draws two tasks' metrics of every arm against each other, if there are two."""
    if len(found["tasks"]) != 2:
        return ""
    (a, first), (b, second) = found["tasks"].items()
    points = {
        arm: (
            entry["metrics"][a][first["primary"]],
            entry["metrics"][b][second["primary"]],
        )
        for arm, entry in found["arms"].items()
    }
    labels = f"{a} {first['primary']}", f"{b} {second['primary']}"
    return _image(_scatter(points, *labels), "Both tasks")


def _scatter(points: dict[str, tuple[Any, Any]], x: str, y: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure((5.2, 3.2), 160, layout="constrained")
    axes = figure.subplots()
    for arm, pair in points.items():
        values = [np.array(np.atleast_1d(v), float) for v in pair]
        means = [float(np.nanmean(v)) for v in values]
        spreads = [float(np.nanstd(v, ddof=1)) if v.size > 1 else 0.0 for v in values]
        color = {SINGLE: "#78716c", JOINT: "#1d4ed8"}.get(arm, "#b45309")
        left, up = means
        axes.errorbar(
            left, up, spreads[1], spreads[0], fmt="o", ms=4, lw=1, color=color
        )
        axes.annotate(
            arm,
            (left, up),
            (5, 4),
            textcoords="offset points",
            fontsize=7.5,
            parse_math=False,
        )
    axes.set_xlabel(x, fontsize=8, parse_math=False)
    axes.set_ylabel(y, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
