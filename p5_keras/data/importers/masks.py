"""Segmentation masks of unknown origin: which class each pixel value is.

One file cannot tell: 255 is an object in a mask of a paint program and void in one of
Pascal VOC. So all masks of a set are looked at together, and the rule that follows is
a `Field` of kind "mask", which can be stored.
"""

import collections
import re
from collections.abc import Sequence

import numpy as np

from p5_keras.data.importers.mask_content import Content
from p5_keras.data.records import Field, Problems

#: Pixel value that has no label by the convention of Pascal VOC.
VOID = 255

# How far from 0 and 255 blurred masks of two classes may be, and in which share.
_NEAR, _MOSTLY = 32, 0.95

_DECIDES = "values=NAME:VALUE,…"
_OPTION = (
    "say which class each value is with --dataset_options=values=NAME:VALUE,…; what is "
    "not named has no label"
)


def decide(
    masks: Sequence[Content],
    names: Sequence[str],
    problems: Problems,
    told: Sequence[str] = (),
    listed: bool = True,
    voc: Sequence[str] = (),
) -> Field:
    """Decides which class each pixel value of a set's masks is.

    - 0 and 255 alone, as paint programs write, are background and one class. Where
      other classes stand beside, 255 has no label, as in Pascal VOC.
    - Colours of Pascal VOC's palette are its numbers. Of other colours and black, one
      colour is one class; more must be named.
    - Masks that a lossy format or resizing blurred are read if they hold two classes.

    Args:
        masks: What stands in each mask.
        names: Names of the classes but for the background, if known.
        problems: Takes what was decided.
        told: "name:value" by the user, where value is a number or #rrggbb.
        listed: Whether the user gave the names, rather than boxes.
        voc: The classes of Pascal VOC, if these are.

    Raises:
        ValueError: The values do not say what they are.
    """
    if told:
        return _as_told(masks, told, problems)
    if any(mask.colours for mask in masks) or _palettes_differ(masks):
        return _by_colour([mask.by_colour for mask in masks], names, problems, voc)
    counts = _sum(masks)
    values = sorted(counts)
    blurred = any(mask.blurred for mask in masks)
    if len(values) == 1:
        raise ValueError(
            "Masks must tell classes apart. Received: masks in which every pixel has "
            f"the value {values[0]}"
            + (", which is no label" if values[0] == VOID else "")
        )
    own = tuple(names)[1:] if tuple(names)[:1] == ("background",) else tuple(names)
    if blurred or _looks_blurred(counts, 0 if len(own) < 2 else len(own)):
        near = sum(n for v, n in counts.items() if v <= _NEAR or v >= 255 - _NEAR)
        ends = min(values) <= _NEAR and max(values) >= 255 - _NEAR
        if max(values) > 255 or not ends or near < _MOSTLY * sum(counts.values()):
            raise _unclear("blurred values, which may be of a lossy format", counts)
        name = _one(own, listed, counts)
        problems.guess(f"masks of blurred values: from 128 on {name!r}", _DECIDES)
        return Field("mask", ("background", name), (0, 255), "nearest")
    if set(values) == {0, VOID} or (len(values) == 2 and 0 in values and not voc):
        high = values[1]
        if listed and high <= len(own):
            return _plain(own, counts)
        name = _one(own, listed, counts)
        if high != 1:
            problems.guess(f"masks of 0 and {high}: {high} is {name!r}", _DECIDES)
        return Field("mask", ("background", name), (0, high))
    classes = {v: n for v, n in counts.items() if v != VOID}
    if VOID in counts:
        _check_void(masks, counts, classes)
        share = counts[VOID] / sum(counts.values())
        if share > 0.25:
            what = f"masks whose value 255 has no label: {share:.0%} of all pixels"
            problems.note(what, severity="low")
    if voc and max(classes) <= len(voc):
        return Field("mask", ("background", *voc))
    return _numbered(classes, tuple(names), own, listed, problems)


def check(
    masks: Sequence[Content], rule: Field, problems: Problems, most: float = 0.01
) -> None:
    """Counts pixels of masks that are of no class, and refuses too many.

    Args:
        masks: What stands in each mask.
        rule: The field: what the user said, or what the masks of the training held.
        problems: Takes the count.
        most: Share of all pixels that may have no class. By convention 255 may
            always be without, where it is none.

    Raises:
        ValueError: There are more.
    """
    if rule.encoding == "nearest":
        return
    if rule.encoding == "colours":
        masks = [mask.by_colour for mask in masks]
    counts = _sum(masks, rule.values)
    known = set(rule.values or range(len(rule.class_names)))
    lost = {v: n for v, n in counts.items() if v not in known}
    share = sum(lost.values()) / max(sum(counts.values()), 1)
    if share > most and sum(n for v, n in lost.items() if v != VOID) > 0:
        raise _unclear(
            f"{share:.0%} of all pixels without a class",
            lost,
            rule.encoding == "colours",
        )
    if lost:
        what = "colours" if rule.encoding == "colours" else "values"
        few = _shares(lost, rule.encoding == "colours", sum(counts.values()))
        few = f"masks with {what} that are no class and have no label: {few}"
        problems.note(few, severity="low" if share < 0.1 else "medium")


def _as_told(
    masks: Sequence[Content], told: Sequence[str], problems: Problems
) -> Field:
    names: list[str] = []
    numbers: list[int] = []
    colours = False
    for entry in told:
        name, _, text = entry.rpartition(":")
        colour = re.fullmatch("#[0-9a-fA-F]{6}", text)
        colours |= bool(colour)
        if not name or not (colour or re.fullmatch("[0-9]{1,9}", text)):
            raise ValueError(
                "`values` must be NAME:VALUE,… with a number or a colour #rrggbb for "
                f"each class. Received: {entry!r}"
            )
        names.append(name)
        numbers.append(int(text[1:], 16) if colour else int(text))
    if len(set(names)) < len(names) or len(set(numbers)) < len(numbers):
        raise ValueError(
            "`values` must name each class and each value once. "
            f"Received: values={','.join(told)}"
        )
    if colours != all("#" in entry for entry in told):
        raise ValueError(
            "`values` must be numbers or colours, not both. "
            f"Received: values={','.join(told)}"
        )
    if colours:
        masks = [mask.by_colour for mask in masks]
    counts = _sum(masks, numbers)
    if 0 not in numbers and "background" not in names and 0 in counts:
        names, numbers = ["background", *names], [0, *numbers]
    if missing := [
        n for n, v in zip(names, numbers, strict=True) if v not in counts and v
    ]:
        if len(missing) >= len(names) - 1:
            raise _unclear(f"no pixel of {missing[0]!r}", counts, colours)
        what = f"classes without a pixel in any mask: {', '.join(missing)}"
        problems.note(what, severity="medium")
    encoding = "colours" if colours else "exact"
    if any(mask.blurred for mask in masks):
        if colours or np.diff([-999, *sorted(numbers)]).min() < 2 * _NEAR:
            raise ValueError(
                "Masks of several classes must be PNG or of another exact format, as "
                f"JPEG mixes neighbours. Received: values={','.join(told)}"
            )
        problems.note("masks of a lossy format: each pixel is of the nearest value")
        encoding = "nearest"
    rule = Field("mask", tuple(names), tuple(numbers), encoding)
    check(masks, rule, problems, 0.5)
    return rule


def _by_colour(
    masks: Sequence[Content],
    names: Sequence[str],
    problems: Problems,
    voc: Sequence[str],
) -> Field:
    counts = _sum(masks)
    palette = voc_palette()
    own = tuple(n for n in names if n != "background")
    if any(mask.blurred for mask in masks):
        raise _unclear(
            "colours of a lossy format, which mixes neighbours", counts, True, ""
        )
    known = {palette[v]: v for v in (*range(21), VOID)}
    inside = [known[c] for c in counts if c in known and known[c] != VOID]
    classes = tuple(voc) or own
    if inside and classes and set(counts) <= set(known) and max(inside) <= len(classes):
        problems.guess("masks in the colours of Pascal VOC's classes", _DECIDES)
        colours = tuple(palette[: len(classes) + 1])
        return Field("mask", ("background", *classes), colours, "colours")
    others = [c for c in counts if c]
    if 0 in counts and len(others) == 1 and len(own) < 2:
        name = own[0] if own else "object"
        what = f"masks of black and #{others[0]:06x}, which is {name!r}"
        problems.guess(what, _DECIDES)
        return Field("mask", ("background", name), (0, others[0]), "colours")
    raise _unclear("colours whose classes are not known", counts, True)


def voc_palette() -> list[int]:
    """Returns Pascal VOC's colours, 0xRRGGBB by class number, 256 of them."""
    found = []
    for number in range(256):
        red = green = blue = 0
        for bit in range(8):
            red |= ((number >> 3 * bit) & 1) << (7 - bit)
            green |= ((number >> (3 * bit + 1)) & 1) << (7 - bit)
            blue |= ((number >> (3 * bit + 2)) & 1) << (7 - bit)
        found.append((red << 16) | (green << 8) | blue)
    return found


def has_voc_palette(masks: Sequence[Content]) -> bool:
    """Whether the masks have Pascal VOC's palette."""
    palette = voc_palette()
    used = [item for mask in masks for item in mask.palette.items()]
    return any(v for v, _ in used) and all(
        v < 256 and palette[v] == colour for v, colour in used
    )


def _numbered(
    counts: dict[int, int],
    names: tuple[str, ...],
    own: tuple[str, ...],
    listed: bool,
    problems: Problems,
) -> Field:
    values = sorted(counts)
    if listed and names and 0 not in counts:
        # Without a background; which of two it would be cannot be told.
        if values == list(range(1, len(names) + 1)) and len(names) > 1:
            problems.guess("masks without background: values count from 1", _DECIDES)
            return Field("mask", names, tuple(values))
        if values[-1] > len(own) or len(values) > len(own):
            raise _unclear(f"classes={own}", counts)
    if names:
        return _plain(own if listed else (), counts)
    if len(values) > 32:
        raise _unclear(f"{len(values)} values without names", counts)
    what = f"masks of {len(values)} values without names: the values name the classes"
    problems.guess(what, "classes=NAME,… or " + _DECIDES)
    if len(values) > 8 and values[-1] >= 4 * len(values):
        problems.note(
            f"masks of {len(values)} values up to {values[-1]}: each is read as a "
            "class; shares, depths or numbers of objects are none; values=NAME:VALUE,… "
            "says which are",
            severity="high",
        )
    found = tuple("background" if v == 0 else str(v) for v in values)
    return Field("mask", found, tuple(values))


def _plain(own: Sequence[str], counts: dict[int, int]) -> Field:
    """Value i is class i, 0 the background."""
    top = max(counts)
    if top > len(own):
        lost = sum(n for v, n in counts.items() if v > len(own))
        raise ValueError(
            "`classes` must name the class of every pixel value in the masks, from 1 "
            f"upwards, or `values` each value. Received: classes={tuple(own)}, pixel "
            f"values up to {top}, {lost / sum(counts.values()):.1%} of pixels without "
            "a class"
        )
    return Field("mask", ("background", *own))


def _check_void(
    masks: Sequence[Content], counts: dict[int, int], classes: dict[int, int]
) -> None:
    """Refuses 255 where it may as well be a class."""
    others = {v: n for v, n in classes.items() if v}
    if len(classes) < 2:
        raise _unclear("one value beside 255", counts)
    alone = sum(m.counts.get(VOID, 0) for m in masks if not others.keys() & m.counts)
    mostly = counts.get(0, 0) > counts[VOID] > 10 * sum(others.values())
    high = len(others) == 1 and max(others) > 32
    if high or mostly or alone > 0.5 * counts[VOID]:
        raise _unclear("255 as a class or without a label", counts)


def _looks_blurred(counts: dict[int, int], named: int) -> bool:
    """Whether values between 0 and 255 are those of soft edges."""
    first = sorted(counts, key=lambda v: -counts[v])[:2]
    between = [v for v in counts if 0 < v < VOID]
    beyond = [v for v in between if v > max(named, _NEAR)]
    return set(first) == {0, VOID} and len(between) >= 8 and len(beyond) >= 4


def _one(own: Sequence[str], listed: bool, counts: dict[int, int]) -> str:
    if len(own) > 1 and listed:
        raise _unclear(f"two values for classes={tuple(own)}", counts)
    return own[0] if len(own) == 1 else "object"


def _palettes_differ(masks: Sequence[Content]) -> bool:
    """Whether a number has another colour in another file: then colours count."""
    first: dict[int, int] = {}
    for mask in masks:
        for value, colour in mask.palette.items():
            if first.setdefault(value, colour) != colour:
                return True
    return False


def _sum(
    masks: Sequence[Content], values: Sequence[int] = ()
) -> collections.Counter[int]:
    """Adds up counts; a mask of bits has 255 for 1 where the others have."""
    counts: collections.Counter[int] = collections.Counter()
    for mask in masks:
        if not mask.bits:
            counts.update(mask.counts)
    wide = (VOID in counts or VOID in values) and 1 not in counts and 1 not in values
    for mask in masks:
        if mask.bits:
            counts.update(
                {v * (VOID if wide else 1): n for v, n in mask.counts.items()}
            )
    return counts


def _unclear(
    what: str, counts: dict[int, int], colours: bool = False, option: str = _OPTION
) -> ValueError:
    shares = _shares(counts, colours)
    tail = f"; {option}" if option else ""
    return ValueError(
        f"Pixel values of masks must say their class{tail}. Received: {what}: {shares}"
    )


def _shares(counts: dict[int, int], colours: bool = False, total: int = 0) -> str:
    total = total or max(sum(counts.values()), 1)
    top = sorted(counts.items(), key=lambda item: -item[1])[:6]
    shown = [
        f"{f'#{value:06x}' if colours else value} ({count / total:.2%})"
        for value, count in top
    ]
    more = f" and {len(counts) - 6} more" if len(counts) > 6 else ""
    return ", ".join(shown) + more
