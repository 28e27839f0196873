"""Pixel values of encoded images as the training read them, inside of the graph."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

Tensor = Any

_PNG = b"\x89PNG\r\n\x1a\n"


def decode(file: Tensor, rule: Mapping[str, Any] | None) -> Tensor:
    """Decodes an image by the rule of the training images; see `image_values`.

    Of the formats that are decoded here only a PNG may have 16 bits or transparency.

    Args:
        file: A file `()`, a JPEG, PNG, GIF or BMP.
        rule: The rule. Without one 16 bits are cut to the upper 8, and alpha is
            dropped.

    Returns:
        `(height, width, 3)` uint8.
    """
    if rule is None:
        return _bytes(file)
    ends = rule.get("ranges", {}).get("uint8")
    is_png = tf.strings.substr(file, 0, 8) == _PNG
    head = tf.io.decode_raw(tf.strings.substr(file, 24, 2), tf.uint8)
    head = tf.concat([tf.cast(head, tf.int32), [0, 0]], 0)
    # 16 bits, or an alpha channel, or a palette, whose colours may be transparent.
    special = is_png & ((head[0] == 16) | tf.reduce_any(head[1] == [3, 4, 6]))
    image = tf.cond(
        special, lambda: _png(file, head[0] == 16, rule), lambda: _scaled(file, ends)
    )
    image.set_shape([None, None, 3])
    return image


def _bytes(file: Tensor) -> Tensor:
    image = tf.io.decode_image(file, 3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def _scaled(file: Tensor, ends: Any) -> Tensor:
    image = _bytes(file)
    if ends is None:
        return image
    return _rounded(_stretched(tf.cast(image, tf.float32), ends))


def _png(file: Tensor, deep: Tensor, rule: Mapping[str, Any]) -> Tensor:
    """Decodes a PNG with all that it holds: of 8 bits each value v is 257 v."""
    pixels = tf.cast(tf.io.decode_png(file, 4, tf.uint16), tf.float32)
    values, alpha = pixels[..., :3], pixels[..., 3:] / 65535
    ranges = rule.get("ranges", {})
    shallow = _stretched(values / 257, ranges.get("uint8", (0, 255)))
    if "uint16" in ranges:
        full = _stretched(values, ranges["uint16"])
    else:
        # Readable if it fills its range: else what is white in it is not known.
        known = ~deep | (tf.reduce_max(values) >= 2**15)
        with tf.control_dependencies([tf.debugging.Assert(known, ["16 bits"])]):
            full = _stretched(values, (0, 65535))
    values = tf.where(deep, full, shallow)
    ground = rule.get("background", 255)
    if ground is not None:
        alpha = tf.where(tf.reduce_any(alpha > 0), alpha, 1.0)
        values = values * alpha + ground * (1 - alpha)
    return _rounded(values)


def _stretched(values: Tensor, ends: Any) -> Tensor:
    low, high = ends
    return tf.clip_by_value((values - low) * (255 / (high - low)), 0, 255)


def _rounded(values: Tensor) -> Tensor:
    return tf.cast(tf.round(values), tf.uint8)
