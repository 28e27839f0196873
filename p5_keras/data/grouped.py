"""A source whose examples come group by group."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.source import Example, Source, shuffled


def grouped(source: Source, groups: Any, seed: int = 0) -> Source:
    """Keeps the examples of a group together, so that they meet in a batch.

    In each epoch groups come in another order, and the examples of each in a row; only
    the groups at the ends of a batch are cut. It costs a pass over the sizes of all
    groups a batch, a few milliseconds for 100,000. Batches vary less within groups
    than by chance, which is the price where other tasks learn of the same batches.

    Args:
        source: The examples.
        groups: `(size,)` numbers or strings: which group each example is of.
        seed: Seed of the order of the groups.

    Raises:
        ValueError: There is not one group an example.
    """
    groups = np.asarray(groups)
    if groups.shape != (source.size,):
        raise ValueError(
            "`groups` must be one group an example. "
            f"Received: the shape {groups.shape} for {source.size} examples"
        )
    _, member, counts = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = tf.constant(np.argsort(member, kind="stable"), tf.int64)
    sizes = tf.constant(counts, tf.int64)
    starts = tf.constant(np.cumsum(counts) - counts, tf.int64)
    count = len(counts)

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        # A batch may reach into the next epoch.
        each, row = tf.unique(epochs, tf.int64)
        every = tf.tile(tf.range(count, dtype=tf.int64), [tf.size(each)])
        order = shuffled(every, count, seed, tf.repeat(each, count))
        order = tf.reshape(order, [-1, count])
        ends = tf.cumsum(tf.gather(sizes, order), axis=1)
        place = tf.tile(indices[None], [tf.size(each), 1])
        turn = tf.searchsorted(ends, place, side="right", out_type=tf.int64)
        turn = tf.gather_nd(
            turn, tf.stack([row, tf.range(tf.size(row, tf.int64))], axis=1)
        )
        at = tf.stack([row, turn], axis=1)
        group = tf.gather_nd(order, at)
        inside = indices - (tf.gather_nd(ends, at) - tf.gather(sizes, group))
        return source.read(
            tf.gather(by_group, tf.gather(starts, group) + inside), epochs
        )

    return dataclasses.replace(source, read=read, ordered=True)
