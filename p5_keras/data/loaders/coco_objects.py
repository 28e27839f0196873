"""The objects on a picture, from COCO's entries to boxes and shapes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.importers.box_forms import Form
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
        written: Float64 `(k, 5)`, each box of the file as it is written, and its area,
            NaN where the file does not say.
    """

    boxes: np.ndarray
    ids: np.ndarray
    shapes: tuple[Shape, ...]
    written: np.ndarray


def any_segmentation(documents: Sequence[Document]) -> bool:
    """Whether an object of a set has an outline."""
    return any(a.get("segmentation") for d in documents for a in d.annotations)


def check_crowds(documents: Sequence[Document], crowd: str) -> None:
    """Refuses a set that is mostly crowds, unless the user says what these are.

    Args:
        documents: The set.
        crowd: "", or what the user says.

    Raises:
        ValueError: Most objects are marked as crowds, or there is no such choice.
    """
    if crowd not in ("", "void", "object"):
        raise ValueError(
            f"`crowd` must be 'void' or 'object'. Received: crowd={crowd!r}"
        )
    marks = [is_crowd(entry) for d in documents for entry in d.annotations]
    if not crowd and 2 * sum(marks) > len(marks):
        raise ValueError(
            "`crowd` must say what crowds are where most objects are marked so: "
            "--dataset_options=crowd=object reads them as objects, crowd=void leaves "
            f"them without a label. Received: {sum(marks)} of {len(marks)} with iscrowd"
        )


def is_crowd(entry: Entry) -> bool:
    """Whether an object is marked as a crowd."""
    mark = entry.get("iscrowd")
    if isinstance(mark, str):
        return mark.strip().casefold() in ("1", "true", "yes")
    return bool(mark)


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
    form: Form,
    crowds: bool = True,
) -> Objects:
    """Reads the objects on a picture.

    Args:
        document: Where they stand.
        entries: The objects.
        drawn: `(height, width)` that they are seen on.
        classes: The class of each category, by its id.
        masks: Whether their shapes are wanted.
        problems: Takes what was put right.
        form: What the numbers of boxes are.
        crowds: Whether those marked as crowds are, and so no objects.

    Raises:
        Fault: A category is unknown, or a box or an outline is none.
    """
    corners, ids, shapes, written = [], [], [], []
    for entry in entries:
        where = document.where("annotation", entry)
        number = entry.get("category_id")
        if not isinstance(number, int) or number not in classes:
            raise Fault(where, f"there is no category {number!r}")
        numbers = _numbers(entry.get("bbox"), where)
        box = form.corners(np.array(numbers), np.array(drawn))[0].tolist()
        crowd = crowds and is_crowd(entry)
        area = entry.get("area")
        known = isinstance(area, int | float) and not entry.get("segmentation")
        written.append([*numbers, float(area) if known else math.nan])  # type: ignore[arg-type]
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
    raw = np.array(written, "float64").reshape(-1, 5)
    return Objects(found, np.array(ids, "int64")[kept], tuple(shapes), raw)


def _numbers(box: Any, where: str) -> list[float]:
    if (
        not isinstance(box, list)
        or len(box) != 4
        or not all(isinstance(n, int | float) and math.isfinite(n) for n in box)
    ):
        raise Fault(where, f"bbox must be x, y, width, height, and is {box!r}")
    return box


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
