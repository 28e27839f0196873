"""The plots and pictures of a report, without pyplot and its global state."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from p5_keras.naming import printable
from p5_keras.task import Task

Json = dict[str, Any]
Fields = dict[str, dict[str, np.ndarray]]

_INK, _SOFT, _LINE = "#1c1917", "#78716c", "#e7e5e4"
_TRAIN, _VAL, _TRIVIAL, _BEST = "#94a3b8", "#1d4ed8", "#b45309", "#15803d"
_PAIR = 2.7  # Width in inches of truth beside prediction.


def img(figure: Any, alt: str) -> str:
    """Returns a figure as an HTML image that carries its own PNG."""
    from html import escape

    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    width = round(figure.get_figwidth() * 96)
    source = f"data:image/png;base64,{data}"
    return f'<img alt="{escape(alt)}" width="{width}" src="{source}">'


def curves(
    history: Sequence[Json],
    panels: Sequence[tuple[str, str, float | None]],
    best: int | None = None,
) -> Any:
    """Plots logs over epochs.

    Args:
        history: Logs of each epoch.
        panels: Title, key of the log and the trivial predictor's value, or `None`.
            The key with "val_" before it is plotted too.
        best: The epoch to mark.

    Returns:
        A Matplotlib figure, panels one below the other.
    """
    figure = _figure(3.9, 1.9 * len(panels) + 0.3, 160, layout="constrained")
    epochs = [row.get("epoch", i + 1) for i, row in enumerate(history)]
    every = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, key, trivial) in zip(every, panels, strict=True):
        lines = {f"val_{key}": (_VAL, "val", 2.0), key: (_TRAIN, "train", 1.5)}
        drawn = []
        for name, (color, label, width) in reversed(lines.items()):
            values = [_float(row.get(name)) for row in history]
            if not np.isfinite(values).any():
                continue
            drawn += [v for v in values if math.isfinite(v)]
            if key.startswith("val_"):
                color, label = _VAL, "val"
            marker = "o" if len(history) < 3 else ""
            axes.plot(epochs, values, color=color, label=label, lw=width, marker=marker)
        if trivial is not None and math.isfinite(trivial):
            axes.axhline(trivial, color=_TRIVIAL, lw=1, ls="--", label="trivial (test)")
        elif key.endswith("loss") and 0 < 30 * min(drawn, default=0) < max(drawn):
            axes.set_yscale("log")
        if best:
            axes.axvline(best, color=_BEST, lw=1.2, ls=":", label=f"best, epoch {best}")
        _plain(axes, title)
        if len(history) < 3:  # else the ticks would be fractions of an epoch
            axes.set_xlim(epochs[0] - 1, epochs[-1] + 1)
    every[-1].set_xlabel("epoch", fontsize=8, color=_SOFT)
    keys: dict[str, Any] = {}
    for axes in every:
        handles, labels = axes.get_legend_handles_labels()
        keys |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(keys.values()),
        list(keys),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=7.5,
        labelcolor=_SOFT,
        handlelength=1.6,
        columnspacing=1.2,
    )
    return figure


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Any:
    """Draws a confusion matrix.

    Args:
        matrix: Counts `(classes, classes)`, a row for each true class.
        names: Names of the classes.

    Returns:
        A Matplotlib figure.
    """
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(2.1 + 0.32 * len(matrix), 7.5)
    figure = _figure(side, side, 170, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    step = -(-len(matrix) // 30)
    ticks = range(0, len(matrix), step)
    labels = [printable(names[i]) if i < len(names) else str(i) for i in ticks]
    turn = 0 if max(map(len, labels)) < 4 else 90
    axes.set_xticks(ticks, labels, fontsize=8, rotation=turn, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=8, parse_math=False)
    axes.set_xlabel("predicted", fontsize=8.5, color=_SOFT)
    axes.set_ylabel("true", fontsize=8.5, color=_SOFT)
    axes.tick_params(length=0, colors=_INK)
    axes.spines[:].set_color(_LINE)
    if len(matrix) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            dark = share[row, column] > 0.5
            color = "white" if dark else _INK if count else "#c9c4c0"
            style = {"ha": "center", "va": "center", "color": color}
            axes.text(column, row, f"{int(count)}", fontsize=7, **style)
    return figure


def lines(
    history: Sequence[Json], values: dict[str, list[float]], scale: str = "linear"
) -> Any:
    """Plots numbers over epochs, a line each.

    Args:
        history: Logs of each epoch.
        values: Numbers of all epochs by name; an only one needs no name.
        scale: Of the numbers, "linear" or "log".

    Returns:
        A Matplotlib figure.
    """
    figure = _figure(3.9, 2.4, 160, layout="constrained")
    axes = figure.subplots()
    epochs = [row.get("epoch", i + 1) for i, row in enumerate(history)]
    for name, numbers in values.items():
        marker = "o" if len(history) < 3 else ""
        axes.plot(epochs, numbers, label=name or None, lw=1.5, marker=marker)
    _plain(axes, "")
    axes.set_yscale(scale)
    axes.set_xlabel("epoch", fontsize=8, color=_SOFT)
    if 1 < len(values) <= 12:
        axes.legend(frameon=False, fontsize=7.5, labelcolor=_SOFT)
    return figure


def heat_map(matrix: np.ndarray, names: Sequence[str], limit: float = 1.0) -> Any:
    """Draws numbers from −limit to limit between things and each other.

    Args:
        matrix: `(things, things)`; NaN is left blank.
        names: Names of the things.
        limit: The largest number.

    Returns:
        A Matplotlib figure.
    """
    side = min(2.1 + 0.32 * len(matrix), 7.5)
    figure = _figure(side, side, 170, layout="constrained")
    axes = figure.subplots()
    axes.imshow(matrix, cmap="RdBu", vmin=-limit, vmax=limit)
    ticks = range(len(matrix))
    axes.set_xticks(ticks, names, fontsize=8, rotation=90, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=8, parse_math=False)
    axes.tick_params(length=0, colors=_INK)
    axes.spines[:].set_color(_LINE)
    if len(matrix) <= 20:
        for (row, column), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                color = "white" if abs(value) > 0.6 * limit else _INK
                style = {"ha": "center", "va": "center", "color": color}
                axes.text(column, row, f"{value:.2f}", fontsize=7, **style)
    return figure


def pair(
    tasks: Sequence[Task], example: Json
) -> tuple[Any, dict[str, str], dict[str, str]]:
    """Draws the truth on the left and the prediction on the right.

    Args:
        tasks: The tasks.
        example: "image", "truth" and "prediction".

    Returns:
        A Matplotlib figure, `None` where the input is no picture, and the captions
        of truth and prediction by task.
    """
    image = _pixels(example["image"])
    sides = [example.get("truth", {}), example.get("prediction", {})]
    own = _own_panel(tasks, sides[1])
    if image is None:
        blank = [_figure(1, 1, 50).subplots()] * (1 + len(own))
        truth, prediction = (_draw(blank, tasks, own, side) for side in sides)
        return None, truth, prediction
    rows, head = 1 + len(own), 0.16
    height = _PAIR / 2 * image.shape[0] / image.shape[1] * rows + head
    figure = _figure(_PAIR, height, 260)
    grid = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(0, 0, 1, 1 - head / height, 0.03, 0.03)
    captions = []
    for i, title in enumerate(("truth", "prediction")):
        for axes in grid[:, i]:
            _show(axes, image)
        captions.append(_draw(grid[:, i], tasks, own, sides[i]))
        grid[0, i].set_title(title, fontsize=6.5, color=_SOFT, pad=2.5)
    return figure, captions[0], captions[1]


def picture(tasks: Sequence[Task], image: np.ndarray, fields: Fields) -> Any:
    """Draws an example's fields over its picture, and captions below.

    Args:
        tasks: The tasks.
        image: `(height, width, channels)` from 0 to 255.
        fields: One example's fields by task; boxes and maps in the image's pixels.

    Returns:
        A Matplotlib figure, to be saved with `bbox_inches="tight"`.
    """
    pixels = _pixels(image)
    if pixels is None:
        raise ValueError(
            "`image` must be (height, width, channels). "
            f"Received: an image of shape {np.shape(image)}"
        )
    own = _own_panel(tasks, fields)
    height, width = pixels.shape[:2]
    dpi = 150
    inches = min(max(height, width, 480), 1024) / max(height, width) / dpi
    count = 1 + len(own)
    figure = _figure(width * inches * count, height * inches, dpi)
    grid = figure.subplots(1, count, squeeze=False)[0]
    figure.subplots_adjust(0, 0, 1, 1, 0.03, 0)
    for axes in grid:
        _show(axes, pixels)
    captions = _draw(grid, tasks, own, fields)
    lines = "\n".join(f"{name}: {text}" for name, text in captions.items() if text)
    # It hangs below the figure; a tight box takes it in, however long it is.
    figure.text(
        0, -0.06 / figure.get_figheight(), lines, va="top", fontsize=8, parse_math=False
    )
    return figure


def differ(truth: Fields, prediction: Fields, task: str) -> bool:
    """Tells whether a known class of the truth was not predicted."""
    label = truth.get(task, {}).get("label")
    guess = prediction.get(task, {}).get("label")
    if label is None or guess is None:
        return False
    return bool(np.any((np.asarray(label) >= 0) & (np.asarray(label) != guess)))


def _figure(width: float, height: float, dpi: int, **kwargs: Any) -> Any:
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=dpi, facecolor="white", **kwargs)


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=8.5, color=_INK, loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.tick_params(labelsize=7.5, colors=_SOFT, length=2)
    axes.grid(axis="y", color=_LINE, lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _pixels(image: Any) -> np.ndarray | None:
    """Returns what Matplotlib can show of an input, `None` if it is no picture."""
    image = np.asarray(image)
    if image.ndim != 3:
        return None
    image = np.clip(image, 0, 255).astype("uint8")
    return image[..., :3] if image.shape[-1] >= 3 else image[..., 0]


def _show(axes: Any, image: np.ndarray) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    axes.autoscale(False)


def _own_panel(tasks: Sequence[Task], fields: Fields) -> list[Task]:
    """Returns the tasks that draw a picture of their own, which would hide others."""
    axes = _figure(1, 1, 50).subplots()
    found = []
    for task in tasks:
        before = len(axes.images)
        _draw([axes], [task], [], fields)
        if any(image.get_alpha() is None for image in axes.images[before:]):
            found.append(task)
    return found


def _draw(
    panels: Sequence[Any], tasks: Sequence[Task], own: Sequence[Task], fields: Fields
) -> dict[str, str]:
    """Draws on the first panel, and tasks with their `own` on the others."""
    captions = {}
    for task in tasks:
        if task.name in fields:
            given = fields[task.name]
            panel = panels[1 + own.index(task)] if task in own else panels[0]
            values = [np.asarray(v) for v in given.values()]
            floats = [v for v in values if v.dtype.kind == "f"]
            known = not any(np.isnan(v).all() for v in floats if v.size)
            caption = task.draw(panel, given) if known else "unlabelled"
            captions[task.name] = printable(caption)
    return captions
