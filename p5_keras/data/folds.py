"""Cross-validation: a source without one fold of its examples, and that fold."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import tensorflow as tf

from p5_keras.data.mixture import Mixture
from p5_keras.data.source import Example, Source

S = TypeVar("S", bound=Source)


def fold(source: Source, number: int, count: int) -> tuple[Source, Source]:
    """Divides a source into what is trained on and what is measured on.

    Args:
        source: The training examples; of a mixture each source is divided by itself,
            and an epoch keeps its number of examples of each.
        number: Which fold is measured on, 0..count-1.
        count: Number of folds.

    Returns:
        All examples but those of the fold, and those of the fold.

    Raises:
        ValueError: There are fewer than two folds, or more than examples or groups.
    """
    if isinstance(source, Mixture):
        parts = {n: _divided(p, number, count) for n, p in source.parts.items()}
        rest, own = ({n: pair[i] for n, pair in parts.items()} for i in (0, 1))
        return source.of(rest, source.counts), source.of(own, source.counts)
    return _divided(source, number, count)


def deal(size: int, count: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Deals examples out to folds, the same way every time.

    Groups are dealt out whole, large ones first and equal ones in random order, each
    to the fold with the fewest examples so far. Without groups that is one by one.

    Args:
        size: Number of examples.
        count: Number of folds.
        groups: For each example what it must stay together with, or `None`.

    Returns:
        The fold of each example, `(size,)` in 0..count-1.

    Raises:
        ValueError: There are fewer than two folds, or more than examples or groups.
    """
    ids = np.arange(size)
    if groups is not None:
        ids = np.unique(groups[:size], return_inverse=True)[1]
    sizes = np.bincount(ids)
    if not 2 <= count <= len(sizes):
        what = "training examples" if groups is None else "groups of training examples"
        raise ValueError(
            f"`folds` must be at least 2 and at most the number of {what}. "
            f"Received: folds={count}, {what}: {len(sizes)}"
        )
    order = np.random.default_rng(0).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    place, filled = np.zeros(len(sizes), int), np.zeros(count, int)
    for group in order:
        place[group] = filled.argmin()
        filled[place[group]] += sizes[group]
    return place[ids]


def _divided(source: S, number: int, count: int) -> tuple[S, S]:
    place = deal(source.size, count, source.groups)
    return _some(source, place != number), _some(source, place == number)


def _some(source: S, chosen: np.ndarray) -> S:
    """Returns a source of some of the examples, in their order."""
    with tf.device("CPU:0"):
        numbers = tf.constant(np.flatnonzero(chosen), tf.int64)

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        return source.read(tf.gather(numbers, indices), epochs)

    groups = None if source.groups is None else source.groups[: source.size][chosen]
    return replace(source, size=int(chosen.sum()), read=read, groups=groups)
