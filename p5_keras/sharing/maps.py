"""Tensors of one shape brought to the size of another."""

from typing import Any

from keras import layers

from p5_keras.sharing.base import pooled
from p5_keras.task import Tensor
from p5_keras.tasks.map_head import match_size


def fit_map(x: Tensor, height: int, width: int, pool: Any) -> Tensor:
    """Pools or repeats the pixels of a map until it has a size.

    Args:
        x: `(batch, rows, columns, channels)`.
        height: Rows wanted.
        width: Columns wanted.
        pool: Class of the pooling layer.
    """
    strides = -(-x.shape[1] // height), -(-x.shape[2] // width)
    if max(strides) > 1:
        x = pool(strides, strides, padding="same")(x)
    if tuple(x.shape[1:3]) != (height, width):
        x = match_size(x, height, width)
    return x


def fit(x: Tensor, like: Tensor) -> Tensor:
    """Brings any tensor to the positions of another, so that they can be joined.

    A map is averaged to another map's size; to anything else it is averaged to a
    vector, which is repeated at every position. Of a list, such as a detector's
    output for its anchors, the vector is the maximum over the list.

    Args:
        x: `(batch, size)`, `(batch, list, size)` or `(batch, rows, columns, size)`.
        like: A feature of a trunk.

    Returns:
        `x` with the positions of `like`.
    """
    if len(x.shape) == 4 and len(like.shape) == 4:
        return fit_map(x, like.shape[1], like.shape[2], layers.AveragePooling2D)
    x = layers.GlobalMaxPooling1D()(x) if len(x.shape) == 3 else pooled(x)
    if len(like.shape) == 2:
        return x
    if len(like.shape) == 3:
        return layers.RepeatVector(like.shape[1])(x)
    x = layers.Reshape((1, 1, x.shape[-1]))(x)
    return layers.UpSampling2D((like.shape[1], like.shape[2]))(x)
