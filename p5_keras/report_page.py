"""The sections of a report, as HTML."""

import json
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from p5_keras import report_figures as figures
from p5_keras.task import Task
from p5_keras.verdict import NO, YES, beats_trivial

Json = dict[str, Any]

_DASH = "–"
_CHIP = {YES: "beats trivial", NO: "not better than trivial"}
_OBJECTIVE = """<p>Training minimises this sum: the loss L of every task times its
weight α, plus λ‖θ‖² over the kernels θ of the trunk and γ‖φ‖² over the kernels φ of
the heads, with λ&nbsp;=&nbsp;{trunk_l2} and γ&nbsp;=&nbsp;{head_l2}. A logged
<code>&lt;task&gt;_loss</code> is the raw mean over the examples that have the task's
label, before α. <code>loss</code> is made of these: each times its α, added up, plus
the two penalties (logged together as <code>l2</code> if not 0), averaged over
steps.</p>"""
_BOLD = """<p class="note">↑ higher is better, ↓ lower is better. In bold: the metric
that stands for its task.</p>"""
_PAIRED = """<p class="note">Model and trivial predictor are scored on the same test
examples; the difference is the mean over examples with its 95% interval, and higher is
better for every score. The trivial predictor knows the training labels and never sees
an input. What matters is the smallest difference that counts, here and in the metric
that stands for the task; see docs/results.md. One answer for every example never
counts.</p>"""


def number(value: float | None, missing: str = _DASH, sign: str = "") -> str:
    """Formats a measured number; what was not measured is `missing`."""
    if value is None or not math.isfinite(value):
        return missing
    if value and abs(value) < 0.001:
        return format(value, f"{sign}.1e")
    digits = 3 if abs(value) < 100 else 1 if abs(value) < 10_000 else 0
    return format(value, f"{sign},.{digits}f")


def summary(results: Json) -> str:
    """Says in one line what the run was."""
    tasks, train = results.get("tasks", {}), results.get("train", {})
    text = f"{_count(len(tasks), 'task')} on one shared trunk"
    if train.get("epochs"):
        time = _duration(train.get("wall_seconds"))
        text += f", trained for {_count(train['epochs'], 'epoch')} in {time}"
    beaten = sum(beats_trivial(task) == "yes" for task in tasks.values())
    if any(task.get("score") for task in tasks.values()):
        text += f". {beaten} of {len(tasks)} shown to beat the trivial predictor"
    return f"{text}."


def section(title: str, body: str) -> str:
    """Puts a heading over a body; nothing over nothing."""
    return f"<section><h2>{title}</h2>\n{body}</section>" if body else ""


def tiles(tasks: Json) -> str:
    """Shows the primary metric of each task, large."""
    cards = []
    for name, task in tasks.items():
        primary, answer = task.get("primary", ""), beats_trivial(task)
        value = task.get("metrics", {}).get(primary, {})
        text = (
            f"<h3>{escape(name)}</h3><b>{number(value.get('test'))}</b>"
            f'<div class="beside">{escape(primary)} {_arrow(value)}<br>'
            f"trivial {number(value.get('trivial'))}</div>"
            f'<span class="chip {answer}">{_CHIP.get(answer, answer)}</span>'
            f"{_reason(value)}"
        )
        cards.append(_card(text, "tile"))
    return _grid("tiles", cards)


def metrics(tasks: Json) -> str:
    """Lists every metric of every task."""
    rows, kinds = [], []
    for name, task in tasks.items():
        owner, kind = f"<b>{escape(name)}</b>", escape(task.get("kind", ""))
        for metric, value in task.get("metrics", {}).items():
            label = f'<span class="key">{escape(metric)} {_arrow(value)}</span>'
            test = f'<span class="key">{number(value.get("test"))}</span>'
            others = [number(value.get(split)) for split in ("val", "trivial")]
            rows.append([owner, label + _reason(value), test, *others, kind])
            primary = "main" if metric == task.get("primary") else ""
            kinds.append(primary if owner else f"{primary} more")
            owner = kind = ""
    head = ["task", "metric", "test", "val", "trivial (test)", "kind"]
    return scroll(table(head, rows, 2, kinds)) + _BOLD if rows else ""


def paired(tasks: Json) -> str:
    """Compares every task with the trivial predictor, example by example."""
    rows = []
    for name, task in tasks.items():
        score, answer = task.get("score") or {}, beats_trivial(task)
        low, high = (number(v, sign="+") for v in score.get("interval", (None, None)))
        rows.append(
            [
                f"<b>{escape(name)}</b>",
                escape(score.get("name", "no labelled example")),
                f'<span class="chip {answer}">{answer}</span>',
                number(score.get("mean")),
                number(score.get("trivial")),
                number(score.get("difference"), sign="+"),
                f"{low} to {high}" if score else _DASH,
                number(score.get("smallest_difference")),
                f"{score.get('examples', 0):,}",
            ]
        )
    head = ["task", "score of an example", "beats the trivial predictor", "model"]
    head += ["trivial", "difference", "95% interval", "matters from", "examples"]
    return scroll(table(head, rows, 3)) + _PAIRED if rows else ""


def objective(results: Json) -> str:
    """Writes the joint objective out, with its numbers."""
    given = results.get("objective", {})
    terms = [
        f"{alpha:g} · <i>L</i><sub>{escape(name)}</sub>"
        for name, alpha in given.get("loss_weights", {}).items()
    ]
    for key, symbol in (("trunk_l2", "θ"), ("head_l2", "φ")):
        if given.get(key):
            terms.append(f"{given[key]:g} · ‖{symbol}‖²")
    if not terms:
        return ""
    rates = {key: f"{given.get(key, 0):g}" for key in ("trunk_l2", "head_l2")}
    formula = f'<div class="card formula"><i>loss</i> = {" + ".join(terms)}</div>'
    return formula + _OBJECTIVE.format(**rates)


def curves(history: Sequence[Json], tasks: Sequence[Task], results: Json) -> str:
    """Plots losses and primary metrics over epochs, a card a task."""
    if not history:
        return ""
    best = results.get("train", {}).get("best_epoch")
    joint = [("joint objective: loss", "loss", None), ("val_skill", "val_skill", None)]
    cards = [_plot(history, joint, best, "All tasks")]
    for task in tasks:
        known = results.get("tasks", {}).get(task.name, {}).get("metrics", {})
        value = known.get(task.primary, {})
        key, trivial = f"{task.name}_{task.primary}", value.get("trivial")
        panels = [
            (f"{task.name}_loss: raw mean", f"{task.name}_loss", None),
            (f"{task.primary} {_arrow(value)}", key, trivial),
        ]
        cards.append(_plot(history, panels, best, task.name))
    note = (
        '<p class="note">val_skill is the mean over tasks of how far the primary '
        "metric on validation has come from trivial (0) to perfect (1). The dotted "
        "line is the epoch where it is best, whose weights are measured here.</p>"
    )
    return note + _grid("cards", cards)


def confusions(matrices: dict[str, np.ndarray], tasks: Sequence[Task]) -> str:
    """Draws confusion matrices."""
    names = {t.name: getattr(t, "class_names", None) for t in tasks}
    cards = []
    for name, matrix in matrices.items():
        matrix = np.asarray(matrix)
        classes = names.get(name) or [str(i) for i in range(len(matrix))]
        plot = figures.confusion(matrix, classes)
        image = figures.img(plot, f"Confusion matrix of {name}")
        cards.append(_card(f"<h3>{escape(name)}</h3>{image}"))
    note = '<p class="note">Test examples; shade is the share of the true class.</p>'
    return note + _grid("cards wide", cards) if cards else ""


def pictures(examples: Sequence[Json], tasks: Sequence[Task]) -> str:
    """Draws predictions beside the truth."""
    cards = []
    for i, example in enumerate(examples):
        figure, truth, found = figures.pair(tasks, example)
        rows = []
        for name in found:
            wrong = figures.differ(example["truth"], example["prediction"], name)
            kind = "wrong" if wrong else ""
            guess = f'<span class="{kind}">{escape(found[name])}</span>'
            if found[name] or truth.get(name):
                rows.append([escape(name), escape(truth.get(name, _DASH)), guess])
        image = figures.img(figure, f"Example {i + 1}") if figure else ""
        both = table(["", "truth", "prediction"], rows, 3) if rows else ""
        cards.append(_card(image + both, "example"))
    note = '<p class="note">The first test examples. Wrong answers are red.</p>'
    return note + _grid("cards", cards) if cards else ""


def run(results: Json) -> str:
    """Lists what the run cost and with what it was made."""
    train = results.get("train", {})
    steps, seconds = train.get("steps"), train.get("wall_seconds")
    facts = {
        "wall time": seconds and _duration(seconds),
        "epochs": train.get("epochs"),
        "best epoch": train.get("best_epoch"),
        "steps": steps and f"{steps:,}",
        "ms / step with validation": steps and number(1e3 * (seconds or 0) / steps),
        "examples / s": number(train.get("examples_per_second"), ""),
        "val_skill": number(train.get("val_skill"), ""),
        "seed": results.get("seed"),
    }
    cards = [
        _card(f"<small>{key}</small><b>{escape(str(value))}</b>", "fact")
        for key, value in facts.items()
        if value not in (None, "")
    ]
    body = _grid("facts", cards)
    if "command" in results:
        body += f'<pre class="card">{escape(results["command"])}</pre>'
    return body + pairs(results.get("versions", {}))


def pairs(values: Json) -> str:
    """Lists names and values; nested ones with a dot between the levels."""

    def lines(key: str, value: Any) -> str:
        if isinstance(value, dict) and value:
            return "".join(lines(f"{key}.{k}", v) for k, v in value.items())
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        return f"<div><dt>{escape(key)}</dt><dd><code>{escape(text)}</code></dd></div>"

    rows = "".join(lines(key, value) for key, value in values.items())
    return _card(f'<dl class="pairs">{rows}</dl>') if rows else ""


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _duration(seconds: float | None) -> str:
    minutes, rest = divmod(round(seconds or 0), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds or 0:.1f} s"


def _arrow(value: Json) -> str:
    return {"higher": "↑", "lower": "↓"}.get(value.get("better", ""), "")


def _reason(value: Json) -> str:
    """Says why a number is missing, where one is."""
    reason = value.get("reason")
    return f"<small>{_DASH} {escape(reason)}</small>" if reason else ""


def _plot(history: Sequence[Json], panels: Any, best: Any, name: str) -> str:
    plot = figures.img(figures.curves(history, panels, best), f"Curves of {name}")
    return _card(f"<h3>{escape(name)}</h3>{plot}")


def _card(body: str, kind: str = "") -> str:
    return f'<div class="card {kind}">{body}</div>'


def _grid(kind: str, cards: list[str]) -> str:
    return f'<div class="grid {kind}">{"".join(cards)}</div>' if cards else ""


def scroll(body: str) -> str:
    """Puts a body on a card that scrolls sideways where it is too wide."""
    return f'<div class="card scroll">{body}</div>'


def table(head: list[str], rows: list[list[str]], words: int, kinds: Any = ()) -> str:
    """Makes a table whose first `words` columns are words and the others numbers."""

    def line(tag: str, cells: list[str], kind: str = "") -> str:
        found = (
            f"<{tag}{' class=num' * (i >= words)}>{cell}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return f'<tr class="{kind}">{"".join(found)}</tr>'

    pairs = zip(rows, kinds or [""] * len(rows), strict=True)
    body = [line("td", row, kind) for row, kind in pairs]
    top = f"<thead>{line('th', head)}</thead>"
    return f"<table>{top}<tbody>{''.join(body)}</tbody></table>"
