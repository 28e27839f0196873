"""Which tasks a data set has: inferred from its fields, overridden by the user."""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p5_keras import tasks as kinds
from p5_keras.data.records import Field, Records
from p5_keras.naming import did_you_mean
from p5_keras.task import Task
from p5_keras.values import unknown

#: The kind of task for each kind of field.
KINDS = {
    "class": "classification",
    "labels": "multi_label",
    "number": "regression",
    "tags": "tagging",
    "boxes": "detection",
    "mask": "segmentation",
}

#: The most objects in one image that a detector is given room for.
MOST_BOXES = 200

# Names that belong to the inputs, the losses and the trunk.
_TAKEN = ("image", "input", "turn", "loss", "l2")


def usable(
    records: Records, kind: Mapping[str, str] | None = None, ignore: Sequence[str] = ()
) -> Records:
    """Returns records with the fields that tasks are made of.

    Fields take the user's kinds, get names that tasks can have, and go where nothing
    can be learned of them; every change is noted.

    Args:
        records: The records.
        kind: Kind of task by field, one of the values of `KINDS`.
        ignore: Fields to leave out.

    Raises:
        ValueError: A field or kind is unknown, a field cannot be of a kind, or no
            field is left.
    """
    names = list(records.fields)
    # A field may be named as in the data or as its task is.
    known = {task_name(name): name for name in names} | {name: name for name in names}
    kind = {known.get(name, name): value for name, value in (kind or {}).items()}
    ignore = [known.get(name, name) for name in ignore]
    for name in (*kind, *ignore):
        if name not in names:
            raise ValueError(unknown("field of this data set", name, names))
    fields: dict[str, Field] = {}
    columns: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    for name in names:
        if name in ignore:
            records.problems.note(f"{name!r} left out, as asked")
            continue
        field, column = records.fields[name], records.columns[name]
        if name in kind:
            field, column = converted(name, field, column, kind[name])
        if reason := _unlearnable(field, column, records.splits == "train"):
            records.problems.note(f"{name!r} left out: {reason}", severity="medium")
            continue
        new = task_name(name, fields)
        if new != name:
            records.problems.note(f"{name!r} is called {new!r}")
        fields[new], columns[new], sources[new] = field, column, {"source": name}
    if not fields:
        raise ValueError(
            "A data set must have a field that can be learned. Received: "
            f"{records.name!r} with {'; '.join(records.problems.notes) or 'none'}"
        )
    reading = {**records.reading, "fields": sources}
    return dataclasses.replace(records, fields=fields, columns=columns, reading=reading)


def task_name(name: str, others: Mapping[str, Any] | Sequence[str] = ()) -> str:
    """Returns a name that a task can have, near to a given one.

    Args:
        name: Any text.
        others: Names that are taken.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\W+", "_", plain).strip("_") or "field"
    if not plain[0].isalpha():
        plain = f"field_{plain}"
    found, count = plain, 1
    # The logs of "a" hold "a_loss" and "val_a", and layers ignore upper case in files.
    while (
        found in _TAKEN
        or found.startswith("trunk_")
        or any(
            found.casefold() == other.casefold()
            or found in (f"{other}_loss", f"val_{other}")
            or other in (f"{found}_loss", f"val_{found}")
            for other in others
        )
    ):
        count += 1
        found = f"{plain}_{count}" if plain[:6] != "trunk_" else f"field_{plain}"
    return found


def make_tasks(
    records: Records, image_size: tuple[int, int] | None = None, levels: int = 5
) -> list[Task]:
    """Makes a task for each field.

    Args:
        records: Records, as `usable` returns them.
        image_size: Height and width of the model input in pixels, for pictures.
        levels: The deepest level of the trunk's pyramid, for pictures.
    """
    found: list[Task] = []
    for name, field in records.fields.items():
        names = list(field.class_names)
        column = records.columns[name]
        if field.kind == "class":
            found.append(kinds.Classification(name, class_names=names))
        elif field.kind == "labels":
            found.append(kinds.MultiLabel(name, class_names=names))
        elif field.kind == "number":
            size = 1 if np.ndim(column) == 1 else np.shape(column)[1]
            found.append(kinds.Regression(name, size=size))
        elif field.kind == "tags":
            found.append(kinds.Tagging(name, class_names=names))
        elif field.kind == "mask":
            found.append(kinds.Segmentation(name, class_names=names))
        else:
            rows = np.flatnonzero(records.splits == "train")
            boxes = [column[i][0] for i in rows if column[i] is not None]
            most = max(len(entry[1]) for entry in column if entry is not None)
            room = min(max(4, round(1.25 * most)), max(most, MOST_BOXES))
            found.append(
                kinds.Detection(
                    name,
                    class_names=names,
                    max_boxes=room,
                    max_detections=min(max(10, 2 * room), 100),
                    **anchors(np.concatenate(boxes), image_size or (1, 1), levels),
                )
            )
    return found


def anchors(
    boxes: np.ndarray, image_size: tuple[int, int], levels: int = 5
) -> dict[str, Any]:
    """Chooses the anchors of a detector by the boxes of its training examples.

    The side of a box is the root of its area in pixels of the model input. The levels
    are those whose strides are nearest to a quarter of the 5th, to a quarter of the
    95th percentile, and all between; the size of the anchors, in strides, is then the
    one that fits the median box best. Ratios are the 10th, 50th and 90th percentile of
    height through width, fewer where they are within a fifth of each other.

    Args:
        boxes: `(m, 4)`, y1, x1, y2, x2 in 0..1.
        image_size: Height and width of the model input in pixels.
        levels: The deepest level of the trunk's pyramid.

    Returns:
        `features`, `anchor_size` and `anchor_ratios` of `Detection`.
    """
    height = np.maximum(boxes[:, 2] - boxes[:, 0], 1e-3) * image_size[0]
    width = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-3) * image_size[1]
    low, middle, high = np.quantile(np.sqrt(height * width), [0.05, 0.5, 0.95])
    # Of anchors of 4 strides the three scales reach from 4 to 6.3, the middle is 5.
    first, central, last = (
        int(np.clip(round(float(np.log2(side / 5))), 2, levels))
        for side in (low, middle, high)
    )
    size = float(np.clip(middle / 2**central / 2 ** (1 / 3), 1.0, 8.0))
    ratios: list[float] = []
    for ratio in np.quantile(height / width, [0.5, 0.1, 0.9]):
        if all(max(ratio / other, other / ratio) > 1.2 for other in ratios):
            ratios.append(round(float(ratio), 2))
    return {
        "features": [f"P{level}" for level in range(first, last + 1)],
        "anchor_size": round(size, 2),
        "anchor_ratios": sorted(ratios),
    }


def _unlearnable(field: Field, column: Any, training: np.ndarray) -> str:
    """Returns why nothing can be learned of a field, or nothing."""
    known = labelled(field, column)
    if not known.any():
        return "no example has a label"
    if not known[training].any():
        return "no training example has a label"
    if field.kind in ("class", "mask") and len(field.class_names) < 2:
        return f"there is only one class, {', '.join(field.class_names)!r}"
    if field.kind == "number":
        values = np.asarray(column)[training]
        values = values[np.isfinite(values)]
        if values.min() == values.max():
            return f"every training example has the value {values[0]:g}"
    if field.kind == "boxes" and not any(
        entry is not None and len(entry[1]) for entry in _some(column, training)
    ):
        return "no training example has a box"
    return ""


def labelled(field: Field, column: Any) -> np.ndarray:
    """Returns which examples have a label, `(n,)` booleans."""
    if field.kind == "boxes":
        return np.array([entry is not None for entry in column], bool)
    if field.kind == "mask":
        return np.array([bool(path) for path in column], bool)
    values = np.asarray(column)
    if field.kind in ("class", "tags"):
        return np.any((values >= 0).reshape(len(values), -1), axis=1)
    return ~np.isnan(values.reshape(len(values), -1)).all(axis=1)


def _some(column: Sequence[Any], rows: np.ndarray) -> list[Any]:
    return [column[int(i)] for i in np.flatnonzero(rows)]


def converted(name: str, field: Field, column: Any, kind: str) -> tuple[Field, Any]:
    """Returns a field and its column as another kind.

    Args:
        name: Name of the field.
        field: What it holds.
        column: Its labels.
        kind: The kind of its task, one of the values of `KINDS`, or of its field.

    Raises:
        ValueError: There is no such kind, or the field cannot be of it.
    """
    option, kind = f"kind.{name}", KINDS.get(kind, kind)
    if kind not in KINDS.values():
        known = list(KINDS.values())
        raise ValueError(
            f"`{option}` must be one of {', '.join(known)}.{did_you_mean(kind, known)} "
            f"Received: {option}={kind}"
        )
    wanted = next(k for k, v in KINDS.items() if v == kind)
    if wanted == field.kind:
        return field, column
    names, count = list(field.class_names), len(field.class_names)
    if (field.kind, wanted) == ("class", "number"):
        try:
            values = np.array([float(text) for text in names] + [np.nan], "float32")
        except ValueError:
            pass
        else:
            return Field("number"), values[np.maximum(column, -1)]  # the last is NaN
    elif (field.kind, wanted) == ("number", "class") and np.ndim(column) == 1:
        values = np.asarray(column)
        known = ~np.isnan(values)
        found = np.unique(values[known])
        ids = np.where(known, np.searchsorted(found, values), -1)
        return Field("class", tuple(f"{v:g}" for v in found)), ids.astype("int64")
    elif (field.kind, wanted) == ("class", "labels"):
        ids = np.asarray(column)
        hot = (ids[:, None] == np.arange(count)).astype("float32")
        return Field("labels", field.class_names), np.where(
            ids[:, None] < 0, np.nan, hot
        )
    elif (field.kind, wanted) == ("boxes", "labels"):
        hot = np.full((len(column), count), np.nan, "float32")
        for i, entry in enumerate(column):
            if entry is not None:
                hot[i] = np.bincount(entry[1], minlength=count) > 0
        return Field("labels", field.class_names), hot
    elif (field.kind, wanted) == ("boxes", "number"):
        counts = [np.nan if entry is None else len(entry[1]) for entry in column]
        return Field("number"), np.array(counts, "float32")
    raise ValueError(
        f"`{option}` cannot be {kind}: the field holds {KINDS[field.kind]}"
        f"{' of ' + ', '.join(names[:5]) if names else ''}. Received: {option}={kind}"
    )
