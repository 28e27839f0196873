"""A digest of data: enough to tell that they have changed, and in what."""

import functools
import hashlib
import os
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from p5_keras.data.records import Records

#: Multipliers of splitmix64.
_STEP, _FIRST, _SECOND = (
    np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def digest(records: Records, rows: np.ndarray) -> dict[str, Any]:
    """Returns what tells some examples from others, in any order and on any machine.

    Args:
        records: The data set.
        rows: Numbers of the examples.

    Returns:
        "examples", how many there are; "classes", by field and class, how many have
        it; and "content", of all labels, of the values of inputs, and of the names and
        sizes of files, which are not read.
    """
    own = records.take(rows)
    classes = {
        name: _counts(own.columns[name], one.kind, one.class_names)
        for name, one in own.fields.items()
        if one.kind not in ("number", "mask")
    }
    content = int(_mixed(row_digests(own)).sum(dtype="uint64"))
    return {"examples": len(own), "classes": classes, "content": f"{content:016x}"}


def row_digests(records: Records) -> np.ndarray:
    """Returns a number for each example, by what it holds, `(n,)` uint64."""
    total = np.zeros(len(records), "uint64")

    def add(name: str, values: np.ndarray) -> None:
        nonlocal total
        total = total + _mixed(values ^ _hash(name))

    if records.names is not None:
        add("file", _strings(_within(records.names)))
        add("size", _mixed(np.array([_size(f) for f in records.names], "uint64")))
    for name, one in records.fields.items():
        column, names = records.columns[name], one.class_names
        if one.kind == "mask":
            found = [_hash(str(_size(path)) if path else "") for path in column]
        elif one.kind == "boxes":
            found = [_hash(_boxes(entry, names)) for entry in column]
        elif one.kind == "number":
            add(f"label {name}", _numbers(np.asarray(column, "float32")))
            continue
        else:
            add(f"label {name}", _classes(np.asarray(column), names))
            continue
        add(f"label {name}", np.array(found, "uint64"))
    inputs = records.inputs or {}
    if records.names is not None:  # what sounds are is known by their files
        inputs = {name: own for name, own in inputs.items() if own.dtype == object}
    return total + of_columns(inputs, len(records))


def of_columns(columns: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """Returns a number for each row, by the values in its columns, `(n,)` uint64.

    Args:
        columns: Numbers or strings by name, in any order.
        count: Number of rows.
    """
    total = np.zeros(count, "uint64")
    for name, values in columns.items():
        own = _strings(values) if values.dtype.kind in "OUS" else _numbers(values)
        total = total + _mixed(own ^ _hash(f"input {name}"))
    return total


def of_splits(records: Records) -> Callable[[], dict[str, Any]]:
    """Returns a function that makes a digest of each split when these are wanted."""
    splits = sorted(set(records.splits.tolist()))
    return functools.cache(
        lambda: {
            s: digest(records, np.flatnonzero(records.splits == s)) for s in splits
        }
    )


def numbered(values: list[str]) -> list[str]:
    """Returns names that differ: the second of a name is followed by 1, and so on."""
    seen: dict[str, int] = {}
    found = []
    for value in values:
        seen[value] = seen.get(value, -1) + 1
        found.append(f"{value} {seen[value]}" if seen[value] else value)
    return found


def _counts(column: Any, kind: str, names: tuple[str, ...]) -> dict[str, int]:
    if kind == "labels":
        counts = np.nansum(np.asarray(column, "float32"), axis=0)
    else:
        ids = column
        if kind == "boxes":
            ids = [entry[1] for entry in column if entry is not None]
            ids = np.concatenate([np.zeros(0, "int64"), *ids])
        ids = np.asarray(ids, "int64").ravel()
        counts = np.bincount(ids[ids >= 0], minlength=len(names))
    return {name: int(n) for name, n in zip(names, counts, strict=True) if n}


def _classes(column: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Returns numbers of classes by their names, which have no order."""
    by_name = np.array([*map(_hash, names), 0], "uint64")
    if column.dtype.kind == "f":  # 0 and 1 by class, NaN where missing
        on = _mixed(by_name[:-1]) * (column == 1).astype("uint64")
        missing = _mixed(by_name[:-1] + _STEP) * np.isnan(column).astype("uint64")
        return (on + missing).sum(axis=1, dtype="uint64")
    found = by_name[np.maximum(column, -1)].reshape(len(column), -1)
    return _in_a_row(found)


def _numbers(values: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(values, "float64").reshape(len(values), -1) + 0.0
    flat = np.where(np.isnan(flat), np.nan, flat)  # one NaN, and no -0
    return _in_a_row(flat.view("uint64"))


def _in_a_row(values: np.ndarray) -> np.ndarray:
    found = np.zeros(len(values), "uint64")
    for column in values.T:
        found = _mixed(found + column)
    return found


def _strings(values: Any) -> np.ndarray:
    return np.array([_hash(str(value)) for value in values], "uint64")


def _boxes(entry: Any, names: tuple[str, ...]) -> str:
    if entry is None:
        return ""
    boxes = np.asarray(entry[0], "float64").round(4) + 0.0
    pairs = zip(boxes.tolist(), entry[1], strict=True)
    return str(sorted((names[int(i)], box) for box, i in pairs))


def _within(names: np.ndarray) -> list[str]:
    """Returns paths seen from the folder that holds them all."""
    paths = [os.path.abspath(str(name)) for name in names]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    within = [path.removeprefix(root).replace(os.sep, "/") for path in paths]
    return [unicodedata.normalize("NFC", path) for path in within]


def _size(path: Any) -> int:
    try:
        return os.stat(str(path)).st_size
    except OSError:
        return 0


def _hash(text: str) -> np.uint64:
    data = text.encode("utf-8", "surrogatepass")
    return np.uint64(
        int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    )


def _mixed(values: np.ndarray) -> np.ndarray:
    """Returns numbers with their bits mixed, so that sums of them tell (splitmix64)."""
    x = values + _STEP
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))
