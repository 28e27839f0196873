"""Numbers as people write them: 1,234.50, 12,5, 1'000, $3, (40) and 40 %."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: A number as programs write it.
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$|^(?i:[+-]?(inf|infinity|nan))$"
#: A column of so many numbers among its values is one of numbers with faults.
SHARE = 0.9

_SIGNS = "$€£¥₹%"
_UNIT = rf"^([+-]?)\s*[{_SIGNS}]\s*|\s*[{_SIGNS}]$"
#: What else is written for a minus, a space and an apostrophe.
_SAME = (("^[\u2212\u2013]", "-"), ("[\u00a0\u2009\u202f]", " "), ("[\u2019`´]", "'"))
#: What stands before decimals, and between thousands; the simplest first.
_READINGS = (
    *((".", ""), (".", ","), (",", ""), (",", ".")),
    *((".", "'"), (",", "'"), (".", " "), (",", " ")),
)
_NAMES = {",": "commas", ".": "points", "'": "apostrophes", " ": "spaces"}


@dataclass(frozen=True)
class Numbers:
    """How the numbers of a column are written.

    Attributes:
        decimal: What stands before decimals.
        thousands: What may stand between thousands; "" for nothing.
        units: Signs, such as "$" or "%", that may stand before or behind.
        bare: Whether a number may stand without them.
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    bare: bool = True

    @property
    def mixed(self) -> bool:
        """Whether the same number may stand for different things."""
        return len(self.units) > 1 or ("%" in self.units and self.bare)

    def about(self) -> str:
        """Returns what is not plain about them, or nothing."""
        found = []
        if self.thousands:
            found.append(f"{_NAMES[self.thousands]}, which are read as between")
            found[-1] += " thousands"
        if self.decimal != ".":
            found.append(f"{_NAMES[self.decimal]}, which are read as before decimals")
        if self.units:
            found.append(f"units, which are left out ({' '.join(self.units)})")
        return " and ".join(found)


#: As programs write them.
PLAIN = Numbers()


def readings(values: pa.Array) -> tuple[list[Numbers], str]:
    """Returns how a column of numbers may be read: all ways that fit equally well.

    Args:
        values: Strings, null where missing.

    Returns:
        The ways, the simplest first; none if fewer than `SHARE` of the cells are
        numbers in any of them. And which of commas, points, apostrophes and spaces
        these numbers hold.
    """
    present = values.drop_null()
    if not len(present):
        return [], ""
    plain = _matches(present, ".", "")
    if plain.all():  # of which only 1.234 may be read in another way
        if not _holds(present, "."):
            return [PLAIN], ""
        other = [Numbers(",", ".")] * bool(_matches(present, ",", ".").all())
        return [PLAIN, *other], "."
    bare, units = _bare(present)
    matches = [_matches(bare, *pair) for pair in _READINGS]
    shares = [found.mean() for found in matches]
    best = max(shares)
    if best < SHARE:
        return [], ""
    known = pc.filter(bare, pa.array(np.logical_or.reduce(matches)))
    signs = "".join(sign for sign in _NAMES if _holds(known, sign))
    found = sorted(set(units.drop_null().to_pylist()))
    # A number without the sign of a percent that all others have is another number.
    lenient = "%" not in found or units.null_count > 0
    return [
        Numbers(decimal, thousands, tuple(found), lenient)
        for (decimal, thousands), share in zip(_READINGS, shares, strict=True)
        if share == best
        and (not thousands or thousands in signs)
        and (decimal in signs or decimal == "." or thousands == ".")
    ], signs


def parse(
    values: pa.Array, numbers: Numbers, missing: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Reads strings as numbers by one rule.

    Args:
        values: Strings, or float64; null where missing.
        numbers: How they are written.
        missing: Cells that stand for a missing value, which a number may equal: -999.

    Returns:
        `(n,)` float64, NaN where missing or no number, and `(n,)` booleans that say
        which cells are no number.
    """
    if pa.types.is_floating(values.type):
        out = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
        wrong = np.zeros(len(out), bool)
    else:
        bare = values
        plain = _matches(values, ".", "") | values.is_null().to_numpy(False)
        if numbers != PLAIN or not plain.all():
            bare, units = _bare(values)
        right = pa.array(_matches(bare, numbers.decimal, numbers.thousands))
        if bare is not values:
            known = pc.is_in(units, pa.array(numbers.units, pa.string()))
            fits = pc.if_else(units.is_valid(), known, numbers.bare)
            right = pc.and_(right, fits)
        if numbers.thousands:
            bare = pc.replace_substring(bare, numbers.thousands, "")
        if numbers.decimal != ".":
            bare = pc.replace_substring(bare, numbers.decimal, ".")
        bare = pc.if_else(right, bare, pa.scalar(None, pa.string()))
        out = bare.cast(pa.float64()).to_numpy(zero_copy_only=False)
        wrong = pc.and_(values.is_valid(), pc.invert(right)).to_numpy(False)
    tokens = pa.array(missing, pa.string())
    tokens = pc.filter(tokens, pc.match_substring_regex(tokens, NUMBER))
    stand_in = np.isin(out, tokens.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.where(stand_in, np.nan, out), wrong


def _holds(values: pa.Array, sign: str) -> bool:
    return bool(pc.any(pc.match_substring(values, sign)).as_py())


def _matches(values: pa.Array, decimal: str, thousands: str) -> np.ndarray:
    """Returns which cells are numbers, `(n,)` booleans."""
    pattern = NUMBER
    if (decimal, thousands) != (".", ""):
        whole, point = r"\d+", f"[{decimal}]"
        if thousands:
            few = "{2,3}" if thousands == "," else "{3}"  # 12,34,567 in India
            between = f"[{thousands}]"
            whole += rf"|[1-9]\d{{0,2}}(?:{between}\d{few})*{between}\d{{3}}"
        ends = r"(?:[eE][+-]?\d+)?$"
        pattern = rf"^[+-]?(?:(?:{whole})(?:{point}\d*)?|{point}\d+){ends}"
    found = pc.match_substring_regex(values, pattern).fill_null(False)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _bare(values: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Returns cells without units, and the unit of each, null where it has none."""
    for pattern, plain in _SAME:
        values = pc.replace_substring_regex(values, pattern, plain)
    values = pc.replace_substring_regex(values, r"^\(([^()+-]+)\)$", r"-\1")
    units = pc.struct_field(pc.extract_regex(values, f"(?P<unit>[{_SIGNS}])"), 0)
    return pc.replace_substring_regex(values, _UNIT, r"\1"), units
