"""Numbers as people write them: 1,234.50, 12,5, $3 and 40 %."""

import pyarrow as pa
import pyarrow.compute as pc

from p5_keras.data.records import Problems

#: A number as it is read.
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?(inf|infinity|nan))$"
#: A column of so many numbers among its values is one of numbers with faults.
SHARE = 0.9

_UNIT = r"^([+-]?)\s*[$€£¥]\s*|\s*[$€£¥%]$"
_PLAIN = r"[+-]?\d+(\.\d+)?"
#: Commas between thousands; and commas before decimals, with points between thousands.
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?"
_DECIMALS = r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?"


def plain_numbers(values: pa.Array, name: str, problems: Problems) -> pa.Array:
    """Returns a column with its numbers as they are read, if most cells are numbers.

    A comma stands between thousands if every one may, and else before decimals. Cells
    that are no numbers stay as they are, and so does a column without units or commas.

    Args:
        values: Strings, null where missing.
        name: Name of the column.
        problems: Takes a note of what was changed.
    """
    present = values.drop_null()
    if not len(present) or _share(present, NUMBER) >= SHARE:
        return values
    bare = pc.replace_substring_regex(values, _UNIT, r"\1")
    known = bare.drop_null()
    what = "units, which are left out"
    if _share(known, f"^({_PLAIN}|{_THOUSANDS})$") >= SHARE:
        right = pc.match_substring_regex(bare, f"^({_PLAIN}|{_THOUSANDS})$")
        found = pc.replace_substring(bare, ",", "")
        if _share(known, ",") > 0:
            what = "commas, which are read as between thousands"
    elif _share(known, f"^{_DECIMALS}$") >= SHARE:
        right = pc.match_substring_regex(bare, f"^{_DECIMALS}$")
        found = pc.replace_substring(pc.replace_substring(bare, ".", ""), ",", ".")
        what = "commas, which are read as before decimals"
    else:
        return values
    problems.note(f"column {name!r} has numbers with {what}")
    return pc.if_else(right, found, values)


def _share(values: pa.Array, pattern: str) -> float:
    """Returns the share of cells that match."""
    matches = pc.match_substring_regex(values, pattern).cast("int8")
    return float(pc.mean(matches).as_py() or 0)
