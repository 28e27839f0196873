"""Greedy non-maximum suppression of a batch, as few operations of fixed shapes."""

from typing import Any

import tensorflow as tf

Tensor = Any


def survivors(boxes: Tensor, kinds: Tensor, valid: Tensor, iou: float) -> Tensor:
    """Drops each box that overlaps a better one of its class that is not dropped.

    All boxes are judged at once, again and again, until nothing changes: after `n`
    rounds the first `n + 1` boxes are right for good. It runs in XLA, LiteRT and ONNX.

    Args:
        boxes: `(batch, n, 4)`, xyxy, best first.
        kinds: `(batch, n)`, integers; boxes of different classes do not meet.
        valid: `(batch, n)`, which boxes take part.
        iou: The highest IoU that two boxes may have.

    Returns:
        `(batch, n)`, which boxes remain.
    """
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    wide = tf.minimum(_rows(x2), _columns(x2)) - tf.maximum(_rows(x1), _columns(x1))
    high = tf.minimum(_rows(y2), _columns(y2)) - tf.maximum(_rows(y1), _columns(y1))
    both = tf.nn.relu(wide) * tf.nn.relu(high)
    area = (x2 - x1) * (y2 - y1)
    over = both > iou * (_rows(area) + _columns(area) - both)
    place = tf.range(tf.shape(kinds)[1])
    worse = (_rows(kinds) == _columns(kinds)) & (place[:, None] > place)
    drops = over & worse  # the row's box, if the column's is there

    def again(kept: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        found = valid & ~tf.reduce_any(drops & _columns(kept), axis=-1)
        return found, tf.reduce_any(found != kept)

    kept, _ = tf.while_loop(lambda _, more: more, again, [valid, tf.constant(True)])
    return kept


def _rows(x: Tensor) -> Tensor:
    return x[:, :, None]


def _columns(x: Tensor) -> Tensor:
    return x[:, None]
