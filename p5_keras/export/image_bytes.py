"""From encoded images to the input of a model, inside of the graph."""

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from p5_keras.export import image_rule
from p5_keras.export.image_limits import MAX_PIXELS, within, within_jpeg

Tensor = Any

#: Pixels from which on an image is made small before it is made grey: in floats a
#: large one takes a gigabyte.
LARGE = 12_000_000


def decode_images(
    content: Tensor,
    shape: tuple[int, int, int],
    max_pixels: int = MAX_PIXELS,
    rule: Mapping[str, Any] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Decodes a batch of images; one that is broken does not spoil the others.

    Args:
        content: `(batch,)` strings, each a JPEG, PNG, GIF or BMP file. EXIF data are
            not read: an image must be upright.
        shape: Height, width and channels (1 or 3) that the model takes.
        max_pixels: A file with a larger image counts as broken; it is not decoded.
        rule: How the values of the training images were read; see `image_rule.decode`.

    Returns:
        Images `(batch, *shape)` float32 from 0 to 255, 0 where one is broken; height
        and width `(batch, 2)` of each file's image; and `(batch,)` whether it was read.
    """
    height, width, channels = shape
    count, content = tf.size(content), within(content, max_pixels)

    def decode(index: Tensor, file: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = image_rule.decode(within_jpeg(file, max_pixels), rule)
        size = tf.shape(image)[:2]
        small = functools.partial(tf.image.resize, size=[height, width], antialias=True)
        if channels == 1:
            grey = tf.image.rgb_to_grayscale
            image = tf.cond(
                tf.reduce_prod(size) > LARGE,
                lambda: grey(small(image)),
                lambda: small(grey(image)),
            )
        else:
            image = small(image)
        image = tf.round(image)
        return index, image, size

    # A failing element is left out by tf.data, and by nothing else in a graph.
    images = tf.data.Dataset.range(tf.cast(count, tf.int64))
    images = images.map(lambda i: (tf.cast(i, tf.int32), content[i]))
    images = images.map(decode, tf.data.AUTOTUNE).ignore_errors(log_warning=False)
    # One more, that goes to a row of its own, so that there always is one.
    spare = (count[None], tf.zeros([1, *shape]), tf.zeros([1, 2], tf.int32))
    images = images.concatenate(tf.data.Dataset.from_tensor_slices(spare))
    rows, found, sizes = images.batch(tf.cast(count, tf.int64) + 1).get_single_element()
    rows = rows[:, None]
    batch = tf.scatter_nd(rows, found, [count + 1, *shape])[:-1]
    size = tf.scatter_nd(rows, sizes, [count + 1, 2])[:-1]
    ok = tf.scatter_nd(rows, tf.ones_like(rows[:, 0]), [count + 1])[:-1] > 0
    return tf.ensure_shape(batch, [None, *shape]), size, ok
