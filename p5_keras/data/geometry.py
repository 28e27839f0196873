"""How an image, its label maps and its boxes follow one affine matrix.

Points are (x, y, 1) in pixels, with (0, 0) the outer corner of the first pixel and
(0.5, 0.5) its centre. A matrix takes a point to where it is shown.
"""

from typing import Any

import keras
import tensorflow as tf

#: Of a box at least this share must stay in view.
IN_VIEW = 1 / 3
_READABLE = ("uint8", "int32", "int64", "float32", "float64")


def affine(rows: Any) -> tf.Tensor:
    """Returns a `(3, 3)` matrix of two rows of three numbers or scalar tensors."""
    rows = [*rows, (0.0, 0.0, 1.0)]
    return tf.stack([tf.stack([tf.cast(n, tf.float32) for n in row]) for row in rows])


def warp(image: tf.Tensor, matrix: tf.Tensor, void: int | None = None) -> tf.Tensor:
    """Reads an image anew, each pixel once.

    Args:
        image: `(height, width, channels)`, or a map without channels.
        matrix: `(3, 3)`, where each point is shown.
        void: Value of a map where there is nothing to show. A map takes the nearest
            pixel; without `void` the image is interpolated, and its edge repeated.

    Returns:
        The same shape; the same dtype for a map, float32 for the image.
    """
    back = tf.linalg.inv(matrix)[:2]
    # The operation counts from the centre of the first pixel.
    shift = back[:, 2] + (tf.reduce_sum(back[:, :2], axis=1) - 1) / 2
    back = tf.concat([back[:, :2], shift[:, None]], axis=1)
    vector = tf.concat([tf.reshape(back, [6]), [0.0, 0.0]], axis=0)
    transform = keras.ops.image.affine_transform
    if void is None:
        return transform(
            tf.cast(image, tf.float32), vector, "bilinear", fill_mode="nearest"
        )
    plane = image if len(image.shape) == 3 else image[..., None]
    if plane.dtype.name not in _READABLE:
        plane = tf.cast(plane, tf.int32)
    plane = transform(plane, vector, "nearest", "constant", void)
    plane = plane if len(image.shape) == 3 else plane[..., 0]
    return tf.cast(plane, image.dtype)


def window(image: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Does what `warp` does to an image, at less than half the cost, for windows.

    Args:
        image: `(height, width, channels)`.
        matrix: `(3, 3)` that only magnifies, mirrors and shifts, such that the image
            fills the view.
    """
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    back = tf.linalg.inv(matrix)
    # The corners of the view, y1, x1, y2, x2: first and last pixel's centre.
    scale = tf.tile(tf.stack([back[1, 1], back[0, 0]]), [2])
    shift = tf.tile(tf.stack([back[1, 2], back[0, 2]]), [2])
    centres = tf.concat([[0.5, 0.5], size - 0.5], axis=0)
    # These may lie between the edge and its pixels' centres: repeat the edge once.
    image = tf.pad(tf.cast(image, tf.float32), [[1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    corners = (scale * centres + shift + 0.5) / tf.tile(size + 1, [2])
    shape = tf.shape(image)[:2] - 2
    return tf.image.crop_and_resize(image[None], corners[None], [0], shape)[0]


def turn(
    image: tf.Tensor, vertical: tf.Tensor, horizontal: tf.Tensor, transposed: tf.Tensor
) -> tf.Tensor:
    """Transposes an image where asked, then mirrors it, without reading it anew."""
    steps: list[tuple[Any, Any]] = [
        (transposed, lambda x: tf.transpose(x, [1, 0, *range(2, len(x.shape))])),
        (vertical, lambda x: tf.reverse(x, [0])),
        (horizontal, lambda x: tf.reverse(x, [1])),
    ]
    shape = image.shape
    for on, step in steps:
        if on is not False:
            image = tf.cond(on, lambda f=step, x=image: f(x), lambda x=image: x)
    return tf.ensure_shape(image, shape)


def move_boxes(
    boxes: tf.Tensor, matrix: tf.Tensor, size: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves the corners of boxes, takes the upright box around them, and clips it.

    Args:
        boxes: `(n, 4)`, y1, x1, y2, x2 as shares of height and width.
        matrix: `(3, 3)`, where each point is shown.
        size: Height and width in pixels, `(2,)` float32.

    Returns:
        The boxes, zeros where dropped, and `(n,)` whether each stays: a box without
        area, or with less than a third of it in view, is dropped. Boxes that are NaN
        stay as they are.
    """
    y1, x1, y2, x2 = tf.unstack(tf.cast(boxes, tf.float32), axis=-1)
    x = tf.stack([x1, x2, x1, x2], axis=-1) * size[1]
    y = tf.stack([y1, y1, y2, y2], axis=-1) * size[0]
    corners = tf.stack([x, y, tf.ones_like(x)], axis=-1)
    x, y = tf.unstack(tf.einsum("nck,jk->jnc", corners, matrix[:2]))
    x, y = x / size[1], y / size[0]
    low, high = tf.reduce_min, tf.reduce_max
    hull = tf.stack([low(y, 1), low(x, 1), high(y, 1), high(x, 1)], axis=-1)
    clipped = tf.clip_by_value(hull, 0.0, 1.0)
    seen = _area(clipped)
    there = (y2 > y1) & (x2 > x1)
    kept = there & (seen > 0) & (seen >= IN_VIEW * _area(hull))
    unknown = tf.reduce_any(tf.math.is_nan(boxes), axis=-1)
    moved = tf.where(kept[:, None], clipped, tf.zeros_like(clipped))
    moved = tf.cast(moved, boxes.dtype)
    return tf.where(unknown[:, None], boxes, moved), kept | unknown


def _area(boxes: tf.Tensor) -> tf.Tensor:
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    return (y2 - y1) * (x2 - x1)
