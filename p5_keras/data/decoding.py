"""Pictures and masks from their files, as operations of TensorFlow."""

from typing import Any

import numpy as np
import tensorflow as tf

Size = tuple[int, int]


def decode_picture(
    content: tf.Tensor,
    turn: tf.Tensor | None,
    size: Size,
    channels: int,
    resized: bool = True,
    stored: tf.Tensor | None = None,
) -> tf.Tensor:
    """Decodes a picture.

    Args:
        content: Its file, of a format that TensorFlow can read.
        turn: Orientation of its EXIF data, 1 to 8, or `None` if it is upright.
        size: Height and width that it is to have.
        channels: 1 or 3.
        resized: Whether it may have another size.
        stored: Height and width that it must have as it is stored, `(2,)`, or `None`.

    Returns:
        `(*size, channels)` uint8, upright.
    """
    pixels = tf.io.decode_image(content, 3, expand_animations=False)
    pixels.set_shape([None, None, 3])
    if stored is not None:
        with tf.control_dependencies(
            [tf.debugging.assert_equal(tf.shape(pixels)[:2], stored)]
        ):
            pixels = tf.identity(pixels)
    if turn is None:
        pixels = _resize(pixels, size, resized)
    else:
        # Turning what has been resized is cheaper, and the same.
        pixels = tf.cond(
            turn >= 5,
            lambda: tf.transpose(_resize(pixels, size[::-1], resized), [1, 0, 2]),
            lambda: _resize(pixels, size, resized),
        )
        for axis, turns in ((1, (2, 3, 6, 7)), (0, (3, 4, 7, 8))):
            mirrored = tf.reduce_any(turn == tf.constant(turns, turn.dtype))
            pixels = tf.where(mirrored, tf.reverse(pixels, [axis]), pixels)
    if channels == 1:
        pixels = tf.image.rgb_to_grayscale(pixels)
    return tf.ensure_shape(pixels, (*size, channels))


def decode_mask(content: tf.Tensor, table: np.ndarray, size: Size) -> tf.Tensor:
    """Decodes a mask, resized without mixing classes.

    Args:
        content: Its file, a grey PNG, or "" if the mask is missing.
        table: Class of each pixel value, `(256,)` uint8.
        size: Height and width that it is to have.

    Returns:
        `(*size, 1)` uint8, 255 where a pixel has no label.
    """

    def read() -> Any:
        mask = tf.io.decode_png(content, 1)
        mask = tf.image.resize(mask, size, method="nearest")
        return tf.gather(tf.constant(table), tf.cast(mask, tf.int32))

    missing = tf.fill([*size, 1], tf.constant(255, tf.uint8))
    mask = tf.cond(tf.strings.length(content) > 0, read, lambda: missing)
    return tf.ensure_shape(mask, (*size, 1))


def _resize(pixels: tf.Tensor, size: Size, resized: bool) -> tf.Tensor:
    if not resized:
        return tf.ensure_shape(pixels, (*size, 3))
    pixels = tf.image.resize(pixels, size, antialias=True)
    return tf.cast(tf.round(pixels), tf.uint8)
