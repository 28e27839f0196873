"""Reads one annotation in the layout of the PASCAL VOC challenge."""

import xml.etree.ElementTree as ET
from typing import NamedTuple


class Annotation(NamedTuple):
    """What is used of one annotation.

    Attributes:
        objects: list of `(label, (ymin, xmin, ymax, xmax))`, the box in shares of
            the image's height and width.
        dropped: how many boxes had no area and were left out.
        clipped: how many boxes reached past the image and were cut at its edge.
    """

    objects: list
    dropped: int
    clipped: int


def parse_voc(xml, names, filename):
    """Parses the text of a VOC annotation.

    Coordinates are taken as edges between pixels, so `xmax - xmin` is the width. A
    box that has no area, or none inside the image, is dropped.

    Args:
        xml: str or bytes, the annotation.
        names: the class names that may occur.
        filename: str, the file to name in errors.

    Returns:
        An `Annotation`.

    Raises:
        ValueError: if the XML is broken, lacks the image's size or part of an
            object, or has a class that is not in `names`.
    """
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as e:
        raise ValueError(
            f"An annotation must be well-formed XML ({e}). "
            f"Received: filename={filename!r}"
        ) from e
    width = _number(root, "size/width", filename)
    height = _number(root, "size/height", filename)
    if width <= 0 or height <= 0:
        raise ValueError(
            "An annotation must give its image's size. "
            f"Received: width={width}, height={height}, filename={filename!r}"
        )
    objects, dropped, clipped = [], 0, 0
    for item in root.iterfind("object"):
        label = (item.findtext("name") or "").strip()
        if label not in names:
            raise ValueError(
                f"An object's class must be one of {list(names)}. "
                f"Received: name={label!r}, filename={filename!r}"
            )
        edges = ("ymin", "xmin", "ymax", "xmax")
        box = [_number(item, f"bndbox/{edge}", filename) for edge in edges]
        sides = (height, width, height, width)
        inside = [min(max(v, 0.0), side) for v, side in zip(box, sides, strict=True)]
        if inside[2] <= inside[0] or inside[3] <= inside[1]:
            dropped += 1
            continue
        clipped += inside != box
        shares = tuple(v / side for v, side in zip(inside, sides, strict=True))
        objects.append((label, shares))
    return Annotation(objects, dropped, clipped)


def _number(element, path, filename):
    text = element.findtext(path)
    try:
        return float(text)
    except (TypeError, ValueError) as e:
        raise ValueError(
            f"An annotation must hold a number at <{path}>. "
            f"Received: {text!r}, filename={filename!r}"
        ) from e
