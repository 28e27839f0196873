"""What four numbers of a box are: corners, sizes or centres, in pixels or shares.

A file says it by its format, and many files are written otherwise. One box cannot tell;
all boxes of a set, on their images, mostly can.
"""

from dataclasses import dataclass, replace

import numpy as np

from p5_keras.data.records import Problems

#: Orders of the four numbers, and how people call them.
FORMATS = {
    "xywh": "x, y, width, height",
    "xyxy": "corners x1, y1, x2, y2",
    "cxcywh": "centre x, y, width, height",
    "yxhw": "y, x, height, width",
    "yxyx": "corners y1, x1, y2, x2",
}
#: Units, and what makes pixels of them.
UNITS = ("pixels", "shares", "percent")

# Shares of boxes: that may be wrong by chance, and from which on a set is refused.
_FEW, _MANY = 0.02, 0.1
# Boxes that do not all lie in one corner of their images by chance.
_SOME = 10


@dataclass(frozen=True)
class Form:
    """What four numbers of a box are.

    Attributes:
        format: One of `FORMATS`.
        units: One of `UNITS`.
        told: Whether the user said so.
    """

    format: str
    units: str = "pixels"
    told: bool = False

    def corners(self, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Returns y1, x1, y2, x2 in pixels, `(m, 4)`.

        Args:
            boxes: `(m, 4)` as they are written.
            sizes: `(m, 2)` or `(2,)`, height and width of the images.
        """
        a, b, c, d = np.moveaxis(np.asarray(boxes, "float64").reshape(-1, 4), 1, 0)
        if self.format in ("yxhw", "yxyx"):
            a, b, c, d = b, a, d, c
        if self.format in ("xywh", "yxhw"):
            c, d = a + c, b + d
        elif self.format == "cxcywh":
            a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
        found = np.stack([b, a, d, c], -1)
        if self.units != "pixels":
            height, width = np.moveaxis(np.asarray(sizes, "float64"), -1, 0)
            scale = np.stack([height, width, height, width], -1)
            found = found * scale / (100 if self.units == "percent" else 1)
        return found


def form(usual: str, box_format: str, box_units: str) -> Form:
    """Returns the form of a set's boxes.

    Args:
        usual: That of the file's format.
        box_format: What the user says, or "".
        box_units: What the user says, or "".

    Raises:
        ValueError: There is no such form.
    """
    for name, value, known in (
        ("box_format", box_format, tuple(FORMATS)),
        ("box_units", box_units, UNITS),
    ):
        if value and value not in known:
            raise ValueError(
                f"`{name}` must be one of {', '.join(known)}. "
                f"Received: {name}={value!r}"
            )
    told = bool(box_format or box_units)
    return Form(box_format or usual, box_units or "pixels", told)


def check(
    boxes: np.ndarray,
    sizes: np.ndarray,
    used: Form,
    areas: np.ndarray | None = None,
) -> None:
    """Refuses boxes that are evidently of another form.

    Args:
        boxes: `(m, 4)` as they are written, all of a set.
        sizes: `(m, 2)`, height and width of the image of each.
        used: The form that they are read in; one that the user gave is not doubted.
        areas: `(m,)`, what the file says is the area of each box, or NaN.

    Raises:
        ValueError: They are of another form.
    """
    boxes = np.asarray(boxes, "float64").reshape(-1, 4)
    if used.told or not len(boxes):
        return
    form, why = _other(boxes, np.asarray(sizes, "float64"), used, areas)
    if not why:
        return
    options = []
    if form and form.format != used.format:
        options.append(f"--dataset_options=box_format={form.format}")
    if form and form.units != used.units:
        options.append(f"--dataset_options=box_units={form.units}")
    advice = f"; give {' '.join(options)}" if options else ""
    wrong = np.flatnonzero(_wrong(used, boxes, sizes))
    place = int(wrong[0]) if len(wrong) else 0
    height, width = (int(n) for n in np.asarray(sizes)[place])
    shown = ", ".join(f"{n:g}" for n in boxes[place])
    raise ValueError(
        f"Boxes must be {FORMATS[used.format]} in pixels, or `box_format` and "
        f"`box_units` must say what they are{advice}. Received: {why}, such as "
        f"{shown} on {width}x{height} pixels"
    )


def note_scale(
    boxes: np.ndarray,
    drawn: np.ndarray,
    sides: np.ndarray,
    used: Form,
    problems: Problems,
) -> None:
    """Notes boxes that fit their images better than the size that their file says.

    Args:
        boxes: `(m, 4)` as they are written, all of a set.
        drawn: `(m, 2)`, height and width that the file says, of the image of each.
        sides: `(m, 2)`, height and width of the image itself.
        used: The form that they are read in.
        problems: Takes the note.
    """
    smaller = (np.asarray(sides) < np.asarray(drawn)).all(axis=1)
    if used.units != "pixels" or smaller.sum() < _SOME:
        return
    boxes, sides = np.reshape(boxes, (-1, 4))[smaller], np.asarray(sides)[smaller]
    if _wrong(used, boxes, sides).mean() <= _FEW:
        problems.note(
            f"{len(boxes)} boxes are scaled down from the size that their file says to "
            "the smaller one of their image, and as they are written all lie within "
            "the smaller one: if they are in pixels of the image, its size in the file "
            "is wrong, and to be left out there",
            severity="high",
        )


def swapped(corners: np.ndarray) -> np.ndarray:
    """Returns corners with the lower end first.

    Args:
        corners: `(m, 4)` as y1, x1, y2, x2.
    """
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([np.minimum(low, high), np.maximum(low, high)], axis=1)


def _other(
    boxes: np.ndarray, sizes: np.ndarray, used: Form, areas: np.ndarray | None
) -> tuple[Form | None, str]:
    """Returns the form that boxes are of, if it is another, and why."""
    count, top = len(boxes), np.abs(boxes).max()
    if 0 < top <= 1.5 and sizes.min() >= 8 and (boxes != np.round(boxes)).any():
        found = replace(used, units="shares")
        return _best(found, boxes, sizes), f"{count} boxes, no number above {top:g}"
    if count >= 10 and 50 < top <= 101 and sizes.min() >= 200:
        found = _best(replace(used, units="percent"), boxes, sizes)
        reach = found.corners(boxes, np.array([100, 100])).max()
        if reach > 80:
            return found, (
                f"{count} boxes, no number above {top:g} though every image has "
                f"{sizes.min():g} pixels or more, as of percents"
            )
    if areas is not None and used.format == "xywh" and np.isfinite(areas).sum() >= 3:
        own = boxes[:, 2] * boxes[:, 3]
        other = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        agree = [
            np.isclose(product, areas, rtol=0.02)[np.isfinite(areas)].mean()
            for product in (own, other)
        ]
        if agree[0] < _MANY and agree[1] > 1 - _MANY:
            return Form("xyxy"), f"{count} boxes whose areas are those of corners"
    wrong = int(_wrong(used, boxes, sizes).sum())
    if wrong < 3 or wrong <= _MANY * count or _all_swapped(boxes, used):
        return None, ""
    best = _best(used, boxes, sizes)
    if best != used:
        return best, (
            f"{wrong} of {count} boxes that reach past their image or have no area, "
            f"which all fit as {FORMATS[best.format]}"
        )
    percent = replace(used, units="percent")
    best = _best(percent, boxes, sizes)
    if count >= 10 and top <= 101 and _wrong(best, boxes, sizes).mean() <= _FEW:
        return best, (
            f"{wrong} of {count} boxes that reach past their image or have no area, "
            "which all fit as percents"
        )
    if wrong < 10 or wrong <= 2 * _MANY * count:
        return None, ""
    return None, f"{wrong} of {count} boxes reach past their image or have no area"


def _best(start: Form, boxes: np.ndarray, sizes: np.ndarray) -> Form:
    """Returns the form in which nearly all boxes fit: the usual one if it is."""
    for name in dict.fromkeys((start.format, *FORMATS)):
        form = replace(start, format=name)
        if _wrong(form, boxes, sizes).mean() <= _FEW:
            return form
    return start


def _wrong(form: Form, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns which boxes have no area or reach clearly past their image."""
    found = form.corners(boxes, sizes)
    sides = np.asarray(sizes, "float64")
    slack = np.maximum(2, 0.02 * sides)
    empty = (found[:, 2:] <= found[:, :2]).any(axis=1)
    before = (found[:, :2] < -slack).any(axis=1)
    behind = (found[:, 2:] > sides + slack).any(axis=1)
    return np.asarray(empty | before | behind)


def _all_swapped(boxes: np.ndarray, used: Form) -> bool:
    """Whether corners have their higher end first, along an axis or along both."""
    if used.format != "xyxy":
        return False
    shares = (boxes[:, 2:] < boxes[:, :2]).mean(axis=0)
    clear = (shares <= _FEW) | (shares >= 1 - _FEW)
    return bool(clear.all() and (shares > 0.5).any())
