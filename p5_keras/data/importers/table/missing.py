"""What stands for a missing value in a table, and what only looks as if it did."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.records import Problems

#: Cells that stand for a missing value, unless the user says otherwise.
MISSING = (
    *("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None"),
    *("?", "-"),
)
#: Errors of spreadsheets, which are missing values too.
ERRORS = ("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!")
#: Those of `MISSING` that people write as a label: no defect, North America, negative.
_WORDS = ("NA", "N/A", "n/a", "null", "NULL", "None", "-")
#: A word is a label if it is as frequent as so many of the other labels' mean.
_SHARE = 0.25


def absent(values: pa.Array, missing: Sequence[str], kept: Sequence[str]) -> pa.Array:
    """Returns a column with null where a value is missing.

    Args:
        values: Strings or float64 as they stand.
        missing: Cells that stand for a missing value.
        kept: Those of them that are values in this column.
    """
    if not pa.types.is_string(values.type):
        return pc.if_else(pc.is_nan(values), None, values)
    tokens = [*(t for t in missing if t not in kept), *ERRORS, ""]
    empty = pc.is_in(values, pa.array(tokens, pa.string()))
    return pc.if_else(empty, pa.scalar(None, pa.string()), values)


def note_errors(columns: Mapping[str, pa.Array], problems: Problems) -> None:
    """Notes errors of a spreadsheet among the cells."""
    for name, values in columns.items():
        if pa.types.is_string(values.type):
            wrong = pc.is_in(values, pa.array([*ERRORS, "#N/A"], pa.string()))
            problems.note(
                f"cells of column {name!r} that hold an error of a spreadsheet, such "
                "as #DIV/0!, and are read as missing",
                int(pc.sum(wrong).as_py() or 0),
                "low",
            )


def labels_kept(
    columns: Mapping[str, pa.Array],
    targets: Sequence[str],
    numbers: Sequence[str],
    problems: Problems,
) -> dict[str, tuple[str, ...]]:
    """Returns which words for a missing value are labels, by column of texts.

    One is where it leaves no two labels to tell apart, or where it is the only such
    word of its column, about as frequent as the labels, and no number of the table is
    missing by it.

    Args:
        columns: All columns as they stand.
        targets: Those that hold texts or nothing, and are to be learned.
        numbers: Those that hold numbers.
        problems: Takes notes.
    """
    words = {name: _counts(columns[name]) for name in targets}
    in_numbers = {
        word
        for word in _WORDS
        if any(word in counts for counts in words.values())
        and any(_holds(columns[name], word) for name in numbers)
    }
    found = {}
    for name, counts in words.items():
        here = [word for word in MISSING if word and word in counts]
        labels = {c: n for c, n in counts.items() if c not in MISSING + ERRORS}
        if not here:
            continue
        mean = sum(labels.values()) / max(len(labels), 1)
        often = counts[here[0]] >= max(2, _SHARE * mean)
        usual = here[0] not in _WORDS or here[0] in in_numbers
        evident = len(here) == 1 and (
            len(labels) == 1 or (len(labels) > 1 and often and not usual)
        )
        cells = " and ".join(f"{counts[word]} cells {word!r}" for word in here)
        if evident:
            found[name] = tuple(here)
            problems.note(
                f"column {name!r} has {cells}, read as a class; if they stand for a "
                f"missing label give missing={here[0]}",
                severity="medium",
            )
        else:
            problems.note(
                f"column {name!r} has {cells}, read as missing labels; if they are a "
                "class give `missing` without them, such as missing=?",
                severity="medium",
            )
    return found


def note_stand_ins(name: str, values: np.ndarray, problems: Problems) -> None:
    """Notes a number that may stand for a missing one: -1 or -999 among positive ones.

    Args:
        name: Name of the column.
        values: `(n,)` float64, NaN where missing.
        problems: Takes the note.
    """
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(known) < 3:
        return
    for odd, count, rest in (
        (known[0], counts[0], known[1:]),
        (known[-1], counts[-1], known[:-1]),
    ):
        spread = rest[-1] - rest[0]
        gap = max(rest[0] - odd, odd - rest[-1])
        digits = f"{abs(odd):.2f}".rstrip("0").rstrip(".")
        nines = set(digits) <= {"9", "."} and abs(odd) >= 99
        nines = nines and gap >= spread and gap >= abs(odd) / 4
        alone = odd < 0 <= rest[0] and count > 1  # the only negative number
        if nines or (alone and (gap >= spread or odd in (-1, -9)) and len(rest) > 2):
            problems.note(
                f"{count} cells of column {name!r} are {odd:g}, and all others "
                f"{rest[0]:g} to {rest[-1]:g}: if it stands for a missing value give "
                f"missing={odd:g}",
                severity="high" if gap >= spread and count > 1 else "medium",
            )


def _holds(values: pa.Array, cell: str) -> bool:
    if not pa.types.is_string(values.type):
        return False
    return bool(pc.any(pc.equal(values, cell)).as_py())


def _counts(values: pa.Array) -> dict[str, int]:
    """Returns how often each cell is there; of numbers nothing."""
    if not pa.types.is_string(values.type):
        return {}
    found = pc.value_counts(values.drop_null())
    cells = found.field("values").to_pylist()
    return dict(zip(cells, found.field("counts").to_pylist(), strict=True))
