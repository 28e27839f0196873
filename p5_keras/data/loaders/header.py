"""What a picture's file says of itself, without reading its pixels."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from p5_keras.data.image_file import EXTENSIONS, MAX_PIXELS
from p5_keras.data.importers import mask_content

Size = tuple[int, int]

_ORIENTATION = 0x0112  # EXIF tag


@dataclass(frozen=True)
class Header:
    """Format and size of a picture.

    Attributes:
        format: A key of `EXTENSIONS`.
        stored: `(height, width)` of the pixels as they are stored.
        upright: The same, turned as the EXIF data say.
    """

    format: str
    stored: Size
    upright: Size

    def drawn_on(self, said: Size) -> Size | None:
        """Returns the size of the picture that labels of a given size were drawn on.

        That is the picture as it is stored or as it is shown, or one of the same
        proportions as these; `None` if it is neither.

        Args:
            said: `(height, width)` above 0.
        """
        sizes = (self.stored, self.upright)
        if said in sizes:
            return said
        return next((size for size in sizes if in_proportion(size, said)), None)


def read(picture: pathlib.Path) -> Header:
    """Reads the header of a picture, whatever the picture is called.

    Args:
        picture: A file.

    Raises:
        ValueError: It is empty or no picture.
    """
    with _open(picture, list(EXTENSIONS)) as image:
        width, height = image.size
        # Of a PNG all is read for that.
        large = image.format == "PNG" and width * height > MAX_PIXELS
        turned = not large and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        # MPO is a JPEG with more pictures behind it, as some cameras write them.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
    upright = (width, height) if turned else (height, width)
    return Header(kind, (height, width), upright)


def text(size: Size) -> str:
    """Returns a size as people write it, width first."""
    return f"{size[1]}x{size[0]}"


def misnamed(picture: pathlib.Path, header: Header) -> str:
    """Returns how a picture's extension is wrong, for a note, or nothing."""
    if picture.suffix.lower() in EXTENSIONS[header.format]:
        return ""
    return f"pictures called {picture.suffix.lower()} that are {header.format}"


def mask(file: pathlib.Path, picture: Header | None = None) -> mask_content.Content:
    """Returns what stands in a mask.

    Args:
        file: A picture with a number, or a colour, for each pixel.
        picture: What it is the mask of; one of other proportions is not decoded.

    Raises:
        ValueError: It cannot be read, is no mask, or not that of the picture.
    """
    with _open(file, list(EXTENSIONS)) as image:
        size = (image.height, image.width)
        if picture and picture.drawn_on(size) is None:
            raise ValueError(
                f"it has {text(size)} pixels, its picture {text(picture.stored)}"
            )
        check_pixels(size, picture)
        with file.open("rb") as start:
            depth = mask_content.bit_depth(start.read(26))
        return mask_content.content(image, str(image.format), depth)


def check_pixels(size: Size, picture: Header | None = None) -> None:
    """Checks that an array of a size is not too large for the memory.

    Args:
        size: Height and width that a file asks for.
        picture: The picture that it belongs to, which may be as large.

    Raises:
        ValueError: It is more than `MAX_PIXELS`, and more than the picture has.
    """
    most = max(MAX_PIXELS, picture.stored[0] * picture.stored[1] if picture else 0)
    if size[0] * size[1] > most:
        raise ValueError(
            f"it is for {text(size)} pixels, more than the {most} that are allowed"
        )


def in_proportion(size: Size, said: Size) -> bool:
    """Whether one size is the other, resized and rounded to whole pixels."""
    small, large = sorted((size, said))
    scale = max(small) / max(large)
    return all(abs(b * scale - a) <= 1 for a, b in zip(small, large, strict=True))


@contextlib.contextmanager
def _open(file: pathlib.Path, formats: list[str]) -> Iterator[Any]:
    """Opens a picture; whatever goes wrong with it is a `ValueError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        if not file.stat().st_size:
            raise ValueError("it is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=formats) as image:
                yield image
    except ValueError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError(f"it is no readable {', '.join(formats)}") from error
    except Exception as error:  # a decoder can raise anything on a broken file
        raise ValueError(
            f"it is broken, {str(error) or type(error).__name__}"
        ) from error
