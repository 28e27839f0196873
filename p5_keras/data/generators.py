"""Generators and `keras.utils.PyDataset` as `tf.data`, the one form of a stream."""

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def opened(data: Any, shuffle: bool = False, second_pass: bool = False) -> Any:
    """Returns a dataset in the place of what makes its batches in Python.

    What every batch must look like is read off the first one. Batches are made in
    one thread, beside the step.

    Args:
        data: Anything that `fit` takes; only generators and a `PyDataset` change.
        shuffle: Whether the batches of a `PyDataset` come in another order each time.
        second_pass: Whether the data are to be gone through more than once.

    Raises:
        ValueError: Batches are no `(x, y)`, there are none, or a generator would be
            needed twice.
    """
    if isinstance(data, keras.utils.PyDataset):
        count = data.num_batches
        if count == 0:
            raise ValueError("A `PyDataset` must hold a batch. Received: `len` of 0")
        first = _batch(data[0])
        order = itertools.count if count is None else lambda: _order(count, shuffle)

        def batches() -> Iterator[Any]:
            for i in order():
                yield _like(first, data[i])
            data.on_epoch_end()

        dataset = tf.data.Dataset.from_generator(batches, output_signature=_spec(first))
        if count is not None:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        return dataset.prefetch(1)
    if isinstance(data, Iterator):
        if second_pass:
            raise ValueError(
                "A task's metrics, or a distribution strategy, need a second pass over "
                "the data, which a generator cannot give: pass a tf.data.Dataset, a "
                f"keras.utils.PyDataset or arrays. Received: {type(data).__name__}"
            )
        first = _batch(next(data, None))
        rest = itertools.chain([first], data)
        return tf.data.Dataset.from_generator(
            lambda: (_like(first, batch) for batch in rest),
            output_signature=_spec(first),
        )
    if callable(data) and not hasattr(data, "__len__"):
        raise ValueError(
            "Data must be arrays, a tf.data.Dataset, a keras.utils.PyDataset or a "
            f"generator. Received: the function {getattr(data, '__name__', data)!r}; "
            "call it"
        )
    return data


def _order(count: int, shuffle: bool) -> Any:
    return np.random.permutation(count) if shuffle else range(count)


def _batch(data: Any) -> tuple[Any, ...]:
    """Returns a batch as arrays, its labels by name."""
    if not isinstance(data, tuple | list) or not 1 <= len(data) <= 3:
        raise ValueError(
            "Each batch must be (x, y) or (x, y, sample_weight). Received: "
            f"{'no batch' if data is None else type(data).__name__}"
        )
    parts = tuple(data)
    while parts[-1] is None:
        parts = parts[:-1]
    return keras.tree.map_structure(np.asarray, parts)


def _like(first: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    """Returns a batch, after comparing its parts and their names with the first's."""
    batch = _batch(data)
    try:
        keras.tree.assert_same_structure(first, batch)
    except ValueError:
        names = [sorted(p) if isinstance(p, dict) else "an array" for p in batch]
        wanted = [sorted(p) if isinstance(p, dict) else "an array" for p in first]
        raise ValueError(
            "Every batch must have the parts of the first one, "
            f"{wanted}. Received: {names}"
        ) from None
    return batch


def _spec(first: tuple[Any, ...]) -> Any:
    """Returns the form of all batches; how many examples they hold may differ."""
    return keras.tree.map_structure(
        lambda a: tf.TensorSpec([None, *a.shape[1:]] if a.ndim else [], a.dtype), first
    )
