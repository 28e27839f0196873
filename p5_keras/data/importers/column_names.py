"""Columns whose names say that they are a group, an id or a time."""

import re
from collections.abc import Iterator

import numpy as np

from p5_keras.data.importers.label_checks import present
from p5_keras.data.importers.repeats import same_rows
from p5_keras.data.records import Records, has_cut_test

# Members of a group are alike; an id or a time tells of the order of collection.
_GROUPS = {
    *("patient", "subject", "speaker", "user", "person", "participant", "customer"),
    *("client", "household", "writer", "animal", "session", "individual"),
    *("respondent", "driver", "player", "student"),
}
_IDS = {"id", "ids", "uuid", "guid", "idx", "rowid", "identifier", "unnamed"}
_TIMES = {"date", "datetime", "timestamp"}
# What names it only alone: "number of rooms" is no id, "year built" no time.
_ID_ALONE = {"index", "key", "no", "nr", "number", "row"}
_TIME_ALONE = {"time", "year", "day"}
# A split in words or in yes and no: "is_test", "fold".
_SPLITS = {"train", "training", "test", "testing", "validation", "holdout"}
_SPLIT_ALONE, _FOLDS = {"fold", "split", "partition", "holdout"}, 20
_SUFFIXES = {"id", "no", "nr", "num", "number", "name", "code", "key", "index", "idx"}

_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"

# Seconds since 1970 of the years 2000 to 2035.
_EPOCH = 946_684_800, 2_051_222_400


def note_names(records: Records) -> None:
    """Notes columns of a table that by their names are a group, an id or a time.

    Args:
        records: The records, with columns as the table calls them; their `problems`
            take the notes.
    """
    targets = {
        name: np.asarray(column)
        for name, column in records.columns.items()
        if records.fields[name].kind in ("class", "number") and np.ndim(column) == 1
    }
    if len(records.fields) == 1:
        targets = {}  # who asks for it alone means it
    inputs = {n: c for n, c in (records.inputs or {}).items() if c.ndim == 1}
    roles = {"target": targets, "column": records.aside, "input": inputs}
    for role, columns in roles.items():
        for name, values in columns.items():
            kind = "class" if values.dtype.kind == "i" else ""
            there = present(values, kind)
            if there.any():
                own = values[there], records.splits[there]
                for severity, what in _named(records, name, role, *own):
                    records.problems.note(what, severity=severity)


def _named(
    records: Records, name: str, role: str, values: np.ndarray, splits: np.ndarray
) -> Iterator[tuple[str, str]]:
    kind = kind_of_name(name) or ("date" if _are_dates(values) else "")
    if not kind:
        return
    what = f"{role} {name!r}"
    leave = f"; if it is no {role}, --dataset_options=ignore={name}"
    leave = "" if role == "column" else leave
    rows = same_rows([values])
    number, grouped = int(rows.max()) + 1, records.groups is not None
    spread = _spread(rows, splits)
    repeats = 2 <= number <= len(rows) / 2 and spread and not grouped
    if kind == "split" and role != "column" and number <= _FOLDS:
        yield (
            "medium",
            f"{what} has the name of a split and is read as {role}; if it holds words "
            f"such as train and test, --dataset_options=split_column={name} takes it; "
            f"--dataset_options=group={name} keeps each of its values in one split"
            f"{leave}",
        )
    elif kind in ("group", "id") and repeats:
        yield (
            "medium" if kind == "group" else "low",
            f"{what} has the name of {'a group' if kind == 'group' else 'an id'}, and "
            f"{spread} of its {number} values stand in several splits: a score is one "
            "of groups that training has seen; --dataset_options=group="
            f"{name} keeps each in one split{leave}",
        )
    elif kind in ("group", "id") and role != "column" and 2 * number > len(rows):
        yield (
            "medium",
            f"{what} has the name of an id, and tells nothing of new examples{leave}",
        )
    elif kind in ("time", "date") and not grouped and has_cut_test(records.problems):
        yield (
            "medium" if kind == "date" else "low",
            f"{what} is a time by its "
            f"{'name' if kind_of_name(name) else 'values'}, and rows are split at "
            "random: those of the test lie between those of training, not after them; "
            "say the splits in a column (split_column=), or keep each period in one "
            f"split (group=){leave}",
        )


def kind_of_name(name: str) -> str:
    """Returns what a column is by its name.

    Args:
        name: The name, such as "patientID", "row_id" or "Date".

    Returns:
        "group", "id", "date", "time", "split" or "".
    """
    words = re.findall("[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower())
    numbered = re.search(r"\d", name) and words[:1] != ["unnamed"]
    if not words or numbered:  # "nr_11" is one of several
        return ""
    first, alone = words[0], len(words) == 1
    if set(words[1:]) <= _SUFFIXES and {first, first.removesuffix("id")} & _GROUPS:
        return "group"
    if _IDS & set(words) or (alone and first in _ID_ALONE):
        return "id"
    if words[-1] in _TIMES or (words[-1] == "at" and not alone):  # created_at
        return "date"
    if (alone and first in _SPLIT_ALONE) or (
        len(words) == 2 and _SPLITS & set(words) and {"is", "in", "set"} & set(words)
    ):
        return "split"
    return "time" if alone and first in _TIME_ALONE else ""


def _are_dates(values: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        low, high = (float(v) for v in (values.min(), values.max()))
        whole = low != high and (values == np.round(values)).all()
        return bool(whole) and any(
            _EPOCH[0] <= low / unit and high / unit <= _EPOCH[1] for unit in (1, 1000)
        )
    if values.dtype.kind not in "OUS":
        return False
    return all(re.match(_DATE, str(value)) for value in values[:100])


def _spread(groups: np.ndarray, splits: np.ndarray) -> int:
    """Returns how many groups stand in several splits."""
    codes = np.unique(splits, return_inverse=True)[1]
    pairs = np.unique(groups.astype("int64") * 3 + codes)
    return int((np.bincount(pairs // 3) > 1).sum())
