"""Batches for training and evaluation, from any source."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from p5_keras.data.class_names import check
from p5_keras.data.grouped import group_order
from p5_keras.data.mixture import Mixture
from p5_keras.data.source import Batch, Example, Source, shuffled
from p5_keras.task import Task

AUTOTUNE = tf.data.AUTOTUNE


def steps_per_epoch(source: Source, batch_size: int) -> int:
    """Returns the steps that see every example once; the last batch wraps round."""
    return -(-source.size // batch_size)


def training(
    source: Source,
    tasks: list[Task],
    batch_size: int,
    seed: int = 0,
    start: int | None = 0,
    shard: tuple[int, int] = (0, 1),
    deterministic: bool = True,
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
        shard: `(worker, workers)`: batches hold this worker's share of each global
            batch, `batch_size / workers` examples.
        deterministic: Whether a batch must wait for an example that is slow to read,
            or may take a later one in its place; then batch k depends on timing too.

    Returns:
        Dataset of `(x, y, sample_weight)`: the input `(batch, ...)` float32, and a
        dict each of labels and weights by task.

    Raises:
        ValueError: The workers cannot have equal shares, or groups that are to come
            together are not known.
    """
    _check(source, tasks)
    place = _share(batch_size, shard)
    grouped = group_order(source) if source.together else None
    seed64 = tf.constant(seed, tf.int64)

    def read(step: tf.Tensor) -> tuple[Example, tf.Tensor]:
        position = place(step)
        epoch, index = position // source.size, position % source.size
        if grouped is not None:
            index = grouped(index, epoch, seed64)
        elif not source.ordered:
            index = shuffled(index, source.size, seed, epoch)
        seeds = tf.stack([tf.fill(position.shape, seed64), position], axis=1)
        return source.read(index, epoch), seeds

    def one(example: Example, seeds: tf.Tensor) -> Example:
        if source.load is not None:
            example = source.load(example)
        if source.augment is not None:
            example = source.augment(example, seeds)
        return example

    steps = steps_per_epoch(source, batch_size)
    if start is None:
        dataset = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
        # Every `source.size` steps an epoch starts with a batch.
        dataset = dataset.flat_map(
            lambda r: tf.data.Dataset.counter(r % 2**20 * source.size).take(steps)
        )
    else:
        dataset = tf.data.Dataset.counter(start)
    dataset = dataset.map(read, num_parallel_calls=AUTOTUNE)
    if source.load is not None or source.augment is not None:
        dataset = _each(dataset, one, batch_size // shard[1], deterministic)
    else:
        dataset = dataset.map(lambda example, seeds: example)
    dataset = dataset.map(
        lambda example: source.batch(tasks, example), num_parallel_calls=AUTOTUNE
    )
    if source.augment_batch is not None:
        dataset = _numbered(dataset, seed, start).map(
            source.augment_batch, num_parallel_calls=AUTOTUNE
        )
    if start is None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return _ready(dataset, shard)


def evaluation(
    source: Source, tasks: list[Task], batch_size: int, shard: tuple[int, int] = (0, 1)
) -> tf.data.Dataset:
    """Makes batches of every example once, in order, without augmentation.

    The last batch is filled up with examples of weight 0, so that shapes are static
    and replicas get equal shares.

    Args:
        source: The examples; of a mixture, those of each of its sources.
        tasks: The tasks that read labels.
        batch_size: Global batch size.
        shard: `(worker, workers)`, as in `training`.

    Returns:
        Dataset of `(x, y, sample_weight)`, as `training` gives them.
    """
    if isinstance(source, Mixture):
        parts = [evaluation(p, tasks, batch_size, shard) for p in source.parts.values()]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.concatenate(part)
        return whole
    _check(source, tasks)
    place, load = _share(batch_size, shard), source.load

    def read(step: tf.Tensor) -> tuple[Example, tf.Tensor]:
        position = place(step)
        index = tf.minimum(position, source.size - 1)
        real = tf.cast(position < source.size, tf.float32)
        return source.read(index, tf.zeros_like(index)), real

    def finish(example: Example, real: tf.Tensor) -> Batch:
        x, y, weights = source.batch(tasks, example)
        return x, y, {name: weight * real for name, weight in weights.items()}

    dataset = tf.data.Dataset.range(steps_per_epoch(source, batch_size))
    dataset = dataset.map(read, num_parallel_calls=AUTOTUNE)
    if load is not None:
        dataset = _each(
            dataset,
            lambda example, real: (load(example), real),
            batch_size // shard[1],
        )
    dataset = dataset.map(finish, num_parallel_calls=AUTOTUNE)
    return _ready(dataset, shard)


def _check(source: Source, tasks: list[Task]) -> None:
    """Checks names of classes here, where an error is one line, if they are final."""
    if source.transform is None:
        check(tasks, source.reading)


def by_source(
    source: Source, tasks: list[Task], batch_size: int
) -> dict[str, tf.data.Dataset]:
    """Makes batches to evaluate on of each source of a mixture; none for others.

    Args:
        source: The examples.
        tasks: The tasks that read labels.
        batch_size: Global batch size.
    """
    parts = source.parts if isinstance(source, Mixture) else {}
    return {name: evaluation(part, tasks, batch_size) for name, part in parts.items()}


def _numbered(
    dataset: tf.data.Dataset, seed: int, start: int | None
) -> tf.data.Dataset:
    """Pairs each batch with a seed of its own, the same on every worker."""
    if start is None:
        steps = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    else:
        steps = tf.data.Dataset.counter(start)
    seeds = steps.map(lambda step: tf.stack([tf.constant(seed, tf.int64), step]))
    return tf.data.Dataset.zip((dataset, seeds))


def _each(
    dataset: tf.data.Dataset,
    one: Callable[..., Any],
    batch_size: int,
    deterministic: bool = True,
) -> tf.data.Dataset:
    """Maps every example of batches by itself, in parallel."""
    dataset = dataset.unbatch()
    dataset = dataset.map(one, num_parallel_calls=AUTOTUNE, deterministic=deterministic)
    return dataset.batch(batch_size, drop_remainder=True)


def _ready(dataset: tf.data.Dataset, shard: tuple[int, int]) -> tf.data.Dataset:
    """Prefetches, and keeps TensorFlow from sharding what is a share already."""
    if shard[1] > 1:
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.OFF
        )
        dataset = dataset.with_options(options)
    return dataset.prefetch(AUTOTUNE)


def _share(batch_size: int, shard: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function from a step to the positions of a worker's examples."""
    worker, workers = shard
    if not 0 <= worker < workers or batch_size % workers:
        raise ValueError(
            "`shard` must be (worker, workers), with a `batch_size` that is a multiple "
            f"of the workers. Received: shard={shard}, batch_size={batch_size}"
        )
    local = tf.range(batch_size // workers, dtype=tf.int64)
    return lambda step: step * batch_size + worker * len(local) + local
