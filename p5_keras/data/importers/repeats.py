"""The same example twice: in two splits, or with two labels."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from p5_keras.data.records import Records

#: Bytes at either end of a file that are read before the whole of it is, and examples
#: that are named.
_ENDS, _NAMED = 4096, 3
#: Share of the held-out examples from which a leak is the worst that can be.
_MANY = 0.01


def note_repeats(records: Records) -> None:
    """Notes examples that stand in two splits, or with two labels of one class field.

    Two images are the same if their files are byte for byte; two rows, texts or
    sounds, if all inputs are equal.

    Args:
        records: The records; their `problems` take the notes.
    """
    files = records.images
    if files is not None:
        files = files if records.names is None else records.names
        copy, what = same_files([str(path) for path in files]), "image"
    elif records.inputs:
        copy, what = same_rows(list(records.inputs.values())), _thing(records)
    else:
        return
    names = _Names(records)
    sizes = np.bincount(copy)
    if sizes.max() == 1:
        return
    natural = files is None and _by_chance(records, copy)
    leaks = _across_splits(records, copy, what, names, natural)
    labels = _two_labels(records, copy, sizes, what, names, natural)
    if not leaks and not labels:
        extra = int(sizes[sizes > 1].sum() - (sizes > 1).sum())
        what = f"{what}s that repeat another of their split"
        records.problems.note(what, extra, "info" if natural else "low")


def same_files(paths: Sequence[str]) -> np.ndarray:
    """Returns a number for each file, the same for files of the same bytes.

    Of files whose size no other file has nothing is read; of others, both ends first.
    A file that cannot be read, or is empty, is the same as none.

    Args:
        paths: The files; one may be named several times.
    """
    distinct = {path: i for i, path in enumerate(dict.fromkeys(paths))}
    keys: dict[str, Any] = {path: (_size(path),) for path in distinct}
    for read in (_ends, _whole):
        together = defaultdict(list)
        for path, key in keys.items():
            if key[0] > 0:
                together[key].append(path)
        for own in together.values():
            if len(own) > 1:
                for path in own:
                    keys[path] = (*keys[path], read(path, keys[path][0]))
    # What could not be read is itself only.
    number: dict[Any, int] = {}
    of_path = {
        path: number.setdefault(key if key[0] > 0 and None not in key else path, i)
        for i, (path, key) in enumerate(keys.items())
    }
    return np.unique([of_path[path] for path in paths], return_inverse=True)[1]


def same_rows(columns: Sequence[Any]) -> np.ndarray:
    """Returns a number for each row, the same for rows that are equal in all columns.

    Args:
        columns: `(n, ...)` numbers or strings each; missing ones, NaN, are equal.
    """
    keys = np.zeros(len(columns[0]), "uint64")
    with np.errstate(over="ignore"):
        for values in columns:
            keys = _mixed(keys * np.uint64(0x100000001B3) ^ _bits(np.asarray(values)))
    return np.unique(keys, return_inverse=True)[1]


def _bits(values: np.ndarray) -> np.ndarray:
    """Returns 64 bits for each row, equal for equal ones."""
    if values.dtype.kind in "OUS":
        import pyarrow as pa  # slow to load, and seldom needed

        texts = pa.array(values.reshape(len(values), -1)[:, 0].tolist(), pa.string())
        codes: np.ndarray = (
            texts.dictionary_encode().indices.fill_null(-1).to_numpy(False)
        )
        return codes.astype("int64").view("uint64")
    if values.ndim == 1 and values.dtype.kind in "fiub":
        numbers = values.astype("float64") + 0.0  # -0.0 is 0.0
        return np.where(np.isnan(numbers), np.nan, numbers).view("uint64")
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest())
            for row in values
        ],
        "uint64",
    )


def _mixed(keys: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64: every bit of the input moves every other."""
    keys = (keys ^ keys >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ keys >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return keys ^ keys >> np.uint64(31)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _ends(path: str, size: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            head = file.read(_ENDS)
            file.seek(max(size - _ENDS, 0))
            return hashlib.blake2b(head + file.read(_ENDS), digest_size=16).digest()
    except OSError:
        return None


def _whole(path: str, size: int) -> bytes | None:
    if size <= 2 * _ENDS:
        return b""  # both ends are all of it
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return None


def _thing(records: Records) -> str:
    kinds = {type(encoder).__name__ for encoder in records.encoders.values()}
    return {"Waveform": "sound", "Text": "text"}.get("".join(sorted(kinds)), "row")


class _Names:
    """What examples are called in a note."""

    def __init__(self, records: Records) -> None:
        self.inputs = records.inputs or {}
        self.files = records.images if records.names is None else records.names
        self.root = ""
        if self.files is not None:
            folders = {os.path.dirname(os.path.abspath(str(f))) for f in self.files}
            self.root = os.path.commonpath(folders)

    def __getitem__(self, i: int) -> str:
        if self.files is not None:
            return os.path.relpath(str(self.files[i]), self.root)
        cells = {name: column[i] for name, column in self.inputs.items()}
        shown = [f"{name}={_cell(value)}" for name, value in cells.items()]
        return ", ".join(shown[:_NAMED]) + (", …" if len(shown) > _NAMED else "")


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    return f"{value:g}" if np.ndim(value) == 0 else f"{np.shape(value)} numbers"


def _across_splits(
    records: Records, copy: np.ndarray, what: str, names: _Names, natural: bool
) -> bool:
    """Notes examples of which another split holds a copy."""
    found = False
    for split, others in (("test", ["train"]), ("validation", ["train", "test"])):
        own = np.flatnonzero(records.splits == split)
        other = np.isin(records.splits, others)
        rows = own[np.isin(copy[own], copy[other])]
        if not len(rows):
            continue
        found = True
        pairs = [_pair(names, int(i), copy, other) for i in rows[:_NAMED]]
        many = len(rows) >= _MANY * len(own)
        why = (
            "rows with so few different inputs repeat by chance"
            if natural
            else "a score on them tells of memory, not of new data; leave out copies, "
            "or keep them in one split"
        )
        records.problems.note(
            f"{len(rows)} of {len(own)} {what}s of {split} stand in "
            f"{' or '.join(others)} too "
            f"({'; '.join(pairs)}{' and more' * (len(rows) > _NAMED)}): {why}",
            severity="low" if natural else "high" if many else "medium",
        )
    return found


def _pair(names: _Names, i: int, copy: np.ndarray, other: np.ndarray) -> str:
    first = int(np.flatnonzero(other & (copy == copy[i]))[0])
    one, two = names[i], names[first]
    return one if one == two else f"{one} is {two}"


def _two_labels(
    records: Records,
    copy: np.ndarray,
    sizes: np.ndarray,
    what: str,
    names: _Names,
    natural: bool,
) -> bool:
    """Notes examples whose copies have another class."""
    if natural:
        return False  # noise of the labels, where inputs cannot tell examples apart
    found = False
    for name, field in records.fields.items():
        if field.kind != "class":
            continue
        ids = np.asarray(records.columns[name])
        rows = np.flatnonzero((sizes[copy] > 1) & (ids >= 0))
        low, high = np.full(len(sizes), len(field.class_names)), np.full(len(sizes), -1)
        np.minimum.at(low, copy[rows], ids[rows])
        np.maximum.at(high, copy[rows], ids[rows])
        wrong = np.flatnonzero(high > low)
        if not len(wrong):
            continue
        found = True
        shown = [
            _labels(names, np.flatnonzero((copy == c) & (ids >= 0)), ids, field)
            for c in wrong[:_NAMED]
        ]
        records.problems.note(
            f"{len(wrong)} {what}s stand with two labels of {name!r} "
            f"({'; '.join(shown)}{' and more' * (len(wrong) > _NAMED)}): at most one "
            "can be learned",
            severity="high" if len(wrong) >= _MANY * len(copy) else "medium",
        )
    return found


def _labels(names: _Names, rows: np.ndarray, ids: np.ndarray, field: Any) -> str:
    one = int(rows[0])
    two = int(next(i for i in rows if ids[i] != ids[one]))
    classes = [field.class_names[ids[i]] for i in (one, two)]
    if names[one] == names[two]:
        return f"{names[one]}: {classes[0]!r} and {classes[1]!r}"
    return f"{names[one]}: {classes[0]!r}, {names[two]}: {classes[1]!r}"


def _by_chance(records: Records, copy: np.ndarray) -> bool:
    """Whether rows repeat about as often as columns drawn one by one would.

    A table of a few categories has equal rows by itself; one of measured numbers or of
    texts has not.
    """
    columns = [np.asarray(column) for column in (records.inputs or {}).values()]
    if any(column.ndim > 1 for column in columns):
        return False
    log_chance = 0.0
    for column in columns:
        counts = np.bincount(same_rows([column]))
        log_chance += float(np.log(_chance(counts)))
        if len(columns) == 1 and (_is_text(column) or _is_measured(column)):
            return False
    return log_chance > np.log(_chance(np.bincount(copy)) / 2)


def _chance(counts: np.ndarray) -> float:
    """Returns how probable it is that two different rows are equal."""
    n = counts.sum()
    pairs = float((counts.astype("float64") * (counts - 1)).sum())
    return max(pairs / max(float(n) * (n - 1), 1.0), 1e-300)


def _is_text(column: np.ndarray) -> bool:
    return column.dtype.kind in "OUS" and any(" " in str(v).strip() for v in column)


def _is_measured(column: np.ndarray) -> bool:
    if column.dtype.kind != "f":
        return False
    known = column[np.isfinite(column)]
    if not (known != np.round(known, 1)).any():
        return False
    # Numbers that are rounded repeat by chance half as often as they come next to one
    # another; copies, and numbers in full, repeat without neighbours.
    values, counts = np.unique(known, return_counts=True)
    steps = np.diff(values)
    if not len(steps):
        return True
    pairs = counts[:-1] * counts[1:]
    near = pairs[steps < 1.5 * steps.min()].sum()
    return bool((counts * (counts - 1) // 2).sum() > 0.75 * near)
