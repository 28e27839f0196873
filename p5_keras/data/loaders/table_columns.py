"""What the columns of a table hold: decided once, and read by that ever after."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.loaders import table_numbers
from p5_keras.data.loaders.table_numbers import NUMBER, PLAIN, SHARE, Numbers
from p5_keras.data.records import Problems

#: Most different texts that are classes, unless it is a smaller share of the rows.
MAX_TEXTS = 50
#: Mean number of words from which texts are to be read.
_WORDS = 3

#: Digits that float64 cannot hold, so that two numbers would be one.
_ID_DIGITS = r"^[+-]?\d{16,}$"
_LEADING_ZERO = r"^0\d+$"
_TRUTHS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
_TRUTHS |= {"1.0": 1.0, "0.0": 0.0}
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s*[AaPp]\.?[Mm]\.?)?"
_ZONE = r"(\s*(Z|UTC|[+-]\d{2}:?\d{2}))?"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY = (
    r"(1[5-9]|20|21)\d{2}[-/.]\d{1,2}([-/.]\d{1,2})?",
    r"([012]?\d|3[01])[-/.]([012]?\d|3[01])[-/.](\d{4}|\d{2})",
    rf"\d{{1,2}}\.?[- ]{_MONTH}[-, ]+(\d{{4}}|\d{{2}})",
    rf"{_MONTH}[- ]\d{{1,2}},?[- ]+\d{{4}}",
)
_DATE = rf"^(({'|'.join(_DAY)})([T ,]+{_CLOCK}{_ZONE})?|{_CLOCK})$"
_DAY_NUMBER = r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"
#: A word, or a character of a script that puts no spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WORD = _UNSPACED + r"|\S+"


@dataclass(frozen=True)
class Rule:
    """How a column is read.

    Attributes:
        form: "number"; "truth", yes or no; "date", which nothing reads; "text"; or
            "code", a text that is a number, of which 1.0 is 1.
        numbers: How its numbers are written.
        kept: Cells that stand for a missing value elsewhere, and here do not.
    """

    form: str
    numbers: Numbers = PLAIN
    kept: tuple[str, ...] = ()

    def config(self) -> dict[str, Any]:
        """Returns what JSON can hold; see `rule`."""
        return asdict(self)


def rule(config: Mapping[str, Any]) -> Rule:
    """Makes the rule of `config()` again."""
    given = dict(config["numbers"])
    numbers = Numbers(**{**given, "units": tuple(given["units"])})
    return Rule(config["form"], numbers, tuple(config["kept"]))


def decide(
    columns: Mapping[str, pa.Array],
    classes: Iterable[str],
    numbers: Iterable[str],
    problems: Problems,
    decimal: str | None = None,
    likely: str = ".",
    whole: Iterable[str] = (),
) -> dict[str, Rule]:
    """Decides how each column is read, all numbers of a file by one sign of decimals.

    Where a column may be read in two ways, as one of 1,234 and 5,678, the others
    decide, and if none of them does, `likely`.

    Args:
        columns: Strings or float64, null where missing.
        classes: Names of columns that are classes whatever they look like.
        numbers: Names of columns that are numbers whatever they look like.
        problems: Takes notes of what is guessed.
        decimal: What stands before decimals, if it is known.
        likely: What does if nothing tells.
        whole: Names of columns in which a comma stands between labels.

    Raises:
        ValueError: One that must be numbers has none.
    """
    found = {
        name: table_numbers.readings(values)
        for name, values in columns.items()
        if pa.types.is_string(values.type) and name not in classes
    }
    for name in {*whole} & {*found}:
        found[name] = ([n for n in found[name][0] if n == PLAIN], "")
    votes = [
        ways[0].decimal
        for ways, signs in found.values()
        if len({n.decimal for n in ways}) == 1 and ways[0].decimal in signs
    ]
    told = decimal or ("," if 2 * votes.count(",") > len(votes) else "." * bool(votes))
    rules = {}
    for name, values in columns.items():
        ways, signs = found.get(name, ([], ""))
        own = _written(name, ways, signs, told, likely, problems) if ways else None
        rules[name] = _rule(values, name, own, classes, numbers, problems)
    return rules


def _written(
    name: str,
    ways: Sequence[Numbers],
    signs: str,
    told: str,
    likely: str,
    problems: Problems,
) -> Numbers:
    """Returns which of several ways the numbers of a column are written in.

    Args:
        name: Name of the column.
        ways: Those that fit, the simplest first.
        signs: Commas, points and so on that the numbers hold.
        told: What stands before decimals in other columns, or "".
        likely: What does if nothing tells.
        problems: Takes a note of a guess.
    """
    # 1.234 may be read in two ways, of which the simple one is usual.
    usual = told or ("." if PLAIN in ways else likely)
    chosen = next((n for n in ways if n.decimal == usual), ways[0])
    about, what = chosen.about(), f"column {name!r} has numbers with "
    if chosen.mixed:
        units = [*chosen.units, *["none"] * (chosen.bare and "%" in chosen.units)]
        problems.note(
            f"column {name!r} has numbers with different units ({', '.join(units)}), "
            "which are left out as if they were the same: bring them to one",
            severity="high",
        )
    if "," not in signs and "." not in signs:  # whole numbers, which tell nothing
        problems.note(what + about if about else "")
        return replace(chosen, decimal=told or chosen.decimal)
    unsure = len({n.decimal for n in ways}) > 1
    if unsure and not told:
        other = "," if chosen.decimal == "." else "."
        about = about or "points, which are read as before decimals"
        problems.note(
            f"{what}{about}; if they are not, give --dataset_options=decimal={other}",
            severity="low" if chosen == PLAIN else "medium",
        )
    elif chosen.decimal != usual and chosen.decimal in signs:
        problems.note(
            f"{what}{_sign(chosen.decimal)} before decimals, and other columns have "
            f"{_sign(usual)}: each is read by itself",
            severity="medium",
        )
    elif about:
        problems.note(what + about)
    return chosen


def _sign(decimal: str) -> str:
    return "points" if decimal == "." else "commas"


def _rule(
    values: pa.Array,
    name: str,
    written: Numbers | None,
    classes: Iterable[str],
    numbers: Iterable[str],
    problems: Problems,
) -> Rule:
    if pa.types.is_floating(values.type):
        return Rule("code" if name in classes else "number")
    present = values.drop_null()
    if name in numbers:
        own = written or PLAIN
        if not (~table_numbers.parse(present, own)[1]).any():
            raise ValueError(
                "`numbers` must name columns that hold numbers. "
                f"Received: {name!r}, which holds none"
            )
        return Rule("number", own)
    if not len(present):
        return Rule("text")
    zeros = _any(present, _LEADING_ZERO)
    if name in classes:
        plain = not zeros and _all(present, NUMBER) and not _any(present, _ID_DIGITS)
        return Rule("code" if plain else "text")
    if written is not None:
        why = ""
        if zeros:
            why = "numbers with leading zeros, which are read as codes"
        elif _any(present, _ID_DIGITS):
            why = "numbers of more than 15 digits, which are read as codes"
        elif len(present) > 1 and _all(present, _DAY_NUMBER):
            why = "numbers such as 20240131, which are read as dates"
        if not why:
            return Rule("number", written)
        problems.note(
            f"column {name!r} has {why}; numbers={name} reads them as numbers",
            severity="low",
        )
        return Rule("date" if why.endswith("dates") else "text")
    words = pc.unique(pc.utf8_lower(present))
    if pc.all(pc.is_in(words, pa.array(list(_TRUTHS)))).as_py():
        both = {_TRUTHS[word] for word in words.to_pylist()}
        mixed = len(words) > len(both) == 2
        if mixed or set(words.to_pylist()) <= {"true", "false"}:
            if mixed:
                what = f"column {name!r} writes true and false in several ways"
                problems.note(f"{what}: {', '.join(sorted(words.to_pylist()))}")
            return Rule("truth")
    if _share(present, _DATE) >= SHARE:
        return Rule("date")
    return Rule("text")


def apply(
    own: Rule, values: pa.Array, name: str, missing: Sequence[str] = ()
) -> tuple[np.ndarray, dict[int, str]]:
    """Reads a column by its rule.

    Args:
        own: The rule.
        values: Strings or float64, null where missing.
        name: Name of the column.
        missing: Cells that stand for a missing value.

    Returns:
        Of "number" and "truth" float64, NaN where missing; else strings, "" where
        missing. And why cells cannot be used, by place.
    """
    if own.form in ("number", "truth"):
        if own.form == "truth" and pa.types.is_string(values.type):
            out, wrong = _truths(values)
        else:
            out, wrong = table_numbers.parse(values, own.numbers, missing)
        return out, _faults(values, name, out, wrong, own)
    texts = values.cast(pa.string())
    if own.form == "code":
        coded = texts.dictionary_encode()
        plain = [_plain(text) for text in coded.dictionary.to_pylist()]
        texts = pa.array(plain, pa.string()).take(coded.indices)
    return texts.fill_null("").to_numpy(zero_copy_only=False), {}


def apply_stored(
    own: Rule, values: pa.Array, name: str, missing: Sequence[str] = ()
) -> tuple[np.ndarray, dict[int, str]]:
    """Reads a column of other data by the rule that training had; see `apply`.

    Raises:
        ValueError: Most cells do not fit, as where another program wrote them.
    """
    out, faults = apply(own, values, name, missing)
    present = len(values) - values.null_count
    if 2 * len(faults) > present:
        raise ValueError(
            f"Column {name!r} must be written as in the training data: {_how(own)}. "
            f"Received: {len(faults)} of {present} cells that are not, such as "
            f"{values[min(faults)].as_py()!r}"
        )
    return out, faults


def _how(own: Rule) -> str:
    if own.form == "truth":
        return "true and false, or yes and no"
    about = own.numbers.about()
    return f"numbers with {about}" if about else "plain numbers, such as 1234.5"


def _truths(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    coded = pc.utf8_lower(values).dictionary_encode()
    table = [_TRUTHS.get(word, np.nan) for word in coded.dictionary.to_pylist()]
    codes = coded.indices.fill_null(len(table)).to_numpy(zero_copy_only=False)
    out = np.array([*table, np.nan])[codes]
    return out, np.isnan(out) & ~values.is_null().to_numpy(zero_copy_only=False)


def _faults(
    values: pa.Array, name: str, out: np.ndarray, wrong: np.ndarray, own: Rule
) -> dict[int, str]:
    found = {}
    about = own.numbers.about() if own.form == "number" else ""
    for i in np.flatnonzero(wrong):
        what = "no number" if own.form == "number" else "neither true nor false"
        what += f" among numbers with {about}" if about else ""
        found[int(i)] = (
            f"column {name!r} holds {values[int(i)].as_py()!r}, which is {what}; if it "
            "is one of texts, name it in `classes`"
        )
    for i in np.flatnonzero(np.abs(out) > np.finfo(np.float32).max):
        found[int(i)] = (
            f"column {name!r} holds {values[int(i)].as_py()}, which is no number that "
            "fits into 32 bits"
        )
    return found


def _plain(text: str | None) -> str | None:
    """Returns a number as text, so that 1, 1.0 and 1e0 are one; others as they are."""
    if text is None or not re.fullmatch(NUMBER[1:].partition("$|")[0], text):
        return text
    value = float(text)
    whole = value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else repr(value)


def raw_input(
    texts: np.ndarray, name: str, as_class: bool, as_text: bool, problems: Problems
) -> str | None:
    """Returns which input a column of texts is: "category", "text", or `None`.

    Args:
        texts: Strings, "" where missing.
        name: Name of the column.
        as_class: Whether they are classes whatever they look like.
        as_text: Whether they are text whatever they look like.
        problems: Takes a note if the column is left out.
    """
    if as_text:
        return "text"
    different = len(pc.unique(pa.array(texts[texts != ""], pa.string())))
    if not as_class and different > min(MAX_TEXTS, max(10, len(texts) // 2)):
        problems.note(
            f"input column {name!r} left out: {different} different texts in "
            f"{len(texts)} rows; to read it as text, name it in `texts`"
        )
        return None
    return "category"


def is_prose(values: pa.Array) -> bool:
    """Returns whether strings are too many to be classes, and are of several words."""
    different = pc.unique(values.cast(pa.string()).drop_null())
    words = pc.mean(pc.count_substring_regex(different, _WORD)).as_py()
    return len(different) > min(MAX_TEXTS, len(values) // 2) and words >= _WORDS


def is_unspaced(texts: np.ndarray) -> bool:
    """Returns whether most characters are of scripts without spaces between words."""
    values = pa.array(texts, pa.string())
    own = pc.sum(pc.count_substring_regex(values, _UNSPACED)).as_py() or 0
    return 2 * own > (pc.sum(pc.utf8_length(values)).as_py() or 0)


def doubts(values: pa.Array, name: str, target: bool = False) -> str:
    """Returns what may be wrong with a column of texts, or nothing.

    Args:
        values: Strings or float64, null where missing.
        name: Name of the column.
        target: Whether it is one of classes, whose names are looked at as such.
    """
    if pa.types.is_floating(values.type):
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
    if target:
        return ""
    folded = pc.value_counts(pc.utf8_lower(different)).to_pylist()
    if len(different) <= MAX_TEXTS and len(folded) < len(different):
        twice = next(entry["values"] for entry in folded if entry["counts"] > 1)
        own = [text for text in different.to_pylist() if text.lower() == twice]
        return f"column {name!r} has values that differ in case alone, such as {own}"
    return ""


def count_up(values: np.ndarray) -> bool:
    """Returns whether numbers only count the rows, in any order: n, n + 1, … ."""
    if values.dtype.kind != "f" or len(values) < 2 or np.isnan(values).any():
        return False
    low, high = values.min(), values.max()
    if high - low != len(values) - 1 or (values != np.round(values)).any():
        return False
    return len(np.unique(values)) == len(values)


def _all(values: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _any(values: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


def _share(values: pa.Array, pattern: str) -> float:
    matches = pc.match_substring_regex(values, pattern).cast("int8")
    return float(pc.mean(matches).as_py() or 0)
