"""Images of unknown origin: which files of a folder they are, and their pixels."""

import io
import os
import pathlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from p5_keras.data.importers import image_values

#: Shortest side in pixels of an image that is worth reading.
MIN_SIDE = 8
#: Most pixels of an image that is decoded: 192 MB in three channels.
MAX_PIXELS = 64_000_000

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


@dataclass(frozen=True)
class ImageFile:
    """A file whose image has been read by Pillow without fault.

    Attributes:
        content: The bytes of the file.
        image: The image, of Pillow, neither turned nor converted.
        kind: Name of the format, one of `EXTENSIONS`.
        turn: Orientation of its EXIF data, 1 to 8; 1 is upright.
    """

    content: bytes
    image: Any
    kind: str
    turn: int

    def decoded(self) -> np.ndarray | None:
        """Decodes it as training does, `(height, width, 3)` uint8, not turned.

        Returns:
            The pixels, or `None` if TensorFlow cannot read it or, as the palette of a
            BMP, gets it wrong.
        """
        frames = getattr(self.image, "is_animated", False)  # all would be decoded
        if self.kind not in ("JPEG", "PNG", "GIF") or frames:
            return None
        try:
            image = tf.io.decode_image(self.content, 3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            return None
        return image.numpy()

    def planes(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Returns what bytes without transparency cannot hold, not turned.

        Returns:
            Pixels `(height, width, 1 or 3)` of uint8, uint16, int32 or float32, and
            their alpha `(height, width)` in the same type or `None`; `None` for an
            image of opaque bytes.
        """
        mode, pixels = self.image.mode, None
        if self.kind == "PNG" and self.content[24] == 16:  # Pillow cuts off colours
            pixels = tf.io.decode_png(self.content, 0, tf.uint16).numpy()
        elif mode.startswith("I;16"):
            pixels = np.asarray(self.image).astype("uint16")[..., None]
        elif mode in ("I", "F"):
            pixels = np.asarray(self.image)[..., None]
        elif mode in ("LA", "La", "PA", "RGBA", "RGBa") or (
            "transparency" in self.image.info
        ):
            pixels = np.asarray(self.image.convert("RGBA"))
            if mode in ("LA", "La"):
                pixels = pixels[..., [0, 3]]
        if pixels is None:
            return None
        if pixels.shape[-1] in (1, 3):
            return pixels, None
        alpha = pixels[..., -1]
        # Where all is transparent the channel says nothing.
        opaque = bool((alpha == alpha.flat[0]).all()) and (
            alpha.flat[0] in (0, np.iinfo(pixels.dtype).max)
        )
        if opaque and pixels.dtype == np.uint8:
            return None
        return pixels[..., :-1], None if opaque else alpha

    def as_bytes(self, rule: image_values.Rule) -> np.ndarray | None:
        """Brings it to bytes by a rule, `(height, width, 3)` uint8, not turned.

        Args:
            rule: Of `image_values`.

        Returns:
            The pixels, or `None` if it needs no rule.

        Raises:
            ValueError: The rule does not fit it.
        """
        planes = self.planes()
        if planes is None and "uint8" in rule.get("ranges", {}):
            planes = self.rgb(), None
        if planes is None:
            return None
        pixels = image_values.apply(*planes, rule)
        return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels

    def rgb(self) -> np.ndarray:
        """Converts it by Pillow, `(height, width, 3)` uint8, not turned."""
        if self.image.mode.startswith("I"):  # 16 bits, which Pillow cuts off at 255
            grey = np.clip(np.asarray(self.image) // 256, 0, 255).astype("uint8")
            return np.repeat(grey[..., None], 3, axis=-1)
        return np.asarray(self.image.convert("RGB"))


def open_image(
    path: str | os.PathLike[str], max_pixels: int | None = None
) -> ImageFile:
    """Opens an image by its content, whatever its name; of frames, the first.

    Args:
        path: A file.
        max_pixels: An image with more pixels, by its header, is not decoded; by default
            `MAX_PIXELS`.

    Raises:
        ValueError: It cannot be read, is too large, or a side has less than `MIN_SIDE`
            pixels.
    """
    max_pixels = max_pixels or MAX_PIXELS
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
            large = image.width * image.height > max_pixels
            if min(image.size) >= MIN_SIDE and not large:
                image.load()
            # Asked for when it is loaded, as Pillow turns a TIFF by itself, and loads a
            # PNG for it.
            turn = 1 if large else image.getexif().get(_ORIENTATION, 1)
        except UnidentifiedImageError as error:
            raise ValueError(f"it is no readable {', '.join(EXTENSIONS)}") from error
        except Exception as error:  # a decoder can raise anything on a broken file
            reason = str(error) or type(error).__name__
            raise ValueError(f"it is broken, {reason}") from error
    width, height = image.size
    if large:
        raise ValueError(
            f"it has {width}x{height} pixels, more than max_pixels={max_pixels}"
        )
    if min(image.size) < MIN_SIDE:
        raise ValueError(
            f"it has {width}x{height} pixels; each side must have {MIN_SIDE} or more"
        )
    # MPO is a JPEG with more pictures behind it, as some cameras write them.
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    return ImageFile(content, image, kind, turn if turn in range(1, 9) else 1)


def allow(max_pixels: int) -> None:
    """Lets Pillow open images of so many pixels, which has a limit of its own."""
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def read_image(
    path: str | os.PathLike[str], rule: image_values.Rule | None = None
) -> tuple[np.ndarray, str]:
    """Reads an image by its content, whatever its name.

    Colour, grey, palette and CMYK all become RGB; of several frames the first is read.
    The image is turned upright as its EXIF data say.

    Args:
        path: A file.
        rule: How the images of the training were read, see `image_values`. Without it
            16 bits are cut to the upper 8, and alpha is dropped.

    Returns:
        Pixels `(height, width, 3)` uint8, and the name of the format.

    Raises:
        ValueError: It cannot be read, or a side has less than `MIN_SIDE` pixels.
    """
    file = open_image(path, (rule or {}).get("max_pixels"))
    pixels = None if rule is None else file.as_bytes(rule)
    pixels = file.decoded() if pixels is None else pixels
    if pixels is None:
        logging.debug("Pillow reads %s, as TensorFlow cannot", path)
        pixels = file.rgb()
    return _upright(pixels, file.turn), file.kind


def _upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Undoes an orientation of EXIF, 1 to 8; 1 is upright."""
    if turn in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
