"""Batches for training and evaluation, from any source."""

from collections.abc import Callable

import tensorflow as tf

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
        ValueError: The workers cannot have equal shares.
    """
    place, local_size = _share(batch_size, shard)

    def draw(count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        position = place(count)
        epoch, index = position // source.size, position % source.size
        index = shuffled(index, source.size, seed, epoch)
        return index, epoch, tf.stack([tf.constant(seed, tf.int64), position])

    def load(example: Example, seeds: tf.Tensor) -> Example:
        if source.load is not None:
            example = source.load(example)
        if source.augment is not None:
            example = source.augment(example, seeds)
        return example

    steps = steps_per_epoch(source, batch_size)
    if start is None:
        dataset = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
        length = steps * local_size
        dataset = dataset.flat_map(
            lambda r: tf.data.Dataset.counter(
                r % 2**20 * source.size * local_size
            ).take(length)
        )
    else:
        dataset = tf.data.Dataset.counter(start * local_size)
    dataset = dataset.map(draw).batch(local_size, drop_remainder=True)
    dataset = dataset.map(
        lambda index, epoch, seeds: (source.read(index, epoch), seeds),
        num_parallel_calls=AUTOTUNE,
    )
    if source.load is not None or source.augment is not None:
        dataset = dataset.unbatch()
        dataset = dataset.map(
            load, num_parallel_calls=AUTOTUNE, deterministic=deterministic
        )
        dataset = dataset.batch(local_size, drop_remainder=True)
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
    return dataset.prefetch(AUTOTUNE)


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
    place, local_size = _share(batch_size, shard)

    def read(counts: tf.Tensor) -> tuple[Example, tf.Tensor]:
        positions = place(counts)
        indices = tf.minimum(positions, source.size - 1)
        real = tf.cast(positions < source.size, tf.float32)
        return source.read(indices, tf.zeros_like(indices)), real

    def finish(example: Example, real: tf.Tensor) -> Batch:
        x, y, weights = source.batch(tasks, example)
        return x, y, {name: weight * real for name, weight in weights.items()}

    load = source.load
    steps = steps_per_epoch(source, batch_size)
    dataset = tf.data.Dataset.range(steps * local_size)
    dataset = dataset.batch(local_size, drop_remainder=True)
    dataset = dataset.map(read, num_parallel_calls=AUTOTUNE)
    if load is not None:
        dataset = dataset.unbatch()
        dataset = dataset.map(
            lambda example, real: (load(example), real), num_parallel_calls=AUTOTUNE
        )
        dataset = dataset.batch(local_size, drop_remainder=True)
    dataset = dataset.map(finish, num_parallel_calls=AUTOTUNE)
    return dataset.prefetch(AUTOTUNE)


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


def _share(
    batch_size: int, shard: tuple[int, int]
) -> tuple[Callable[[tf.Tensor], tf.Tensor], int]:
    """Returns a worker's batch size, and the position of each of its examples."""
    worker, workers = shard
    if not 0 <= worker < workers or batch_size % workers:
        raise ValueError(
            "`shard` must be (worker, workers), with a `batch_size` that is a multiple "
            f"of the workers. Received: shard={shard}, batch_size={batch_size}"
        )
    local = batch_size // workers

    def place(count: tf.Tensor) -> tf.Tensor:
        return count // local * batch_size + worker * local + count % local

    return place, local
