"""The order of an epoch in which the examples of a group come in a row."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from p5_keras.data.source import Source, shuffled


def group_order(
    source: Source,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes the order: groups as they are drawn for each epoch, each in one place.

    Args:
        source: The examples, with `groups`.

    Returns:
        From places in an epoch and their epochs, `(n,)` int64, and a seed, to the
        numbers of the examples. It passes over all groups, a few milliseconds for
        100,000.

    Raises:
        ValueError: There is not one group an example.
    """
    groups = np.asarray([] if source.groups is None else source.groups)[: source.size]
    if groups.shape != (source.size,):
        raise ValueError(
            "`groups` must be one group an example, where they are to come together. "
            f"Received: the shape {groups.shape} for {source.size} examples"
        )
    _, member, counts = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = tf.constant(np.argsort(member, kind="stable"), tf.int64)
    sizes = tf.constant(counts, tf.int64)
    starts = tf.constant(np.cumsum(counts) - counts, tf.int64)
    count = len(counts)

    def number(places: tf.Tensor, epochs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        # A batch may reach into the next epoch.
        each, row = tf.unique(epochs, tf.int64)
        every = tf.tile(tf.range(count, dtype=tf.int64), [tf.size(each)])
        order = shuffled(every, count, seed, tf.repeat(each, count))
        order = tf.reshape(order, [-1, count])
        ends = tf.cumsum(tf.gather(sizes, order), axis=1)
        turns = tf.searchsorted(
            ends,
            tf.tile(places[None], [tf.size(each), 1]),
            side="right",
            out_type=tf.int64,
        )
        column = tf.range(tf.size(row, tf.int64))
        turn = tf.gather_nd(turns, tf.stack([row, column], axis=1))
        at = tf.stack([row, turn], axis=1)
        group = tf.gather_nd(order, at)
        inside = places - (tf.gather_nd(ends, at) - tf.gather(sizes, group))
        return tf.gather(by_group, tf.gather(starts, group) + inside)

    return number
