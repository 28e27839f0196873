"""Three splits of a data set, checked and ready to train on."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

from p5_keras.data.labels import Labels, adapt, check
from p5_keras.data.pipeline import evaluation, training
from p5_keras.data.source import Batch, Example, Source, builder, from_tfds
from p5_keras.task import Task

#: The splits that a recipe's `data` is asked for.
SPLITS = ("train", "validation", "test")


def prepare(
    sources: Sequence[Source], tasks: list[Task], batch_size: int
) -> tuple[Labels, tf.data.Dataset, tf.data.Dataset]:
    """Checks every label of three splits and lets the tasks adapt to the first.

    Args:
        sources: Training, validation and test source.
        tasks: The tasks.
        batch_size: Global batch size.

    Returns:
        The training labels, and batches of the validation and the test split.
    """
    train, val, test = (evaluation(s, tasks, batch_size) for s in sources)
    for dataset in (train, val, test):
        check(tasks, dataset)
    return adapt(tasks, train), val, test


def load(
    name: str,
    tasks: list[Task],
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    splits: tuple[str, str, str] = ("train", "validation", "test"),
    seed: int = 0,
    manual_dir: str | None = None,
    maps: Iterable[str] = (),
    transform: Callable[[Example], Example] | None = None,
    augment: Callable[[Example, tf.Tensor], Example] | None = None,
    augment_batch: Callable[[Batch, tf.Tensor], Batch] | None = None,
    **kwargs: Any,
) -> tuple[tf.data.Dataset, tf.data.Dataset, tf.data.Dataset]:
    """Loads a data set for some tasks, adapts them to it, and checks its labels.

    Args:
        name: Name of the data set; see `builder`.
        tasks: The tasks; they learn their statistics from the training split.
        image_size: See `from_tfds`.
        batch_size: Global batch size.
        splits: TFDS names of the training, validation and test splits.
        seed: Seed of the order and the augmentation.
        manual_dir: See `builder`.
        maps: See `from_tfds`.
        transform: See `Source`.
        augment: See `Source`.
        augment_batch: See `Source`.
        **kwargs: Arguments of the builder.

    Returns:
        Batches `(x, y, sample_weight)` for training (one epoch, in a new order each
        time), validation and test.
    """
    found = builder(name, manual_dir, **kwargs)
    given: dict[str, Any] = {
        "transform": transform,
        "augment": augment,
        "augment_batch": augment_batch,
    }
    sources = [from_tfds(found, s, image_size, maps, **given) for s in splits]
    _, validation, test = prepare(sources, tasks, batch_size)
    train = training(sources[0], tasks, batch_size, seed, start=None)
    return train, validation, test
