"""Masks of COCO's polygons and run lengths, drawn once into files."""

import concurrent.futures
import hashlib
import math
import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.cache import cache_folder
from p5_keras.data.loaders.fault import Fault
from p5_keras.data.loaders.header import Size

#: Pixel value without a label.
VOID = 255
# Longest outline of a polygon in pixels, which are followed one by one.
_LONG = 1e7
# Goes into the names of folders, so that masks drawn in another way are drawn again.
_VERSION = 1


@dataclass(frozen=True)
class Shape:
    """An object in a mask.

    Attributes:
        value: Its pixel value.
        where: Its place, for messages.
        outline: Polygons, each a list of x1, y1, x2, y2, …; or run lengths.
    """

    value: int
    where: str
    outline: list[list[float]] | dict[str, Any]


@dataclass(frozen=True)
class Mask:
    """A mask to draw.

    Attributes:
        file: The PNG that it goes to.
        drawn: `(height, width)` that the shapes are seen on.
        size: `(height, width)` of the picture.
        shapes: What stands in it.
    """

    file: pathlib.Path
    drawn: Size
    size: Size
    shapes: tuple[Shape, ...]


def polygons(segmentation: Any) -> tuple[list[list[float]] | dict[str, Any], int]:
    """Checks an object's segmentation.

    Args:
        segmentation: What the file holds: polygons, one polygon, or run lengths.

    Returns:
        Polygons or run lengths, empty if there are none, and how many polygons had
        less than three points and were left out.

    Raises:
        ValueError: It is nothing of that.
    """
    if isinstance(segmentation, dict):
        if not {"size", "counts"} <= set(segmentation):
            raise ValueError("its segmentation lacks size or counts")
        return segmentation, 0
    found = segmentation or []
    if not isinstance(found, list):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    if found and not isinstance(found[0], list):
        found = [found]
    for polygon in found:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise ValueError("a polygon must be a list of x and y by turns")
        for number in polygon:
            # Far away edges would be followed pixel by pixel.
            if not isinstance(number, int | float) or not abs(number) < 1e5:
                raise ValueError(f"a polygon must hold numbers, and holds {number!r}")
        if sum(abs(a - b) for a, b in zip(polygon, polygon[2:], strict=False)) > _LONG:
            raise ValueError(f"a polygon's edges are longer than {_LONG:g} pixels")
    whole = [polygon for polygon in found if len(polygon) >= 6]
    return whole, len(found) - len(whole)


def folder(
    cache_dir: str | None, name: str, content: bytes, values: str
) -> pathlib.Path:
    """Returns the folder for the masks of a file, made if it is not there.

    Args:
        cache_dir: The folder around it; by default p5_keras in the user's cache.
        name: A name for people.
        content: What the file holds.
        values: What else the masks depend on.

    Raises:
        ValueError: It cannot be made.
    """
    root = cache_folder(cache_dir) if cache_dir else cache_folder() / "masks"
    digest = hashlib.sha256(f"{_VERSION} {values} ".encode() + content).hexdigest()
    path = pathlib.Path(os.path.abspath(root)) / f"{name}-{digest[:16]}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def draw(masks: Sequence[Mask]) -> list[Fault | None]:
    """Draws the masks that are not there yet.

    A smaller object lies on top of a larger one, a later one on top of an earlier one
    of the same area; what has no label lies below all objects.

    Args:
        masks: What to draw.

    Returns:
        What is wrong with each, or `None`.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_draw, masks))


def _draw(mask: Mask) -> Fault | None:
    from faster_coco_eval import mask as coco
    from PIL import Image

    if mask.file.is_file():
        return None
    # Column by column, as run lengths are: painting is several times as fast.
    pixels = np.zeros(mask.drawn, "uint8", order="F")
    layers = []
    height, width = mask.drawn
    shape = None
    try:
        for shape in mask.shapes:
            runs = _runs(shape.outline, mask.drawn)
            area = math.inf if shape.value == VOID else int(coco.area(runs))
            layers.append((area, shape, runs))
        for _, shape, runs in sorted(layers, key=lambda layer: -layer[0]):
            # One after another: all at once may take more memory than there is.
            inside = coco.decode(runs).reshape(height, width, order="A") > 0
            np.copyto(pixels, np.uint8(shape.value), where=inside)
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        where = shape.where if shape else str(mask.file)
        return Fault(where, f"its segmentation cannot be drawn: {reason}")
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if mask.drawn != mask.size:
        height, width = mask.size
        image = image.resize((width, height), Image.Resampling.NEAREST)
    # Under another name first: a mask that is there is whole.
    half = mask.file.with_suffix(f".{os.getpid()}")
    image.save(half, "PNG", compress_level=3)
    os.replace(half, mask.file)
    return None


def _runs(outline: list[list[float]] | dict[str, Any], size: Size) -> Any:
    """Returns the run lengths of an outline."""
    from faster_coco_eval import mask as coco

    height, width = size
    if isinstance(outline, list):
        return coco.merge(coco.frPyObjects(outline, height, width))
    if list(outline["size"]) != [height, width]:
        raise ValueError(f"it is for {outline['size']}, the picture is {[*size]}")
    counts = outline["counts"]
    if isinstance(counts, list):
        if any(not isinstance(n, int) or n < 0 for n in counts):
            raise ValueError("run lengths must be whole numbers from 0")
        if sum(counts) != height * width:
            raise ValueError(f"{sum(counts)} pixels for {height * width}")
        return coco.frPyObjects(outline, height, width)
    return outline
