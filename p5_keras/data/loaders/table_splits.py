"""Which split each row of a table is in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders.listing import SPLITS
from p5_keras.data.loaders.table_file import Table
from p5_keras.data.records import Problems

_NAMES = ("split", "set", "subset", "fold")


def find_column(table: Table, free: Sequence[str]) -> str | None:
    """Returns the column that says the split, if there is one.

    It is called a split, and half of its values are such words.

    Args:
        table: The table.
        free: Columns that are for nothing else.
    """
    for name in free:
        words = _words(table, name) if name.casefold() in _NAMES else []
        known = sum(word in SPLITS for word in words)
        if known > 0 and 2 * known >= len(words) - words.count(""):
            return name
    return None


def faults(table: Table, column: str | None, group: str | None) -> dict[int, str]:
    """Returns why rows can be in no split, by place.

    Args:
        table: The table.
        column: The column that says the split, if there is one.
        group: The column whose rows of one value stay together, or `None`.
    """
    found: dict[int, str] = {}
    for row, word in enumerate(_words(table, column) if column else []):
        if word not in SPLITS:
            found[row] = (
                f"column {column!r} holds {word!r}, and splits are {', '.join(SPLITS)}"
            )
    for row, word in enumerate(_words(table, group) if group else []):
        if not word:
            found.setdefault(row, f"column {group!r}, the `group`, holds nothing")
    return found


def split_rows(
    table: Table,
    names: Sequence[str],
    column: str | None,
    group: str | None,
    strata: Sequence[str] | None,
    ratios: tuple[float, float, float],
    problems: Problems,
    reading: Mapping[str, Any] | None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Splits by the table's own word, and what it leaves by groups, or row by row.

    Args:
        table: The table, without faults.
        names: A name for each row.
        column: The column that says the split, if there is one.
        group: The column whose rows of one value stay together, or `None`.
        strata: A class for each row; each is cut in the same ratios, unless there is
            a `group`.
        ratios: Shares of training, validation and test rows, or groups.
        problems: Keeps what was cut.
        reading: How the training data of a model were read, whose splits hold.

    Returns:
        `(n,)` strings: "train", "validation" or "test"; and the rule, for `reading`.

    Raises:
        ValueError: The ratios are no shares, or a split would be empty.
    """
    given = [SPLITS[word] for word in _words(table, column)] if column else None
    if group is None:
        return cut(names, given, strata, ratios, problems, reading)
    words = _words(table, group)
    if given is None:
        each, place = np.unique(words, return_inverse=True)
        own, rule = cut(each.tolist(), None, None, ratios, problems, reading)
        return own[place], rule
    # The table's own word holds, and of a split that is cut groups stay together.
    pairs = [f"{split} {word}" for split, word in zip(given, words, strict=True)]
    units, first, place = np.unique(pairs, return_index=True, return_inverse=True)
    alone = len({unit.partition(" ")[2] for unit in units})
    problems.note(
        f"values of {group!r}, the `group`, that stand in several splits of {column!r}",
        len(units) - alone,
        "high",
    )
    said = [given[i] for i in first]
    own, rule = cut(units.tolist(), said, None, ratios, problems, reading)
    return own[place], rule


def groups(table: Table, group: str | None) -> np.ndarray | None:
    """Returns the group of each row as a number, `(n,)`, if there are groups."""
    if group is None:
        return None
    return np.unique(_words(table, group), return_inverse=True)[1]


def _words(table: Table, name: str) -> list[str]:
    texts = table.columns[name].cast(pa.string()).to_pylist()
    return ["" if text is None else text.casefold() for text in texts]
