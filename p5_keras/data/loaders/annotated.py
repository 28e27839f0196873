"""Pictures with an annotation in XML, a mask, or both, on the way to `Records`."""

import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.importers import box_forms
from p5_keras.data.importers.box_forms import Form
from p5_keras.data.importers.mask_content import Content
from p5_keras.data.loaders import boxes, header, listing, voc_xml
from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.header import Header, Size
from p5_keras.data.loaders.voc_xml import Annotation
from p5_keras.data.records import Problems

#: What the numbers of VOC's boxes are.
CORNERS = Form("xyxy")

BoxColumn = list[tuple[np.ndarray, np.ndarray] | None]


@dataclass(frozen=True)
class Item:
    """What files of a set belong together.

    Attributes:
        name: The picture's path within the set.
        image: The picture.
        xml: Its annotation, or `None`.
        mask: Its mask, or `None`.
        split: "train", "validation", "test", or "" where the set does not say.
    """

    name: str
    image: pathlib.Path
    xml: pathlib.Path | None = None
    mask: pathlib.Path | None = None
    split: str = ""


@dataclass(frozen=True)
class Example:
    """An item that has been read.

    Attributes:
        item: The item.
        annotation: What its XML says, or `None`.
        drawn: `(height, width)` that the corners of its boxes are seen on.
        side: The same on the picture as it is, or `(0, 0)` where nothing is drawn.
        mask: What stands in its mask, or `None`.
    """

    item: Item
    annotation: Annotation | None
    drawn: Size
    side: Size
    mask: Content | None


def read(
    items: Sequence[Item], problems: Problems, class_names: Sequence[str] = ()
) -> list[Example]:
    """Reads annotations, headers of pictures, and the values in masks.

    An annotation must agree with its picture: be of its size, or of a size in
    proportion, or of none. Then the picture's own counts.

    Args:
        items: What to read.
        problems: Takes what is wrong, and what is put right.
        class_names: The classes that objects may have; any if left out.

    Returns:
        The items that can be used.
    """
    examples = []
    for item in items:
        file = item.image  # the one at fault, where there is a fault
        mask: Content | None = None
        annotation, drawn, sides = None, (0, 0), []
        try:
            if reason := listing.fault(file):
                raise ValueError(reason)
            head = header.read(file)
            if item.mask:
                file = item.mask
                mask = header.mask(file, head)
                sides.append(head.drawn_on(mask.size) or mask.size)
                other = mask.size not in (head.stored, head.upright)
                problems.note(RESIZED, int(other))
            if item.xml:
                file = item.xml
                annotation = voc_xml.parse(file.read_bytes(), listing.printable(file))
                _check_names(annotation, class_names)
                drawn = annotation.size if any(annotation.size) else head.upright
                sides.append(_xml_side(head, annotation, drawn))
            if len(set(sides)) > 1:
                raise ValueError("it is turned against the mask of its picture")
        except Fault as error:
            problems.bad(error.where, error.reason)
        except OSError as error:
            problems.bad(listing.printable(file), error.strerror or str(error))
        except ValueError as error:
            problems.bad(listing.printable(file), str(error))
        else:
            _note(item, head, annotation, drawn in sides, problems)
            side = sides[0] if sides else (0, 0)
            examples.append(Example(item, annotation, drawn, side, mask))
    return examples


def _note(
    item: Item,
    head: Header,
    annotation: Annotation | None,
    same_size: bool,
    problems: Problems,
) -> None:
    """Notes what is odd about an item and does no harm."""
    if wrong := header.misnamed(item.image, head):
        problems.note(wrong)
    if annotation is None:
        return
    if not any(annotation.size):
        problems.note("annotations without a size: their picture's counts")
    elif not same_size:
        problems.note("annotations drawn on their picture in another size")
    own, said = listing.stem(item.image.name), listing.stem(annotation.filename)
    if said not in (own, ""):
        problems.note("annotations that name another picture: their own name counts")


def box_column(
    examples: Sequence[Example],
    class_names: Sequence[str],
    difficult: str,
    first: int,
    problems: Problems,
    form: Form = CORNERS,
) -> BoxColumn:
    """Returns the boxes of each example, `None` where it has no annotation.

    Args:
        examples: What was read.
        class_names: The classes, in the order of their numbers.
        difficult: "drop" leaves out objects that are marked as difficult.
        first: Number of the first pixel; see `first_pixel`.
        problems: Takes how many boxes were cut or left out.
        form: What the numbers of boxes are; VOC calls them xmin, ymin, xmax, ymax.

    Raises:
        ValueError: They are evidently something else.
    """
    found = [e for e in examples if e.annotation]
    written = [_written(e) for e in found]
    counts = [len(boxes) for boxes in written]
    sizes = np.repeat([e.drawn for e in found] or [(1, 1)], counts or 0, axis=0)
    sides = np.repeat([e.side for e in found] or [(1, 1)], counts or 0, axis=0)
    together = np.concatenate([np.zeros((0, 4)), *written])
    box_forms.check(together, sizes, form)
    box_forms.note_scale(together, sizes, sides, form, problems)
    ids = {name: i for i, name in enumerate(class_names)}
    column: BoxColumn = []
    for example in examples:
        annotation = example.annotation
        if annotation is None:
            column.append(None)
            continue
        chosen = ~annotation.difficult | (difficult == "keep")
        problems.note("difficult objects, left out", int((~chosen).sum()))
        labels = np.array([ids[name] for name in annotation.names], "int64")[chosen]
        corners = form.corners(_written(example)[chosen], np.array(example.drawn))
        turned = (corners[:, 2:] < corners[:, :2]).any(axis=1)
        problems.note("boxes with min and max swapped, put in order", int(turned.sum()))
        corners = box_forms.swapped(corners)
        box, kept, cut = boxes.shares(corners, example.drawn, first=first)
        problems.note(CUT, cut)
        problems.note(EMPTY, int((~kept).sum()))
        column.append((box, labels[kept]))
    problems.note("pictures without an xml file, unlabelled", column.count(None))
    return column


def _written(example: Example) -> np.ndarray:
    """Returns the boxes of an example as xmin, ymin, xmax, ymax."""
    if example.annotation is None:
        return np.zeros((0, 4))
    return example.annotation.corners[:, [1, 0, 3, 2]]


def first_pixel(
    examples: Sequence[Example],
    reading: dict[str, Any],
    problems: Problems,
    form: Form = CORNERS,
) -> int:
    """Returns the number of the first pixel, and puts it into the reading.

    In VOC's files pixels count from 1, and the last pixel belongs to the box. Where a
    box of the set begins at 0, they are taken for edges between pixels.

    Args:
        examples: What was read.
        reading: How the set is read.
        problems: Takes a note of a 0.
        form: What the numbers of boxes are.
    """
    if "first_pixel" not in reading:
        starts = [_written(e)[:, :2].ravel() for e in examples if e.annotation]
        pixels = form.units == "pixels"
        zero = not pixels or any(((s >= 0) & (s < 1)).any() for s in starts)
        reading["first_pixel"] = 0 if zero else 1
        if zero and pixels:
            problems.note("sets with boxes that begin at pixel 0: pixels count from 0")
    return int(reading["first_pixel"])


#: Notes on boxes, the same for every layout.
CUT = "boxes cut at the edge of their picture"
EMPTY = "boxes without area, left out"
#: On masks.
RESIZED = "masks of another size than their picture, in proportion: resized"


def _xml_side(head: Header, annotation: Annotation, drawn: Size) -> Size:
    side = head.drawn_on(drawn)
    if side is None:
        raise ValueError(
            f"it is for {header.text(annotation.size)} pixels, its picture has "
            f"{header.text(head.stored)}"
        )
    return side


def _check_names(annotation: Annotation, class_names: Sequence[str]) -> None:
    for i, name in enumerate(annotation.names):
        if class_names and name not in class_names:
            known = ", ".join(class_names)
            reason = f"class {name!r} is none of {known}"
            raise Fault(annotation.where(i), reason)
