"""How large an encoded image is, before it is decoded, inside of the graph."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.image_file import MAX_PIXELS

__all__ = ["MAX_PIXELS", "within", "within_jpeg"]

Tensor = Any

#: Bytes of a file that are enough to know a PNG or a BMP.
_HEAD = 26
_JPEG, _PNG, _GIF, _BMP = b"\xff\xd8\xff", b"\x89PN", b"GIF", b"BM"


def within(content: Tensor, max_pixels: int) -> Tensor:
    """Returns image files, those left out whose header promises too much.

    JPEG files are left to `within_jpeg`. Of a GIF all up to the end of its first
    picture is kept: a decoder would unpack the others too.

    Args:
        content: `(batch,)` strings.
        max_pixels: The most that an image may have.

    Returns:
        `(batch,)` strings, empty where an image is too large, or a GIF is cut off.
    """
    head = tf.io.decode_raw(content, tf.uint8, fixed_length=_HEAD)
    head = tf.cast(tf.reshape(head, [-1, _HEAD]), tf.float64)  # areas are beyond int64
    rows = [_place(0, 3), _place(16, 4, False), _place(20, 4, False)]
    rows += [_place(18, 4), _place(22, 4)]
    found = tf.reduce_sum(head[:, None] * tf.constant(rows, tf.float64), axis=2)
    first, png_width, png_height, bmp_width, bmp_height = tf.unstack(found, axis=1)
    # The height of a BMP is negative where its first row stands first.
    bmp = bmp_width * tf.minimum(bmp_height, 2**32 - bmp_height)
    pixels = tf.where(first % 65536 == _value(_BMP), bmp, 0.0)
    pixels = tf.where(first == _value(_PNG), png_width * png_height, pixels)
    content = tf.where(pixels > max_pixels, "", content)
    gif = first == _value(_GIF)

    def pictures() -> Tensor:
        def one(item: Any) -> Tensor:
            file, found = item
            first = functools.partial(_first_picture, file, max_pixels)
            return tf.cond(found, first, lambda: file)

        spec = tf.TensorSpec([], tf.string)
        return tf.map_fn(one, (content, gif), fn_output_signature=spec)

    return tf.cond(tf.reduce_any(gif), pictures, lambda: content)


def within_jpeg(file: Tensor, max_pixels: int) -> Tensor:
    """Returns an image file, `()` string, if it is no JPEG or one within the limit.

    Raises:
        tf.errors.InvalidArgumentError: In the graph: it has more pixels, or is cut off.
    """
    starts = tf.equal(tf.strings.substr(file, 0, len(_JPEG)), _JPEG)
    # One operation on some JPEG: branches would cost more in each request.
    shape = tf.io.extract_jpeg_shape(tf.where(starts, file, _smallest()), tf.int32)
    pixels = tf.reduce_prod(tf.cast(shape[:2], tf.int64))
    text = f"An image must have at most {max_pixels} pixels. Received: as many as"
    small = tf.raw_ops.Assert(condition=pixels <= max_pixels, data=[text, pixels])
    with tf.control_dependencies([small]):
        return tf.identity(file)


def _first_picture(file: Tensor, max_pixels: int) -> Tensor:
    """Returns a GIF of the first picture of a GIF; "" if it is too large or cut off."""
    content = tf.io.decode_raw(file, tf.uint8)
    size = tf.size(content, tf.int64)
    content = tf.concat([content, tf.zeros([16], tf.uint8)], 0)

    def part(start: Tensor, length: int) -> list[Tensor]:
        own = tf.ensure_shape(content[start : start + length], [length])
        return tf.unstack(tf.cast(own, tf.int64))

    def area(sides: list[Tensor]) -> Tensor:
        return (sides[0] + 256 * sides[1]) * (sides[2] + 256 * sides[3])

    def table(flags: Tensor) -> Tensor:  # bytes of a table of colours
        length = 3 * tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
        return tf.where(flags >= 128, length, 0)

    def step(at: Tensor, pixels: Tensor, inside: Tensor, done: Tensor) -> Any:
        own = part(at, 10)
        extension, picture = tf.equal(own[0], 0x21), tf.equal(own[0], 0x2C)
        known = extension | picture
        # Inside of a block parts follow, each after its length, up to one of 0 bytes.
        begins = tf.where(picture, 11 + table(own[9]), 2)
        ends = inside & tf.equal(own[0], 0)
        return (
            at + tf.where(inside, own[0] + 1, begins),
            tf.where(~inside & picture, area(own[5:9]), pixels),
            tf.where(inside, ~ends, known),
            tf.where(inside, ends & (pixels >= 0), ~known),
        )

    flags, screen = part(10, 1)[0], area(part(6, 4))
    start = (13 + table(flags), tf.constant(-1, tf.int64))
    end, pixels, _, done = tf.while_loop(
        lambda at, pixels, inside, done: ~done & (at < size),
        step,
        (*start, tf.constant(False), tf.constant(False)),
        parallel_iterations=1,
    )
    right = done & (pixels >= 0) & (tf.maximum(pixels, screen) <= max_pixels)
    picture = tf.strings.substr(file, 0, tf.cast(tf.minimum(end, size), tf.int32))
    return tf.where(right, tf.strings.join([picture, ";"]), "")


def _place(start: int, length: int, least_first: bool = True) -> list[int]:
    """Returns what to multiply the bytes of a head by for the number in some."""
    found = [0] * _HEAD
    places = range(length) if least_first else range(length)[::-1]
    for i, place in enumerate(places):
        found[start + i] = 256**place
    return found


def _value(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _smallest() -> bytes:
    with tf.init_scope():
        return bytes(tf.io.encode_jpeg(np.zeros([1, 1, 3], "uint8")).numpy())
