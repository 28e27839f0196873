"""Images of unknown origin: which files of a folder they are, and their pixels."""

import io
import os
import pathlib
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

#: Shortest side in pixels of an image that is worth reading.
MIN_SIDE = 8

#: Extensions of each format that can be read.
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}

_ORIENTATION = 0x0112  # EXIF tag


def list_images(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Lists the files of a folder that have an image's extension, sorted.

    Hidden files are left out; other files are counted in one warning.

    Args:
        folder: The folder.

    Raises:
        ValueError: The folder is missing or holds no image.
    """
    path = pathlib.Path(folder or "")
    if not folder or not path.is_dir():
        raise ValueError(
            f"`folder` must be a folder with images. Received: folder={folder!r}"
        )
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
    known = [extension for group in EXTENSIONS.values() for extension in group]
    images = [p for p in files if p.suffix.lower() in known]
    others = len(files) - len(images)
    if not images:
        raise ValueError(
            f"`folder` must hold an image: {' '.join(known)}. "
            f"Received: folder={str(path)!r}, other files: {others}"
        )
    if others:
        logging.warning("Files in %s that are no images, ignored: %d", path, others)
    return images


def read_image(path: str | os.PathLike[str]) -> tuple[np.ndarray, str]:
    """Reads an image by its content, whatever its name.

    Colour, grey, palette, 16 bits and CMYK all become RGB; alpha is dropped; of
    several frames the first is read. The image is turned upright as its EXIF data say.

    Args:
        path: A file.

    Returns:
        Pixels `(height, width, 3)` uint8, and the name of the format.

    Raises:
        ValueError: It cannot be read, or a side has less than `MIN_SIDE` pixels.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if not content:
        raise ValueError("it is empty")
    # Pillow goes first: about a broken file TensorFlow writes lines of its own.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(content), formats=list(EXTENSIONS))
            turn = image.getexif().get(_ORIENTATION, 1)
            if min(image.size) >= MIN_SIDE:
                image.load()
        except UnidentifiedImageError as error:
            raise ValueError(f"it is no readable {', '.join(EXTENSIONS)}") from error
        except Exception as error:  # a decoder can raise anything on a broken file
            reason = str(error) or type(error).__name__
            raise ValueError(f"it is broken, {reason}") from error
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise ValueError(
            f"it has {width}x{height} pixels; each side must have {MIN_SIDE} or more"
        )
    # MPO is a JPEG with more pictures behind it, as some cameras write them.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    # Decoded as training data are, but for what TensorFlow cannot read or, as the
    # palette of a BMP, gets wrong.
    pixels = None
    if kind in ("JPEG", "PNG", "GIF"):
        try:
            pixels = tf.io.decode_image(content, 3, expand_animations=False).numpy()
        except tf.errors.InvalidArgumentError:
            logging.debug("TensorFlow cannot read %s; Pillow can", path)
    return _upright(_rgb(image) if pixels is None else pixels, turn), kind


def _rgb(image: Any) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        grey = np.clip(np.asarray(image) // 256, 0, 255).astype("uint8")
        return np.repeat(grey[..., None], 3, axis=-1)
    return np.asarray(image.convert("RGB"))


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Undoes an orientation of EXIF, 1 to 8; 1 is upright."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
