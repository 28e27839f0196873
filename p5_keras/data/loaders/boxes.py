"""Boxes from pixels to shares of their picture."""

import numpy as np

from p5_keras.data.loaders.header import Size


def shares(
    corners: np.ndarray, size: Size, first: int = 0
) -> tuple[np.ndarray, np.ndarray, int]:
    """Turns corners in pixels into shares of a picture.

    A box without area, in itself or within the picture, is left out; one that
    reaches past the picture is cut at its edge.

    Args:
        corners: `(m, 4)` as y1, x1, y2, x2.
        size: `(height, width)` of the picture.
        first: 1 if corners are pixels counted from 1, the last of them within the
            box; 0 if they are edges between pixels.

    Returns:
        Float32 `(k, 4)` in 0..1, which of the `m` boxes these are, as booleans, and
        how many were cut.
    """
    corners = np.asarray(corners, "float64").reshape(-1, 4)
    sides = np.array([*size, *size], "float64")
    edges = corners - [first, first, 0, 0]
    inside = np.clip(edges, 0, sides)
    kept = _has_area(corners) & _has_area(inside)
    # Tools that compute in floats overshoot by less than can be seen.
    cut = kept & (np.abs(inside - edges) > 1e-3).any(axis=1)
    return (inside[kept] / sides).astype("float32"), kept, int(cut.sum())


def _has_area(corners: np.ndarray) -> np.ndarray:
    return np.all(corners[:, 2:] > corners[:, :2], axis=1)
