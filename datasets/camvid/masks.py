"""Reads the class of every pixel from a mask of CamVid as SegNet gives it."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

NAMES = [
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
]
#: Class of a pixel without a label; the files say 11, "void".
IGNORED = 255


def read_mask(image, mask):
    """Reads a mask and checks it against its picture.

    Args:
        image: path of the picture.
        mask: path of the mask, a picture of one channel that holds 0 to 11.

    Returns:
        A uint8 array `(height, width, 1)` with classes 0 to 10, and 255 for void.

    Raises:
        ValueError: if one of them cannot be read, if the mask has several channels,
            another size than the picture, or a value above 11.
    """
    picture, labels = _open(image), _open(mask)
    if labels.mode not in ("L", "P"):
        raise ValueError(
            "A mask must have one channel of 8 bits. "
            f"Received: mode={labels.mode!r}, path={str(mask)!r}"
        )
    if labels.size != picture.size:
        raise ValueError(
            "A mask must have the size of its picture. "
            f"Received: {_size(labels)} for {_size(picture)}, path={str(mask)!r}"
        )
    classes = np.array(labels)
    if classes.max() > len(NAMES):
        raise ValueError(
            f"A mask must hold classes 0 to {len(NAMES)}. "
            f"Received: {classes.max()}, path={str(mask)!r}"
        )
    classes[classes == len(NAMES)] = IGNORED
    return classes[..., None]


def _open(path):
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as e:
        raise ValueError(
            f"A picture must be readable ({e}). Received: path={str(path)!r}"
        ) from e
    return image


def _size(image):
    return "x".join(map(str, image.size))
