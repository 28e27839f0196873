"""One picture or mask: is it whole, and can training read it as it is?"""

import os
import pathlib
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from p5_keras.data.cache import content_key, file_key
from p5_keras.data.image_file import EXTENSIONS, ImageFile, open_image
from p5_keras.data.importers import image_values, mask_content
from p5_keras.data.importers.image_values import Values
from p5_keras.data.records import Field

# Modes of Pillow without colour.
_GREY = ("1", "L", "LA", "La", "F")
_BYTES = Values()


@dataclass(frozen=True)
class Look:
    """What is known of a picture or a mask.

    Attributes:
        path: A file with it that training can read.
        size: Height and width as stored, before it is turned.
        turn: Orientation of its EXIF data, 1 to 8; 1 is upright.
        kind: Format of the original.
        channels: 1 if it is grey, else 3.
        extension: Whether the file has an extension of its format.
        converted: Whether `path` is a copy in another format.
        unknown: Of a mask, the pixel values that are no class.
        values: Of a picture, what its pixels hold; what they hold as bytes, once a rule
            has made them so.
    """

    path: str
    size: tuple[int, int]
    turn: int
    kind: str
    channels: int
    extension: bool
    converted: bool
    unknown: tuple[int, ...] = ()
    values: Values = _BYTES


def look_at_picture(
    path: str, folder: pathlib.Path, max_pixels: int | None = None
) -> Look:
    """Reads a picture in full, as Pillow and as training do.

    What TensorFlow cannot read as `read_image` does is written once as a PNG, not
    turned; its name follows from path, time and size of the original. What needs a rule
    is only measured: see `convert_picture`.

    Args:
        path: The file.
        folder: Where copies go.
        max_pixels: See `open_image`.

    Raises:
        ValueError: It cannot be used; the message says why.
    """
    file = open_image(path, max_pixels)
    grey = file.image.mode in _GREY or file.image.mode.startswith("I")
    copy = None
    if planes := file.planes():
        values = image_values.measure(*planes)
        return _look(path, file, planes[0].shape[-1], None, values=values)
    pixels = file.decoded()
    if pixels is None:
        copy = folder / f"{content_key('picture', file_key(path))}.png"
        pixels = file.rgb()
        if not copy.exists():
            _write_png(pixels[..., 0] if grey else pixels, copy)
    values = Values("uint8", *image_values.span(pixels))
    return _look(path, file, 1 if grey else 3, copy, values=values)


def convert_picture(
    path: str, folder: pathlib.Path, rule: image_values.Rule, grey: bool
) -> Look:
    """Writes a picture once as a PNG of bytes, by the rule of its set.

    Args:
        path: The file.
        folder: Where copies go.
        rule: See `image_values`.
        grey: Whether it has one channel.

    Raises:
        ValueError: It cannot be used; the message says why.
    """
    file = open_image(path, rule.get("max_pixels"))
    pixels = file.as_bytes(rule)
    if pixels is None:
        raise ValueError("it has changed while it was read")
    copy = folder / f"{content_key('picture', file_key(path), dict(rule))}.png"
    if not copy.exists():
        _write_png(pixels[..., 0] if grey else pixels, copy)
    values = Values("uint8", *image_values.span(pixels))
    return _look(path, file, 1 if grey else 3, copy, values=values)


def look_at_mask(
    path: str, folder: pathlib.Path, field: Field, max_pixels: int | None = None
) -> Look:
    """Reads a mask in full.

    One that is no grey PNG of 8 bits is written once as one, with the same values;
    those beyond 255 become their classes, and see `byte_values`.

    Args:
        path: The file.
        folder: Where copies go.
        field: Its field, of kind "mask".
        max_pixels: See `open_image`.

    Raises:
        ValueError: It cannot be used; the message says why.
    """
    file = open_image(path, max_pixels)
    if file.kind == "JPEG" and field.encoding != "nearest":
        raise ValueError(
            "it is a JPEG, in which classes blur into one another; a mask must be a "
            "PNG or of another exact format"
        )
    depth = mask_content.bit_depth(file.content)
    values = mask_content.pixel_values(file.image, field.encoding, depth)
    if file.image.mode == "1" and 255 in field.values and 1 not in field.values:
        values = values * 255
    wanted = field.values or tuple(range(len(field.class_names) or 255))
    if field.encoding == "nearest":
        known = np.sort(wanted)
        values = known[np.searchsorted((known[1:] + known[:-1]) / 2, values, "right")]
    found = np.unique(values)
    unknown = tuple(int(v) for v in found if v not in wanted and v != 255)
    copy = None
    wide = max(wanted) > 255
    exact = field.encoding == "exact" and depth == 8
    if wide or not exact or file.kind != "PNG" or file.image.mode != "L":
        named = content_key("mask", file_key(path), wanted)
        copy = folder / f"{named}.png"
        if not copy.exists():
            spare = next((v for v in range(255, -1, -1) if v not in wanted), 255)
            out = np.full(values.shape, 255 if wide else spare, "uint8")
            for number, value in enumerate(wanted):
                out[values == value] = number if wide else value
            _write_png(out, copy)
    return _look(path, file, 1, copy, unknown)


def byte_values(field: Field) -> Field:
    """Returns the field of masks that `look_at_mask` has seen, of values in 0..255."""
    if field.kind == "mask" and field.values and max(field.values) > 255:
        return Field(field.kind, field.class_names, tuple(range(len(field.values))))
    return field


def _look(
    path: str,
    file: ImageFile,
    channels: int,
    copy: pathlib.Path | None,
    unknown: tuple[int, ...] = (),
    values: Values = _BYTES,
) -> Look:
    width, height = file.image.size
    return Look(
        path=path if copy is None else str(copy),
        size=(height, width),
        turn=file.turn,
        kind=file.kind,
        channels=channels,
        extension=pathlib.Path(path).suffix.lower() in EXTENSIONS[file.kind],
        converted=copy is not None,
        unknown=unknown,
        values=values,
    )


def _write_png(pixels: np.ndarray, path: pathlib.Path) -> None:
    """Writes a file that is there in full or not at all."""
    from PIL import Image

    handle, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            image: Any = Image.fromarray(pixels)
            image.save(file, "PNG", compress_level=1)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
