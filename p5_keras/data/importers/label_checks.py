"""What labels tell before training: too few, one-sided, far off, in the inputs."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from p5_keras.data.importers.repeats import same_rows
from p5_keras.data.infer import labelled
from p5_keras.data.records import Field, Records

SPLITS = ("train", "validation", "test")

#: Share of one class from which the others hardly count, fewest labels to learn from
#: and to measure on.
IMBALANCED, FEWEST, FEWEST_MEASURED = 0.95, 20, 10

#: How many standard deviations from the median a number is far off, and the largest
#: share of such numbers; more of them are a long tail.
FAR, FEW_FAR = 20.0, 0.01

#: Fewest rows in which two equal columns are no chance, and classes that are named.
_ROWS, _NAMED = 20, 8
#: Number of classes from which so few training examples of the middle one are odd.
_MANY_CLASSES, _FEW_EACH = 10, 3

Found = Iterator[tuple[str, str]]


def note_labels(records: Records) -> None:
    """Notes what is wrong with labels: too few, one-sided, far off, or in the inputs.

    Args:
        records: The records; their `problems` take the notes.
    """
    rows = {split: records.splits == split for split in SPLITS}
    inputs = {n: v for n, v in (records.inputs or {}).items() if v.ndim == 1}
    codes = {name: same_rows([values]) for name, values in inputs.items()}
    numbers: dict[str, np.ndarray] = {}
    for name, field in records.fields.items():
        column = records.columns[name]
        there = labelled(field, column)
        counts = {split: int((there & own).sum()) for split, own in rows.items()}
        checks = [_few(name, counts), _in_case(name, field)]
        if field.kind == "number":
            values = np.asarray(column, "float64").reshape(len(column), -1)
            numbers |= {f"{name}[{i}]": v for i, v in enumerate(values.T)}
            if values.shape[1] == 1:
                numbers[name] = numbers.pop(f"{name}[0]")
        elif field.kind != "mask":
            seen = {s: class_counts(field, column, own) for s, own in rows.items()}
            checks.append(_classes(name, field, seen, counts["train"]))
        if field.kind == "boxes":
            checks.append(_twice(name, column))
        checks.append(_in_inputs(inputs, codes, name, field, column))
        for check in checks:
            for severity, what in check:
                records.problems.note(what, severity=severity)
    read = {n: values for n, values in inputs.items() if values.dtype.kind == "f"}
    for role, severity, columns in (
        ("targets", "medium", numbers),
        ("inputs", "low", read),
    ):
        if far := _far_off(columns, rows["train"]):
            records.problems.note(
                f"{role} with training values far from all others, which move mean and "
                f"spread of all: {_list(far)}; put them right, or make them missing",
                severity=severity,
            )


def class_counts(field: Field, column: Any, rows: np.ndarray) -> np.ndarray:
    """Returns the number of examples, or boxes or tokens, of each class.

    Args:
        field: A field with classes, but no mask.
        column: Its labels.
        rows: `(n,)` booleans: which examples count.
    """
    number = len(field.class_names)
    if field.kind == "labels":
        return np.nansum(np.asarray(column)[rows], axis=0).astype(int)
    if field.kind == "boxes":
        entries = [column[i] for i in np.flatnonzero(rows)]
        own = [ids for entry in entries if entry is not None for ids in [entry[1]]]
        ids = np.concatenate([np.zeros(0, int), *own]).astype(int)
    else:
        ids = np.asarray(column)[rows].reshape(-1)
    return np.bincount(ids[ids >= 0], minlength=number)


def _few(name: str, counts: dict[str, int]) -> Found:
    empty = [split for split in SPLITS[1:] if not counts[split]]
    if empty:
        yield (
            "medium",
            f"{name!r} has no label in {' and '.join(empty)}: not measured there",
        )
    if counts["train"] < FEWEST:
        yield (
            "medium",
            f"{name!r} has {counts['train']} training labels: too few to learn from",
        )
    elif 0 < counts["test"] < FEWEST_MEASURED:
        yield (
            "low",
            f"{name!r} has {counts['test']} test labels: its score is hardly known",
        )


def _classes(
    name: str, field: Field, counts: dict[str, np.ndarray], training: int
) -> Found:
    """Says which classes cannot be learned, or are nearly all there is."""
    train, held = counts["train"], counts["validation"] + counts["test"]
    names = np.array([repr(name) for name in field.class_names], object)
    only_held = names[(train == 0) & (held > 0)]
    if len(only_held):
        tested = held[train == 0].sum() / held.sum()
        yield (
            "high" if max(len(only_held) / len(names), tested) > 0.5 else "medium",
            f"classes of {name!r} without a training example: {_list(only_held)}; they "
            "cannot be learned, and all of them that are tested count as wrong",
        )
    nowhere = names[(train == 0) & (held == 0)]
    if len(nowhere):
        yield "low", f"classes of {name!r} without any example: {_list(nowhere)}"
    single = names[(train == 1) & (held == 0)]
    if len(single):
        yield (
            "low",
            f"classes of {name!r} with one example in all: {_list(single)}; nothing "
            "measures them",
        )
    if field.kind == "labels":
        always = names[(train == training) & (training > 0)]
        if len(always):
            yield (
                "medium",
                f"classes of {name!r} that every training example has: {_list(always)}",
            )
    elif field.kind == "class" and train.sum():
        middle = int(np.median(train[train > 0]))
        if len(names) >= _MANY_CLASSES and middle <= _FEW_EACH:
            yield (
                "medium",
                f"half of the {len(names)} classes of {name!r} have {middle} training "
                f"examples or less, such as {names[int((train == middle).argmax())]}: "
                "they may be images, patients or places rather than classes",
            )
        most = int(train.argmax())
        share = train[most] / train.sum()
        if share == 1:
            yield (
                "high",
                f"every training example of {name!r} is {names[most]}: nothing else "
                "can be learned",
            )
        elif share >= IMBALANCED:
            yield (
                "medium",
                f"{100 * share:.1f} % of the training examples of {name!r} are "
                f"{names[most]}: an accuracy near that says nothing; look at the "
                "confusion matrix; class_weights='balanced' in a recipe weighs them",
            )


def _in_case(name: str, field: Field) -> Found:
    """Says which classes may be one; single characters may be letters of writing."""
    for what, form, shown in (
        ("in characters that look alike or are not seen,", _seen, ascii),
        ("in case alone,", lambda own: _seen(own).casefold(), repr),
    ):
        together: dict[str, list[str]] = {}
        for own in field.class_names:
            together.setdefault(form(own), []).append(own)
        twice = [own for own in together.values() if len(own) > 1 and len(own[0]) > 1]
        if twice:
            yield (
                "medium",
                f"classes of {name!r} that differ {what} such as "
                f"{' and '.join(map(shown, twice[0]))}: they are learned as different "
                "ones; call them the same if they are",
            )
            return


def _seen(text: str) -> str:
    """Returns what can be seen of a text, in one form."""
    shown = (c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", "".join(shown)).strip()


def _twice(name: str, column: Any) -> Found:
    """Says how many boxes stand twice in their image, with one class or with two."""
    entries = [(i, entry) for i, entry in enumerate(column) if entry is not None]
    sizes = [len(entry[1]) for _, entry in entries]
    if not sum(sizes):
        return
    boxes = np.concatenate([np.reshape(entry[0], (-1, 4)) for _, entry in entries])
    ids = np.concatenate([np.asarray(entry[1]) for _, entry in entries])
    image = np.repeat([i for i, _ in entries], sizes)
    places = int(same_rows([image, *boxes.T]).max()) + 1
    objects = int(same_rows([image, ids, *boxes.T]).max()) + 1
    for count, what in (
        (
            len(ids) - objects,
            "again with the same place and class: each is learned, and measured, twice",
        ),
        (objects - places, "with the place of one of another class: one may be wrong"),
    ):
        if count:
            yield (
                "medium" if count > FEW_FAR * len(ids) else "low",
                f"{count} of {len(ids)} boxes of {name!r} stand in their image {what}",
            )


def _far_off(columns: dict[str, np.ndarray], training: np.ndarray) -> list[str]:
    """Returns which columns have numbers that move mean and spread of all others."""
    found = []
    for name, values in columns.items():
        own = values[training & np.isfinite(values)]
        if len(own) < _ROWS:
            continue
        q05, q25, middle, q75, q95 = np.quantile(own, [0.05, 0.25, 0.5, 0.75, 0.95])
        # Of a skewed column the tails are wide where the middle is narrow.
        spread = max((q75 - q25) / 1.35, (q95 - q05) / 3.3)
        far = own[np.abs(own - middle) > FAR * spread]
        if spread > 0 and 0 < len(far) <= max(1, FEW_FAR * len(own)):
            worst = far[np.abs(far - middle).argmax()]
            count = f"{len(far)} such as " if len(far) > 1 else ""
            found.append(
                f"{name!r} ({count}{worst:g}, where most lie in {q05:g} to {q95:g})"
            )
    return found


def _in_inputs(
    inputs: dict[str, np.ndarray],
    codes: dict[str, np.ndarray],
    name: str,
    field: Field,
    column: Any,
) -> Found:
    """Says which inputs are the label under another name or in other units."""
    if field.kind not in ("class", "number") or np.ndim(column) > 1:
        return
    label = np.asarray(column)
    known, own = present(label, field.kind), same_rows([label])
    for other, values in inputs.items():
        both = known & present(values)
        if both.sum() < _ROWS:
            continue
        if field.kind == "number" and values.dtype.kind == "f":
            same = _same_numbers(label[both], values[both])
        else:
            same = _same_parts(own[both], codes[other][both])
        if same:
            yield (
                "high",
                f"input {other!r} says the target {name!r} in other words: a model "
                f"only copies it; leave it out by --dataset_options=ignore={other}",
            )


def present(values: np.ndarray, kind: str = "") -> np.ndarray:
    """Returns which values of a column are not missing, `(n,)` booleans.

    Args:
        values: Numbers or strings.
        kind: "class" where negative ids are missing.
    """
    if values.dtype.kind in "OUS":
        return values != ""
    return values >= 0 if kind == "class" else np.isfinite(values)


def _same_numbers(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether numbers are one another but for a factor and a shift."""
    x, y = one.astype("float64"), two.astype("float64")
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    # Labels are kept as float32.
    return bool(scale > 0 and 1 - abs(x @ y) / scale < 1e-7)


def _same_parts(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether columns of numbered values part the rows in the same way."""
    parts = [len(np.unique(codes)) for codes in (one, two, same_rows([one, two]))]
    return 1 < parts[0] == parts[1] == parts[2] <= len(one) / 2


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
