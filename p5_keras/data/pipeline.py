"""Batches for training and evaluation, from any source."""

from typing import Any

import tensorflow as tf

from p5_keras.data.source import Example, Source
from p5_keras.task import Task

Batch = tuple[Any, dict[str, Any], dict[str, Any]]


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Returns the steps that see every example once; the last batch wraps round."""
    return -(-source.size // batch_size)


def training(
    source: Source,
    tasks: list[Task],
    batch_size: int,
    seed: int = 0,
    start: int | None = 0,
) -> tf.data.Dataset:
    """Makes training batches, each epoch in an order of its own.

    Batch k is a pure function of the source, the seed and k. A run that stopped after
    k steps goes on with `start=k` and sees what it would have seen.

    Args:
        source: The examples.
        tasks: The tasks that read labels.
        batch_size: Global batch size.
        seed: Seed of the order and the augmentation.
        start: Number of the first batch of an endless dataset. `None` gives a dataset
            of one epoch, another one each time that it is iterated over.

    Returns:
        Dataset of `(x, y, sample_weight)`: the input `(batch, ...)` float32, and a
        dict each of labels and weights by task.
    """

    def place(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        epoch, index = position // source.size, position % source.size
        run = tf.constant(seed, tf.int64)
        index = tf.random.experimental.index_shuffle(
            index, seed=tf.stack([run, epoch]), max_index=source.size - 1
        )
        return index, epoch, tf.stack([run, position])

    if start is None:
        length = steps_per_epoch(source, batch_size) * batch_size
        dataset = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
        dataset = dataset.flat_map(
            lambda r: tf.data.Dataset.counter(r % 2**20 * source.size).take(length)
        )
    else:
        dataset = tf.data.Dataset.counter(start * batch_size)
    dataset = dataset.map(place).batch(batch_size, drop_remainder=True)
    dataset = dataset.map(
        lambda index, epoch, seeds: (source.read(index, epoch), seeds),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if source.augment is not None:
        dataset = dataset.unbatch()
        dataset = dataset.map(source.augment, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.batch(batch_size, drop_remainder=True)
    else:
        dataset = dataset.map(lambda example, seeds: example)
    dataset = dataset.map(
        lambda example: to_batch(source, tasks, example),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    if start is None:
        steps = steps_per_epoch(source, batch_size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def evaluation(source: Source, tasks: list[Task], batch_size: int) -> tf.data.Dataset:
    """Makes batches of every example once, in order, without augmentation.

    The last batch is filled up with examples of weight 0, so that shapes are static
    and replicas get equal shares.

    Args:
        source: The examples.
        tasks: The tasks that read labels.
        batch_size: Global batch size.

    Returns:
        Dataset of `(x, y, sample_weight)`, as `training` gives them.
    """

    def read(positions: tf.Tensor) -> Batch:
        indices = tf.minimum(positions, source.size - 1)
        example = source.read(indices, tf.zeros_like(indices))
        x, y, weights = to_batch(source, tasks, example)
        real = tf.cast(positions < source.size, tf.float32)
        return x, y, {name: weight * real for name, weight in weights.items()}

    steps = steps_per_epoch(source, batch_size)
    dataset = tf.data.Dataset.range(steps * batch_size)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(tf.data.AUTOTUNE)


def to_batch(source: Source, tasks: list[Task], example: Example) -> Batch:
    """Turns a batch of examples into input, labels and weights."""
    if source.transform is not None:
        example = source.transform(example)
    x = tf.cast(example["image" if "image" in example else "input"], tf.float32)
    labels, weights = {}, {}
    for task in tasks:
        labels[task.name], weights[task.name] = task.target(example)
    return x, labels, weights
