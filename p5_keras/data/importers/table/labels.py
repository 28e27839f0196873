"""Columns of a table as labels: the kind, the classes, several in one cell."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.loaders.table_columns import MAX_TEXTS, Rule
from p5_keras.data.loaders.table_numbers import NUMBER
from p5_keras.data.records import Field, Problems

#: The share of the rows of which so many texts may differ that are classes.
SHARE_OF_TEXTS = 0.1
#: Most different integers that are classes.
MAX_INTEGERS = 20

#: Several labels in a cell as a list: "['a', 'b']", "[a, b]" or '{"choices": ["a"]}'.
LIST = "list"
_LIST = r"^(\[.*\]|\{.*\}|\(.*\))$"
_NAMES = {" ": "space", LIST: "brackets"}
#: Most words of a label, and most labels in a cell, where they are found.
_WORDS, _MOST = 4, 20


@dataclass(frozen=True)
class Labels:
    """How a column is read as labels.

    Attributes:
        kind: "number", "class", or "labels" where a cell may hold several.
        names: The classes, in order.
        separator: What stands between several labels; `LIST` for brackets.
    """

    kind: str
    names: tuple[str, ...] = ()
    separator: str = ""

    def config(self) -> dict[str, Any]:
        """Returns what JSON can hold; see `labels`."""
        return asdict(self)


def labels(config: Mapping[str, Any]) -> Labels:
    """Makes the labels of `config()` again."""
    return Labels(config["kind"], tuple(config["names"]), config["separator"])


def decide(
    values: np.ndarray,
    own: Rule,
    name: str,
    as_class: bool,
    as_number: bool,
    separator: str | None,
    whole: bool,
    problems: Problems,
) -> Labels | str:
    """Decides how a column is read as labels, or returns why it cannot be learned.

    Args:
        values: What `table_columns.apply` made of it.
        own: How it is read.
        name: Name of the column.
        as_class: Whether they are classes whatever they look like.
        as_number: Whether they are numbers whatever they look like.
        separator: What stands between several labels in one cell; "" for nothing, and
            `None` to find it.
        whole: Whether numbers are written as whole ones: 1, not 1.0.
        problems: Takes notes of what is guessed.
    """
    if own.form == "date" and not as_class:
        return f"it holds dates or times; classes={name} reads them as classes"
    if own.form in ("number", "truth"):
        known = np.unique(values[~np.isnan(values)])
        if len(known) < 2:
            return _constant(len(known))
        if own.form == "truth":
            return Labels("class", ("false", "true"))
        return _of_numbers(values, known, name, as_number, whole, problems)
    texts = pa.array(values, pa.string())
    counted = pc.value_counts(pc.filter(texts, pc.not_equal(texts, "")))
    cells = counted.field("values").to_pylist()
    counts = counted.field("counts").to_numpy()
    if not as_class:
        if separator is None:
            separator = _separator(cells, counts, name, problems)
        elif separator == "space":
            separator = " "
        if separator and any(separator in cell for cell in cells):
            parts = [split(cell, separator) for cell in cells]
            return _several(parts, separator, len(values))
        if separator == LIST:
            return _several([split(c, LIST) for c in cells], LIST, len(values))
    names = in_order(cells)
    if len(names) < 2:
        return _constant(len(names))
    if not as_class and _are_too_many(names, len(values)):
        return f"{len(names)} different texts in {len(values)} rows"
    return Labels("class", names)


def apply(
    own: Labels, values: np.ndarray, name: str
) -> tuple[Field, np.ndarray, dict[int, str]]:
    """Reads a column as labels.

    Args:
        own: How they are read.
        values: What `table_columns.apply` made of it.
        name: Name of the column.

    Returns:
        What it holds, the labels as `Field` describes them, and which cells hold a
        class that is none of `own.names`, by place.
    """
    field = Field(own.kind, own.names)
    if own.kind == "number":
        return field, np.asarray(values, "float32"), {}
    if values.dtype.kind == "f":
        cells, codes = np.unique(values, return_inverse=True)
        truths = {"false": 0.0, "true": 1.0}
        place = {truths.get(c, np.nan): i for i, c in enumerate(own.names)}
        if not set(own.names) <= set(truths):
            place = {float(c): i for i, c in enumerate(own.names)}
        ids = np.array([place.get(float(cell), -1) for cell in cells])[codes]
        missing = np.isnan(values)
    else:
        coded = pa.array(values, pa.string()).dictionary_encode()
        cells, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
        missing = values == ""
        if own.kind == "labels":
            return _apply_several(own, field, name, cells, codes, missing)
        ids = _ids(cells, own.names)[codes]
    faults = {
        int(i): _unknown(name, cells[codes[i]], own.names)
        for i in np.flatnonzero((ids < 0) & ~missing)
    }
    return field, ids.astype("int64"), faults


def note_commas(values: pa.Array, own: Rule, name: str, problems: Problems) -> None:
    """Notes a target whose commas, read as before decimals, may part labels: 1,3.

    Args:
        values: Strings or float64, null where missing.
        own: How they are read.
        name: Name of the column.
        problems: Takes the note.
    """
    if own.form != "number" or own.numbers.decimal != ",":
        return
    cells = values.cast(pa.string()).drop_null().unique().to_pylist()
    parts = {part.strip() for cell in cells for part in cell.split(",")}
    several = [cell for cell in cells if "," in cell]
    if several and parts <= set(cells) and len(parts) <= MAX_INTEGERS:
        problems.note(
            f"cells of column {name!r}, such as {several[0]!r}, are read as numbers; "
            "if they are several labels give --dataset_options=separator=,",
            severity="medium",
        )


def split(cell: str, separator: str) -> list[str]:
    """Returns the labels in a cell."""
    if separator != LIST:
        return [part for each in cell.split(separator) if (part := each.strip())]
    value: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(cell)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    if isinstance(value, dict) and len(value) == 1:  # {"choices": ["a", "b"]}
        (value,) = value.values()
    if isinstance(value, (list, tuple, set)):
        return sorted({str(part).strip() for part in value} - {""})
    inside = cell.strip("[](){} ").replace("'", "").replace('"', "")
    return [part for each in inside.split(",") if (part := each.strip())]


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Sorts by value where all are numbers, else as texts."""
    texts = pa.array(names, pa.string())
    if len(names) and pc.all(pc.match_substring_regex(texts, NUMBER)).as_py():
        return tuple(sorted(sorted(names), key=float))
    return tuple(sorted(names))


def _of_numbers(
    values: np.ndarray,
    known: np.ndarray,
    name: str,
    as_number: bool,
    whole: bool,
    problems: Problems,
) -> Labels:
    """Decides between classes and numbers."""
    if as_number or (known != np.round(known)).any() or np.abs(known).max() >= 2**53:
        return Labels("number")
    classes = Labels("class", tuple(str(int(value)) for value in known))
    # Whole numbers of which some are missing are written as 1.0 by many programs.
    gaps = bool(np.isnan(values).any())
    if not (whole or gaps or known.tolist() == [0, 1]):
        if _are_classes(known):
            problems.note(
                f"column {name!r} is written as {known[0]:.1f}, {known[1]:.1f} and so "
                f"on, and read as numbers; classes={name} reads it as classes"
            )
        return Labels("number")
    if _are_classes(known):
        if not whole:
            problems.note(
                f"column {name!r} is written as {known[0]:.1f}, {known[1]:.1f} and so "
                f"on, and read as classes; numbers={name} reads it as numbers"
            )
        return classes
    rest = known[1:] if known[0] < 0 else known[:-1]
    odd = known[0] if known[0] < 0 else known[-1]
    codes = (-1, -9, -99, -999, -9999, 9, 99, 999, 9999)
    if len(rest) > 1 and _are_classes(rest) and odd in codes:
        problems.note(
            f"{int((values == odd).sum())} cells of column {name!r} are {odd:g}, and "
            f"all others classes {rest[0]:g} to {rest[-1]:g}: it is read as one more "
            f"class; if it stands for a missing label give missing={odd:g}",
            severity="high",
        )
        return classes
    return Labels("number")


def _are_classes(known: np.ndarray) -> bool:
    """Whether sorted different integers are 0..k-1, 1..k or any two."""
    if len(known) > MAX_INTEGERS:
        return False
    steps = np.array_equal(known, known[0] + np.arange(len(known)))
    return len(known) == 2 or (steps and known[0] in (0, 1))


def _separator(
    cells: Sequence[str], counts: np.ndarray, name: str, problems: Problems
) -> str:
    """Finds what stands between several labels in a cell; "" where nothing does.

    Labels come back in other cells, so that there are fewer of them than of different
    cells, where the parts of names and of texts are more.
    """
    if len(cells) < 2:
        return ""
    texts = pa.array(cells, pa.string())
    lists = pc.match_substring_regex(texts, _LIST).to_numpy(False)
    if lists.all():
        _note_separator(name, LIST, problems)
        return LIST
    if any("|" in cell for cell in cells):
        return "|"
    for sign in (";", ",", "/", "+", "&", " "):
        if not any(sign in cell for cell in cells):
            continue
        parts = [split(cell, sign) for cell in cells]
        names = {part for own in parts for part in own}
        longest = max(len(part.split()) for part in names) if names else 0
        most = max(map(len, parts))
        if longest > _WORDS or most > _MOST or len(names) > MAX_TEXTS:
            continue
        alone = {own[0] for own in parts if len(own) == 1}
        twice = any(len(set(own)) < len(own) for own in parts)
        fewer = len(names) <= len(cells) and most > 1 and not twice
        if fewer and sign in ";," and len(cells) > 2:
            _note_separator(name, sign, problems)
            return sign
        if fewer and 2 * len(names) <= len(cells) and alone >= names:
            _note_separator(name, sign, problems)
            return sign
        several = int(counts[[len(own) > 1 for own in parts]].sum())
        if fewer or sign == ";":
            problems.note(
                f"{several} cells of column {name!r} hold {sign!r}, such as "
                f"{next(c for c in cells if sign in c)!r}, and each is read as one "
                "class; if they are several labels give --dataset_options=separator="
                f"{_NAMES.get(sign, sign)}",
                severity="medium",
            )
        return ""
    return ""


def _note_separator(name: str, sign: str, problems: Problems) -> None:
    shown = "brackets" if sign == LIST else f"several labels with {sign!r} between them"
    problems.note(
        f"cells of column {name!r} hold {shown}, and are read as labels that may be "
        f"true at once; classes={name} reads each cell as one class",
        severity="low",
    )


def _several(parts: Sequence[list[str]], separator: str, rows: int) -> Labels | str:
    names = in_order(sorted({part for own in parts for part in own}))
    if _are_too_many(names, rows):
        return f"{len(names)} different texts in {rows} rows"
    if len({frozenset(own) for own in parts}) < 2:
        return _constant(1)
    return Labels("labels", names, separator)


def _apply_several(
    own: Labels,
    field: Field,
    name: str,
    cells: Sequence[str],
    codes: np.ndarray,
    missing: np.ndarray,
) -> tuple[Field, np.ndarray, dict[int, str]]:
    hot = np.zeros((len(cells), len(own.names)), "float32")
    place = {label: i for i, label in enumerate(own.names)}
    wrong = {}
    for i, cell in enumerate(cells):
        for part in split(cell, own.separator):
            if part in place:
                hot[i, place[part]] = 1
            else:
                wrong[i] = _unknown(name, part, own.names)
    out = hot[codes]
    out[missing] = np.nan
    bad = np.flatnonzero(np.isin(codes, list(wrong)))
    return field, out, {int(i): wrong[int(codes[i])] for i in bad}


def _ids(texts: Sequence[str], names: Sequence[str]) -> np.ndarray:
    found = pc.index_in(pa.array(texts, pa.string()), pa.array(names, pa.string()))
    ids: np.ndarray = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return ids


def _unknown(name: str, cell: Any, names: Sequence[str]) -> str:
    shown = f"{cell:g}" if isinstance(cell, float) else str(cell)
    some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"column {name!r} holds the class {shown!r}, which is none of {some}"


def _are_too_many(names: Sequence[str], rows: int) -> bool:
    return len(names) > max(MAX_TEXTS, SHARE_OF_TEXTS * rows)


def _constant(different: int) -> str:
    return "all rows have the same value" if different else "no row has a value"
