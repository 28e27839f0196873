"""MixUp and CutMix: two examples of a batch become one, and so do their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from p5_keras.data.changes import refuse
from p5_keras.data.source import Batch
from p5_keras.task import Task

Tensor = Any


@dataclass(frozen=True, eq=False)
class _Pairs:
    """What both have in common: partners, shares, and which labels are there.

    Attributes:
        tasks: The tasks of the batches.
        alpha: Both parameters of the beta distribution that shares are drawn from.
        rate: Share of the examples that are mixed; the others stay as they are.
    """

    tasks: Sequence[Task]
    alpha: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        """Checks the arguments, and asks every task."""
        if not self.alpha > 0:
            raise ValueError(f"`alpha` must be above 0. Received: alpha={self.alpha}")
        if not 0 < self.rate <= 1:
            raise ValueError(
                f"`rate` must be above 0, up to 1. Received: rate={self.rate}"
            )
        refuse(self.tasks, {type(self).__name__.lower(): self.alpha})

    def __call__(self, batch: Batch, seed: Tensor) -> Batch:
        """Mixes a batch.

        Args:
            batch: `(x, y, sample_weight)`.
            seed: `(2,)` integers.

        Raises:
            ValueError: The batch has a single example.
        """
        x, labels, weights = batch
        size = x.shape[0]
        if size is None or size < 2:
            raise ValueError(
                f"`{type(self).__name__}` needs batches of a fixed size, at least 2. "
                f"Received: {size}"
            )
        seeds = tf.random.split(seed, 4)
        share, own = self._cut(self._shares(seeds[0], seeds[1], size), x, seeds[2])
        # No example that is mixed is its own partner.
        shift = tf.random.stateless_uniform([], seeds[3], 1, size, tf.int32)
        place = tf.range(size)
        partner = tf.where(share < 1, (place + shift) % size, place)
        found, present = {}, {}
        for task in self.tasks:
            label, weight = labels[task.name], weights[task.name]
            other, other_weight = tf.gather(label, partner), tf.gather(weight, partner)
            found[task.name] = self._label(task, label, other, share, own)
            present[task.name] = tf.where(
                (weight > 0) & (other_weight > 0),
                share * weight + (1 - share) * other_weight,
                0.0,
            )
        return self._images(x, tf.gather(x, partner), share, own), found, present

    def _shares(self, first: Tensor, second: Tensor, size: int) -> Tensor:
        one, two = tf.unstack(tf.random.stateless_gamma([2, size], first, self.alpha))
        share = one / tf.maximum(one + two, 1e-30)
        left = tf.random.stateless_uniform([size], second) >= self.rate
        return tf.where(left, 1.0, share)

    def _cut(self, share: Tensor, x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the shares, and which pixels stay their own if pixels are cut."""
        return share, None

    def _images(self, x: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        raise NotImplementedError

    def _label(
        self, task: Task, label: Tensor, other: Tensor, share: Tensor, own: Tensor
    ) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class MixUp(_Pairs):
    """Blends each example with another of its batch, and their labels likewise.

    A `Source.augment_batch`. An example's own share is drawn from Beta(alpha, alpha).
    Its partner is another example of the batch; of several workers, of the worker's
    share of the batch. A mixed label is there where both labels are.

    Attributes:
        tasks: The tasks of the batches.
        alpha: Small values leave most examples nearly pure; 1 draws evenly.
        rate: Share of the examples that are mixed; the others stay as they are.

    Raises:
        ValueError: An argument is out of range, or a task's labels cannot be mixed.

    Reference:
        Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """

    alpha: float = 0.2

    def _images(self, x: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        share = tf.reshape(share, [-1] + [1] * (len(x.shape) - 1))
        return share * x + (1 - share) * other

    def _label(
        self, task: Task, label: Tensor, other: Tensor, share: Tensor, own: Tensor
    ) -> Tensor:
        return task.mix(label, other, share)


@dataclass(frozen=True, eq=False)
class CutMix(_Pairs):
    """Pastes a rectangle of another image of the batch into each, labels likewise.

    A `Source.augment_batch`. The rectangle has the image's proportions, its centre is
    anywhere, and it is clipped; the shares are those of the areas. Partners and
    missing labels are as in `MixUp`.

    Attributes:
        tasks: The tasks of the batches.
        alpha: Small values paste nearly nothing or nearly all; 1 draws evenly.
        rate: Share of the images that get a rectangle; the others stay as they are.

    Raises:
        ValueError: An argument is out of range, or a task's labels cannot follow.

    Reference:
        Yun et al., CutMix, ICCV 2019.
    """

    def _cut(self, share: Tensor, x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        if len(x.shape) != 4:
            raise ValueError(f"`CutMix` is for images. Received: inputs {x.shape}")
        side = tf.sqrt(1 - share)
        centres = tf.random.stateless_uniform([2, x.shape[0]], seed)
        inside = []
        for centre, length in zip(tf.unstack(centres), x.shape[1:3], strict=True):
            place = (tf.range(length, dtype=tf.float32) + 0.5) / length
            inside.append(tf.abs(place - centre[:, None]) < side[:, None] / 2)
        own = ~(inside[0][:, :, None] & inside[1][:, None, :])
        return tf.reduce_mean(tf.cast(own, tf.float32), axis=[1, 2]), own

    def _images(self, x: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        return tf.where(own[..., None], x, other)

    def _label(
        self, task: Task, label: Tensor, other: Tensor, share: Tensor, own: Tensor
    ) -> Tensor:
        return task.paste(label, other, share, own)
