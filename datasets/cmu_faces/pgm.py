"""Reads a grey picture in the binary PGM format."""

import re

import numpy as np

# "P5", width, height and white value, with comments between; then one blank.
_HEADER = re.compile(rb"P5" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s")


def read_pgm(content, filename):
    """Reads a picture of 8 bits and stretches it to 0..255.

    Each file says which value is white, and a pixel is its share of that.

    Args:
        content: bytes of the file.
        filename: str, the file to name in errors.

    Returns:
        A uint8 array `(height, width, 1)`.

    Raises:
        ValueError: if it is no binary PGM of 8 bits, if it holds more or fewer pixels
            than it says, or if a pixel is brighter than white.
    """
    header = _HEADER.match(content)
    if header is None:
        raise ValueError(
            "A picture must begin with the header of a binary PGM: P5, width, height, "
            f"white. Received: {content[:15]!r}, filename={filename!r}"
        )
    width, height, white = map(int, header.groups())
    if not 0 < white < 256:
        raise ValueError(
            "The white of a PGM of 8 bits must be 1 to 255. "
            f"Received: {white}, filename={filename!r}"
        )
    pixels = np.frombuffer(content, np.uint8, offset=header.end())
    if len(pixels) != width * height:
        raise ValueError(
            f"A PGM of {width}x{height} must hold {width * height} pixels. "
            f"Received: {len(pixels)}, filename={filename!r}"
        )
    if len(pixels) and pixels.max() > white:
        raise ValueError(
            f"No pixel may be brighter than white, which is {white}. "
            f"Received: {pixels.max()}, filename={filename!r}"
        )
    shares = np.rint(pixels * (255 / white)).astype(np.uint8)
    return shares.reshape(height, width, 1)
