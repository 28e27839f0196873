"""Reads one file in the IDX format of MNIST, packed with gzip."""

import gzip
import zlib

import numpy as np


def read_idx(path, item_shape=()):
    """Reads the items of a packed IDX file of bytes.

    Args:
        path: a path with an `open` method.
        item_shape: tuple, the shape that one item must have; `()` for labels.

    Returns:
        A uint8 array of the shape `(items, *item_shape)`.

    Raises:
        ValueError: if the file is no complete gzip file, if it does not begin with
            the magic number of such an array, if its items have another shape, or
            if it holds more or fewer bytes than it says.
    """
    try:
        with path.open("rb") as file, gzip.open(file) as unpacked:
            content = unpacked.read()
    except (OSError, EOFError, zlib.error) as e:
        raise ValueError(
            f"An IDX file must be a complete gzip file ({e}). "
            f"Received: path={str(path)!r}"
        ) from e
    axes = 1 + len(item_shape)
    # Two zeros, 8 for unsigned bytes, the number of axes; then the length of each.
    magic, header = bytes([0, 0, 8, axes]), 4 + 4 * axes
    if content[:4] != magic or len(content) < header:
        raise ValueError(
            f"An IDX file of bytes with {axes} axes must begin with the number "
            f"0x{magic.hex()}. "
            f"Received: 0x{content[:4].hex()} in {len(content)} bytes, "
            f"path={str(path)!r}"
        )
    shape = tuple(np.frombuffer(content, ">u4", axes, offset=4).tolist())
    if shape[1:] != tuple(item_shape):
        raise ValueError(
            f"The items of this IDX file must have the shape {tuple(item_shape)}. "
            f"Received: {shape[1:]}, path={str(path)!r}"
        )
    size = int(np.prod(shape, dtype=np.int64))
    if len(content) != header + size:
        raise ValueError(
            f"An IDX file of the shape {shape} must hold {size} bytes after its "
            f"header. Received: {len(content) - header}, path={str(path)!r}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
