"""What the columns of a table hold, and their values as labels and as inputs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.loaders.table_numbers import NUMBER, SHARE
from p5_keras.data.records import Field, Problems

#: Most different texts that are classes, unless it is a smaller share of the rows.
MAX_TEXTS = 50
SHARE_OF_TEXTS = 0.1
#: Most different integers that are classes.
MAX_INTEGERS = 20
#: Mean number of words from which texts are to be read.
_WORDS = 3

_INTEGER = r"^[+-]?\d+$"
#: A word, or a character of a script that puts no spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = _UNSPACED + r"|\S+"


def form(
    values: pa.Array, name: str, classes: Iterable[str], numbers: Iterable[str]
) -> str:
    """Returns what the values of a column are: "number", "truth" or "text".

    Args:
        values: Strings or float64, null where missing.
        name: Name of the column.
        classes: Names of columns that are classes whatever they look like.
        numbers: Names of columns that are numbers whatever they look like.

    Raises:
        ValueError: One that must be numbers has none.
    """
    if pa.types.is_floating(values.type):
        return "text" if name in classes else "number"
    present = values.drop_null()
    share = pc.mean(pc.match_substring_regex(present, NUMBER).cast("int8")).as_py()
    if name in numbers:
        if not share:
            raise ValueError(
                "`numbers` must name columns that hold numbers. "
                f"Received: {name!r}, which holds none"
            )
        return "number"
    if not len(present) or name in classes:
        return "text"
    if share >= SHARE:
        return "number"
    words = pa.array(["true", "false"])
    if pc.all(pc.is_in(pc.utf8_lower(present), words)).as_py():
        return "truth"
    return "text"


def faults(values: pa.Array, name: str) -> dict[int, str]:
    """Returns why cells of a column of numbers cannot be used, by place."""
    parsed = _numbers(values)
    found = {}
    if not pa.types.is_floating(values.type):
        wrong = pc.invert(pc.match_substring_regex(values, NUMBER)).fill_null(False)
        for i in np.flatnonzero(wrong.to_numpy(False)):
            found[int(i)] = (
                f"column {name!r} holds {values[i].as_py()!r}, which is no number; "
                "if it is one of texts, name it in `classes`"
            )
    limit = np.finfo(np.float32).max
    for i in np.flatnonzero(np.abs(parsed) > limit):
        found[int(i)] = (
            f"column {name!r} holds {values[int(i)].as_py()}, which is no number that "
            "fits into 32 bits"
        )
    return found


def target(
    values: pa.Array, form: str, as_class: bool, as_number: bool, separator: str
) -> tuple[Field, np.ndarray] | str:
    """Returns a column as labels, or why it cannot be learned.

    Args:
        values: Strings or float64, null where missing, without faults.
        form: What they are.
        as_class: Whether they are classes whatever they look like.
        as_number: Whether they are numbers whatever they look like.
        separator: What stands between several labels in one cell.
    """
    if form == "truth":
        values = pc.utf8_lower(values)
    if form == "number" and not as_class:
        parsed = _numbers(values)
        known = np.unique(parsed[~np.isnan(parsed)])
        if len(known) < 2:
            return _constant(len(known))
        if as_number or not (_are_integers(values) and _are_classes(known)):
            return Field("number"), parsed.astype("float32")
        names = tuple(str(int(value)) for value in known)
        ids = np.searchsorted(known, np.nan_to_num(parsed)).astype("int64")
        return Field("class", names), np.where(np.isnan(parsed), -1, ids)
    texts = _texts(values)
    several = bool(separator) and not as_class
    if several and pc.any(pc.match_substring(texts, separator)).as_py():
        return _labels(texts, separator)
    names = _in_order(pc.unique(texts.drop_null()).to_pylist())
    if len(names) < 2:
        return _constant(len(names))
    if not as_class and _are_too_many(names, len(values)):
        return f"{len(names)} different texts in {len(values)} rows"
    return Field("class", names), _ids(texts, names)


def raw_input(
    values: pa.Array,
    form: str,
    name: str,
    as_class: bool,
    as_text: bool,
    problems: Problems,
) -> tuple[str, np.ndarray] | None:
    """Returns a column as an input: its kind, and its raw values.

    Args:
        values: Strings or float64, null where missing, without faults.
        form: What they are.
        name: Name of the column.
        as_class: Whether they are classes whatever they look like.
        as_text: Whether they are text whatever they look like.
        problems: Takes notes of what is left out.

    Returns:
        "number" and float64, NaN where missing; "category" or "text" and strings, ""
        where missing; `None` where the column is left out.
    """
    if form == "truth":
        values = pc.equal(pc.utf8_lower(values), "true").cast(pa.float64())
    if form != "text" and not as_text:
        return "number", _numbers(values)
    texts = _texts(values)
    different = pc.unique(texts.drop_null())
    cells = texts.fill_null("").to_numpy(zero_copy_only=False)
    if as_text:
        return "text", cells
    if not as_class and len(different) > _most(len(texts)):
        problems.note(
            f"input column {name!r} left out: {len(different)} different texts in "
            f"{len(texts)} rows; to read it as text, name it in `texts`"
        )
        return None
    return "category", cells


def served(
    values: pa.Array, name: str, number: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """Returns a column as a trained model reads it, and why cells cannot be used.

    Args:
        values: Strings or float64, null where missing.
        name: Name of the column.
        number: Whether the model reads numbers; else it reads strings.

    Returns:
        float64, NaN where missing, or strings, "" where missing; and reasons by place.
    """
    if not number:
        return _texts(values).fill_null("").to_numpy(zero_copy_only=False), {}
    if form(values, name, (), ()) == "truth":
        values = pc.equal(pc.utf8_lower(values), "true").cast(pa.float64())
    return _numbers(values), faults(values, name)


def is_prose(values: pa.Array) -> bool:
    """Returns whether strings are too many to be classes, and are of several words."""
    different = pc.unique(_texts(values).drop_null())
    words = pc.mean(pc.count_substring_regex(different, _WORD)).as_py()
    return len(different) > min(MAX_TEXTS, len(values) // 2) and words >= _WORDS


def is_unspaced(texts: np.ndarray) -> bool:
    """Returns whether most characters are of scripts without spaces between words."""
    values = pa.array(texts, pa.string())
    own = pc.sum(pc.count_substring_regex(values, _UNSPACED)).as_py() or 0
    return 2 * own > (pc.sum(pc.utf8_length(values)).as_py() or 0)


def doubts(values: pa.Array, form: str, name: str) -> str:
    """Returns what may be wrong with a column of texts, or nothing.

    Args:
        values: Strings or float64, null where missing.
        form: What they are.
        name: Name of the column.
    """
    if form != "text" or pa.types.is_floating(values.type):
        return ""
    different = pc.unique(values.drop_null())
    numbers = pc.match_substring_regex(different, NUMBER)
    others = pc.filter(different, pc.invert(numbers)).to_pylist()
    if 0 < len(others) <= len(different) / 2:
        return (
            f"column {name!r} has numbers and {len(others)} other values such as "
            f"{others[0]!r}, so all are read as texts; if that stands for a missing "
            "value name it in `missing`"
        )
    folded = pc.value_counts(pc.utf8_lower(different)).to_pylist()
    if len(different) <= MAX_TEXTS and len(folded) < len(different):
        twice = next(entry["values"] for entry in folded if entry["counts"] > 1)
        own = [text for text in different.to_pylist() if text.lower() == twice]
        return f"column {name!r} has values that differ in case alone, such as {own}"
    return ""


def count_up(values: pa.Array, form: str, rows: np.ndarray) -> bool:
    """Returns whether a column only numbers the rows."""
    if form != "number" or not _are_integers(values):
        return False
    parsed = _numbers(values)
    return len(rows) > 1 and not np.isnan(parsed).any() and np.ptp(parsed - rows) == 0


def _labels(texts: pa.Array, separator: str) -> tuple[Field, np.ndarray] | str:
    """Returns several labels a cell as 0 and 1 by class, NaN where missing."""
    cells = pc.split_pattern(texts, separator)
    parts = pc.utf8_trim_whitespace(pc.list_flatten(cells))
    rows = pc.list_parent_indices(cells).to_numpy(False)
    used = pc.not_equal(parts, "").to_numpy(False)
    names = _in_order(pc.unique(pc.filter(parts, pa.array(used))).to_pylist())
    if _are_too_many(names, len(texts)):
        return f"{len(names)} different texts in {len(texts)} rows"
    out = np.zeros((len(texts), len(names)), "float32")
    out[rows[used], _ids(parts, names)[used]] = 1
    known = ~texts.is_null().to_numpy(False)
    if len(np.unique(out[known], axis=0)) < 2:
        return _constant(1)
    out[~known] = np.nan
    return Field("labels", names), out


def _numbers(values: pa.Array) -> np.ndarray:
    """Returns float64, NaN where missing or no number."""
    if not pa.types.is_floating(values.type):
        right = pc.match_substring_regex(values, NUMBER)
        values = pc.if_else(right, values, pa.scalar(None, pa.string()))
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _texts(values: pa.Array) -> pa.Array:
    """Returns strings; 2.0 is "2"."""
    return values.cast(pa.string())


def _ids(texts: pa.Array, names: tuple[str, ...]) -> np.ndarray:
    """Returns the place of each text among names, −1 where it is none of them."""
    ids = pc.index_in(texts, pa.array(names, pa.string())).fill_null(-1)
    return ids.to_numpy(zero_copy_only=False).astype("int64")


def _in_order(names: list[str]) -> tuple[str, ...]:
    """Sorts by value where all are numbers, else as texts."""
    texts = pa.array(names, pa.string())
    values = _numbers(texts)
    if np.isnan(values).any():
        return tuple(sorted(names))
    return tuple(name for _, name in sorted(zip(values, names, strict=True)))


def _are_integers(values: pa.Array) -> bool:
    if pa.types.is_floating(values.type):
        return False
    matches: Any = pc.all(pc.match_substring_regex(values.drop_null(), _INTEGER))
    return bool(matches.as_py())


def _are_classes(known: np.ndarray) -> bool:
    """Whether sorted different integers are 0..k-1, 1..k or any two."""
    if len(known) > MAX_INTEGERS:
        return False
    steps = np.array_equal(known, known[0] + np.arange(len(known)))
    return len(known) == 2 or (steps and known[0] in (0, 1))


def _most(rows: int) -> int:
    """Returns how many different texts may be categories of an input."""
    return min(MAX_TEXTS, max(10, rows // 2))


def _are_too_many(names: tuple[str, ...], rows: int) -> bool:
    return len(names) > max(MAX_TEXTS, SHARE_OF_TEXTS * rows)


def _constant(different: int) -> str:
    return "all rows have the same value" if different else "no row has a value"
