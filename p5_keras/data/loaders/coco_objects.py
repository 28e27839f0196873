"""The objects on a picture, from COCO's entries to boxes and shapes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.loaders import annotated, boxes, coco_masks
from p5_keras.data.loaders.coco_file import Document
from p5_keras.data.loaders.coco_masks import VOID, Shape
from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.header import Size
from p5_keras.data.records import Problems

Entry = dict[str, Any]


@dataclass(frozen=True)
class Objects:
    """What is on a picture.

    Attributes:
        boxes: Float32 `(m, 4)` as y1, x1, y2, x2 in 0..1.
        ids: Int64 `(m,)`, the class of each.
        shapes: What its mask shows.
    """

    boxes: np.ndarray
    ids: np.ndarray
    shapes: tuple[Shape, ...]


def any_segmentation(documents: Sequence[Document]) -> bool:
    """Whether an object of a set has an outline."""
    return any(a.get("segmentation") for d in documents for a in d.annotations)


def by_image(document: Document, problems: Problems) -> dict[Any, list[Entry]]:
    """Returns the objects of each picture, by its id.

    Args:
        document: The document.
        problems: Takes objects on a picture that is not there.
    """
    found: dict[Any, list[Entry]] = {}
    for entry in document.images:
        number = entry.get("id")
        if not isinstance(number, int | str):
            reason = "its id must be a number or a text"
            problems.bad(document.where("image", entry), reason)
            continue
        found[number] = []
    for entry in document.annotations:
        number = entry.get("image_id")
        if isinstance(number, int | str) and number in found:
            found[number].append(entry)
        else:
            where = document.where("annotation", entry)
            problems.bad(where, f"there is no image {number!r}")
    return found


def read(
    document: Document,
    entries: Sequence[Entry],
    drawn: Size,
    classes: dict[int, int],
    masks: bool,
    problems: Problems,
) -> Objects:
    """Reads the objects on a picture.

    Args:
        document: Where they stand.
        entries: The objects.
        drawn: `(height, width)` that they are seen on.
        classes: The class of each category, by its id.
        masks: Whether their shapes are wanted.
        problems: Takes what was put right.

    Raises:
        Fault: A category is unknown, or a box or an outline is none.
    """
    corners, ids, shapes = [], [], []
    for entry in entries:
        where = document.where("annotation", entry)
        number = entry.get("category_id")
        if not isinstance(number, int) or number not in classes:
            raise Fault(where, f"there is no category {number!r}")
        box = _corners(entry.get("bbox"), where)
        crowd = bool(entry.get("iscrowd"))
        problems.note("annotations with keypoints, not read", "keypoints" in entry)
        problems.note("crowd regions, without a box", crowd)
        if not crowd:
            corners.append(box)
            ids.append(classes[number])
        if masks:
            value = VOID if crowd else classes[number] + 1
            shapes.append(_shape(entry, value, box, drawn, where, problems))
    found, kept, cut = boxes.shares(np.array(corners), drawn)
    problems.note(annotated.CUT, cut)
    problems.note(annotated.EMPTY, int((~kept).sum()))
    return Objects(found, np.array(ids, "int64")[kept], tuple(shapes))


def _corners(box: Any, where: str) -> list[float]:
    """Returns y1, x1, y2, x2 of x, y, width, height."""
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(n, int | float) and math.isfinite(n) for n in box)
    ):
        raise Fault(where, f"bbox must be x, y, width, height, and is {box!r}")
    x, y, width, height = box
    return [y, x, y + height, x + width]


def _shape(
    entry: Entry,
    value: int,
    box: list[float],
    drawn: Size,
    where: str,
    problems: Problems,
) -> Shape:
    try:
        outline, short = coco_masks.polygons(entry.get("segmentation"))
    except ValueError as error:
        raise Fault(where, str(error)) from None
    problems.note("polygons of less than three points, left out", short)
    if not outline:
        problems.note("objects without a segmentation, their box void in the mask")
        height, width = drawn
        y0, x0, y1, x1 = np.clip(box, 0, [height, width, height, width]).tolist()
        value, outline = VOID, [[x0, y0, x1, y0, x1, y1, x0, y1]]
    return Shape(value, where, outline)
