"""What stands in one mask: its pixel values, and how many pixels have each."""

import collections
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Size = tuple[int, int]

#: Most different values in one mask; more are a photograph, or numbers of objects.
MOST = 1024


@dataclass(frozen=True)
class Content:
    """What stands in one mask.

    Attributes:
        size: Height and width in pixels.
        counts: Number of pixels by value; colours are 0xRRGGBB.
        colours: Whether values are colours.
        bits: Whether it holds one bit for each pixel.
        blurred: Whether its format does not keep values exactly.
        palette: Of a palette, the colour of each value in use.
    """

    size: Size
    counts: dict[int, int]
    colours: bool = False
    bits: bool = False
    blurred: bool = False
    palette: dict[int, int] = field(default_factory=dict)

    @property
    def by_colour(self) -> "Content":
        """The same with colours as values."""
        if self.colours:
            return self
        counts: collections.Counter[int] = collections.Counter()
        for value, count in self.counts.items():
            grey = value * (255 if self.bits else 1) * 0x010101
            counts[self.palette.get(value, grey)] += count
        return Content(self.size, counts, True, False, self.blurred)


def content(image: Any, kind: str, depth: int = 8) -> Content:
    """Counts the values in a mask.

    Args:
        image: An image of Pillow.
        kind: Its format, such as "PNG".
        depth: Bits of each pixel, which Pillow spreads over a byte.

    Raises:
        ValueError: It has more than `MOST` values, or values that are no numbers.
    """
    size, blurred = (image.height, image.width), kind in ("JPEG", "WEBP")
    palette: dict[int, int] = {}
    if image.mode in ("L", "P"):
        counts = np.array(image.histogram())
        values = np.flatnonzero(counts)
        counts = counts[values]
        if image.mode == "L":
            values = values // _step(depth)
        else:
            table = image.getpalette("RGB") or []
            table = [*table, *([0] * (768 - len(table)))]
            palette = {int(v): packed(table[3 * v : 3 * v + 3]) for v in values}
        colours = False
    else:
        pixels, colours = _pixels(image)
        values, counts = np.unique(pixels, return_counts=True)
    if len(values) > MOST:
        raise ValueError(
            f"it has {len(values)} different values; a mask has one for each class"
        )
    return Content(
        size,
        dict(zip(values.tolist(), counts.tolist(), strict=True)),
        colours,
        image.mode == "1",
        blurred,
        palette,
    )


def pixel_values(image: Any, encoding: str = "exact", depth: int = 8) -> np.ndarray:
    """Returns the value of each pixel, `(height, width)` int64.

    Args:
        image: An image of Pillow.
        encoding: As of a `Field`.
        depth: As in `content`.

    Raises:
        ValueError: It has colours where numbers are wanted.
    """
    if encoding == "colours":
        if image.mode == "P":
            image = image.convert("RGB")
        pixels, colours = _pixels(image)
        if not colours:
            pixels = pixels * (255 if image.mode == "1" else 1) * 0x010101
        return pixels
    if image.mode == "L":
        return np.asarray(image).astype("int64") // _step(depth)
    pixels, colours = _pixels(image)
    if colours:
        raise ValueError("it has colours; a mask must have one number a pixel")
    return pixels


def bit_depth(head: bytes) -> int:
    """Returns the bits of a grey PNG's pixel by its first bytes, 8 for all else."""
    grey = head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) > 25 and head[25] == 0
    return head[24] if grey and head[24] in (2, 4) else 8


def _pixels(image: Any) -> tuple[np.ndarray, bool]:
    """Returns int64 values `(height, width)`, and whether they are colours."""
    if image.mode in ("CMYK", "YCbCr", "HSV", "RGBX"):
        image = image.convert("RGB")
    values = np.asarray(image)
    if values.dtype.kind == "f" and not (values == np.round(values)).all():
        raise ValueError("it holds fractions; a mask has a whole number a pixel")
    if values.ndim == 2:
        return values.astype("int64"), False
    values = values.astype("int64")
    # Transparency is no class, unless there is nothing else.
    depth = {2: 1, 4: 3}.get(values.shape[2], values.shape[2])
    alpha, values = values[..., depth:], values[..., :depth]
    if alpha.size and (values == values[0, 0]).all() and np.ptp(alpha):
        return alpha[..., 0], False
    if (values == values[..., :1]).all():
        return values[..., 0], False
    return values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2], True


def packed(colour: Sequence[int]) -> int:
    """Returns red, green and blue as one number, 0xRRGGBB."""
    red, green, blue = (int(part) for part in colour)
    return red << 16 | green << 8 | blue


def _step(depth: int) -> int:
    return {2: 85, 4: 17}.get(depth, 1)
