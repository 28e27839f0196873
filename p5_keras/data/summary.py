"""What a data set holds, as a person sees it before training."""

import collections
from collections.abc import Sequence
from typing import Any

import numpy as np

from p5_keras.data.augment import GEOMETRY, Augment
from p5_keras.data.infer import labelled
from p5_keras.data.records import Field, Records
from p5_keras.data.user_data import UserData
from p5_keras.naming import printable
from p5_keras.task import Task

Json = dict[str, Any]

SPLITS = ("train", "validation", "test")

#: The guess of the tasks' kinds, which has its own place.
KINDS = "kinds of the tasks"

#: Width of the text in characters.
WIDTH = 88

# How much of a list is shown on a screen; files get all of it.
_CLASSES, _FILES, _NOTES = 8, 3, 12
# A class with fewer training examples than that is called rare.
_RARE = 10


def describe(
    data: UserData,
    tasks: Sequence[Task],
    image_size: Any = None,
    augment: Augment | None = None,
) -> Json:
    """Returns what is known of a data set before training, as JSON can hold it.

    Args:
        data: The data set.
        tasks: Its tasks, or some of them.
        image_size: Height and width of the model input, for pictures.
        augment: Random changes of the training examples.
    """
    records = data.records
    rows = {split: records.splits == split for split in SPLITS}
    kinds = {task.name: task.kind for task in tasks}
    fields: Json = {}
    for name, field in records.fields.items():
        if name not in kinds:  # not to be trained
            continue
        there = labelled(field, records.columns[name])
        fields[name] = {
            "kind": kinds[name],
            "labelled": {s: int(there[own].sum()) for s, own in rows.items()},
            **_contents(field, records.columns[name], rows["train"], image_size),
        }
    found: Json = {
        "dataset": data.dataset,
        "name": records.name,
        "examples": {split: int(own.sum()) for split, own in rows.items()},
        "tasks": fields,
        "input": [] if records.encoders else [*(image_size or ()), *data.shape],
        "inputs": {name: e.about() for name, e in records.encoders.items()},
        "pictures": data.pictures or _pictures(records),
        "dropped": [list(pair) for pair in records.problems.dropped],
        "notes": dict(records.problems.notes),
        "worth_a_look": [list(finding) for finding in records.problems.findings()],
        "guesses": dict(records.problems.guesses),
    }
    if augment is not None:
        found["augmentation"] = {name: getattr(augment, name) for name in augment.used}
        if (reason := data.why_unmoved()) and not set(augment.used) & set(GEOMETRY):
            found["unmoved"] = reason
    return found


def _pictures(records: Records) -> str:
    """Returns one line on the sizes of pictures that were not read from files."""
    if records.shapes is None:
        return ""
    sides = []
    for name, column in (("height", 0), ("width", 1)):
        values = records.shapes[:, column]
        low, middle, high = values.min(), int(np.median(values)), values.max()
        sides.append(f"{name} {low} / {middle} / {high}")
    color = "grey" if records.shapes[:, 2].max() == 1 else "RGB"
    return (
        f"{len(records)} {color} pictures, {', '.join(sides)} pixels (smallest / "
        "median / largest)"
    )


def _contents(field: Field, column: Any, training: np.ndarray, size: Any) -> Json:
    """Returns counts and ranges of the training labels of a field."""
    names = list(field.class_names)
    own = [column[int(i)] for i in np.flatnonzero(training)]
    if field.kind in ("class", "tags"):
        ids = np.array(own)
        counts = np.bincount(ids[ids >= 0], minlength=len(names))
        return {"classes": _named(names, counts)}
    if field.kind == "labels":
        counts = np.nansum(np.array(own), axis=0).astype(int)
        return {"classes": _named(names, counts)}
    if field.kind == "number":
        values = np.array(own, "float64").reshape(len(own), -1)
        known = values[np.isfinite(values)]
        low, middle, high = np.quantile(known, [0, 0.5, 1])
        return {"range": [float(low), float(middle), float(high)]}
    if field.kind == "mask":
        return {"classes": dict.fromkeys(names)}
    entries = [entry for entry in own if entry is not None]
    ids = np.concatenate([ids for _, ids in entries]).astype(int)
    boxes = np.concatenate([boxes for boxes, _ in entries])
    height, width = size or (1, 1)
    sides = [
        np.quantile((boxes[:, i + 2] - boxes[:, i]) * length, [0.05, 0.5, 0.95])
        for i, length in ((0, height), (1, width))
    ]
    numbers = [len(ids) for _, ids in entries]
    return {
        "classes": _named(names, np.bincount(ids, minlength=len(names))),
        "boxes": [min(numbers), float(np.median(numbers)), max(numbers)],
        "sides": [[round(float(v), 1) for v in side] for side in sides],
    }


def _named(names: Sequence[str], counts: np.ndarray) -> Json:
    return {name: int(n) for name, n in zip(names, counts, strict=True)}


def details(task: Json) -> list[str]:
    """Returns lines on the training labels of one task of `describe`."""
    lines = []
    counts = {n: c for n, c in task.get("classes", {}).items() if c is not None}
    if counts:
        top = sorted(counts.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {count}" for name, count in top[:_CLASSES])
        more = f", and {len(top) - _CLASSES} more" if len(top) > _CLASSES else ""
        lines.append(f"{shown}{more}")
        rare = [name for name, count in reversed(top) if count < _RARE]
        if rare and len(top) > 1:
            shown = ", ".join(rare[:_CLASSES]) + ("…" if len(rare) > _CLASSES else "")
            lines.append(f"rare, with less than {_RARE}: {len(rare)} ({shown})")
    elif task.get("classes"):
        lines.append(", ".join(list(task["classes"])[: 2 * _CLASSES]))
    if "range" in task:
        low, middle, high = task["range"]
        lines.append(f"{low:g} to {high:g}, median {middle:g}")
    if "boxes" in task:
        low, middle, high = task["boxes"]
        (h5, h50, h95), (w5, w50, w95) = task["sides"]
        lines.append(f"{low} to {high} boxes in an example, median {middle:g}")
        lines.append(
            f"height {h5:g} / {h50:g} / {h95:g}, width {w5:g} / {w50:g} / {w95:g} "
            "pixels of the input (5 / 50 / 95 %)"
        )
    return lines


def coverage(found: Json) -> list[list[str]]:
    """Returns a table of the tasks: kind, and labelled examples of each split.

    Args:
        found: What `describe` returns.
    """
    table = [["task", "kind", *SPLITS]]
    for name, task in found["tasks"].items():
        cells = [
            f"{task['labelled'][split]}/{found['examples'][split]}" for split in SPLITS
        ]
        table.append([name, task["kind"], *cells])
    return table


def text(found: Json) -> str:
    """Returns the summary as plain text for a terminal of `WIDTH` characters.

    Args:
        found: What `describe` returns.
    """
    total = sum(found["examples"].values())
    lines = _wrapped(f"{found['name']}: {total} examples ({found['dataset']})", 0)
    if found["pictures"]:
        lines += _wrapped(found["pictures"], 2)
    for fact in model_input(found):
        lines += _wrapped(fact, 2, 3)
    lines += ["", "Labelled examples of all"]
    table = coverage(found)
    table = [[_short(row[0]), *row[1:]] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [f"{cell:{w}}" for cell, w in zip(row[:2], widths, strict=False)]
        cells += [f"{cell:>{w}}" for cell, w in zip(row[2:], widths[2:], strict=True)]
        lines.append("  " + "  ".join(cells))
    lines += ["", "Training labels"]
    for name, task in found["tasks"].items():
        own = details(task)
        for i, line in enumerate(own):
            head = f"{_short(name)}: " if i == 0 else ""
            lines += _wrapped(head + line, 2 if i == 0 else 4)
    if "augmentation" in found:
        on = ", ".join(
            name if value is True else f"{name} {value:g}"
            for name, value in found["augmentation"].items()
        )
        lines += ["", *_wrapped(f"Augmentation: {on or 'none'}", 0)]
        if "unmoved" in found:
            lines += _wrapped(f"no flip and no zoom, since {found['unmoved']}", 2)
    lines += ["", *_dropped(found["dropped"]), *_worth_a_look(found), *_guesses(found)]
    lines += _notes(other_notes(found))
    if KINDS in found.get("guesses", {}):
        lines += _wrapped(f"For another kind give {found['guesses'][KINDS]}.", 0)
    return "\n".join(lines).rstrip("\n")


def counted(what: str, count: int) -> str:
    """Returns a note with how often it was made."""
    return what + (f" ({count} times)" if count > 1 else "")


def worth_a_look(found: Json) -> list[tuple[str, str]]:
    """Returns what was found in the data, worst first: the severity and a line.

    Args:
        found: What `describe` returns.
    """
    return [(s, counted(what, n)) for s, what, n in found.get("worth_a_look", ())]


def other_notes(found: Json) -> dict[str, int]:
    """Returns the notes that `worth_a_look` does not hold.

    Args:
        found: What `describe` returns.
    """
    shown = {what for _, what, _ in found.get("worth_a_look", ())}
    return {what: n for what, n in found["notes"].items() if what not in shown}


def guesses(found: Json) -> list[str]:
    """Returns what was decided by a guess, each with the option that decides it.

    Args:
        found: What `describe` returns.
    """
    return [
        f"{what}; decided by {option}" if option else what
        for what, option in found.get("guesses", {}).items()
        if what != KINDS  # which are in the table of tasks
    ]


def model_input(found: Json) -> list[str]:
    """Returns what a model reads, a line for each input.

    Args:
        found: What `describe` returns.
    """
    if found.get("inputs"):
        return [f"{name}: {about}" for name, about in found["inputs"].items()]
    return [f"model input {' x '.join(map(str, found['input']))}"]


def dropped_lines(found: Json) -> str:
    """Returns every example that was left out, a line each: the file, and why.

    Args:
        found: What `describe` returns.
    """
    return "".join(
        f"{printable(file)}\t{printable(reason)}\n" for file, reason in found["dropped"]
    )


def _dropped(dropped: Sequence[Sequence[str]]) -> list[str]:
    if not dropped:
        return ["Left out: nothing", ""]
    reasons: dict[str, list[str]] = collections.defaultdict(list)
    for file, reason in dropped:
        reasons[reason].append(file)
    lines = [f"Left out: {len(dropped)} examples, all of them in dropped.txt"]
    ordered = sorted(reasons.items(), key=lambda item: -len(item[1]))
    for reason, files in ordered[:_NOTES]:
        lines += _wrapped(f"{len(files)} x {reason}", 2)
        lines += [f"      {_short(file, WIDTH - 6)}" for file in files[:_FILES]]
        if len(files) > _FILES:
            lines.append(f"      and {len(files) - _FILES} more")
    if len(ordered) > _NOTES:
        lines.append(f"  and {len(ordered) - _NOTES} more reasons")
    return [*lines, ""]


def left_out(found: Json) -> list[str]:
    """Returns how many examples were left out, and why; nothing if none was.

    Args:
        found: What `describe` returns.
    """
    head, *lines = _dropped(found["dropped"])
    return [head.partition(",")[0], *lines[:-1]] if found["dropped"] else []


def _worth_a_look(found: Json) -> list[str]:
    lines = [w for s, line in worth_a_look(found) for w in _wrapped(f"{s}: {line}", 2)]
    return ["Worth a look, worst first", *lines, ""] if lines else []


def _guesses(found: Json) -> list[str]:
    lines = [wrapped for line in guesses(found) for wrapped in _wrapped(line, 2)]
    return ["Guessed", *lines, ""] if lines else []


def _notes(notes: dict[str, int]) -> list[str]:
    if not notes:
        return []
    lines = ["Notes"]
    for what, count in list(notes.items())[:_NOTES]:
        lines += _wrapped(counted(what, count), 2)
    if len(notes) > _NOTES:
        lines.append(f"  and {len(notes) - _NOTES} more in data.json")
    return [*lines, ""]


def _short(name: str, width: int = 24) -> str:
    name = printable(name)
    return name if len(name) <= width else "…" + name[1 - width :]


def _wrapped(line: str, indent: int, most: int | None = None) -> list[str]:
    import textwrap

    return textwrap.wrap(
        printable(line),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        max_lines=most,
        placeholder=" …",
    )
