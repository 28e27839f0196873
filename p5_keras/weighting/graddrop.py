"""Signs of the gradients at the features, kept or dropped together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from p5_keras.losses.base import replica_sum
from p5_keras.weighting.base import Clock, State, Tensor, Weighting


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class GradDrop(Weighting):
    """Gradient sign dropout at the features that all heads read.

    For each unit of the features, with s_t = Σ over the batch of sgn(z) · g_t, the
    probability of keeping the positive signs is P = ½ (1 + Σ_t s_t / Σ_t |s_t|). With u
    drawn evenly from [0, 1], parts with s_t > 0 are kept where P > u, and those with
    s_t < 0 where P < u. The heads' own gradients stay as they are.

    It is no function of the Gram matrix: the choice is made unit by unit, by signs,
    which inner products of whole gradients do not tell. So no weights for the tasks
    give its update, and the model calls `combine()` in place of using `step()`.

    Attributes:
        leak: What part of each task's gradient passes whatever its sign: one number,
            or one for each task.

    Reference:
        Chen et al., "Just pick a sign: optimizing deep multitask models with gradient
        sign dropout", NeurIPS 2020.
    """

    #: Where the gradients are taken that `combine()` gets.
    gradients: ClassVar[str] = "features"

    leak: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        if isinstance(self.leak, list):  # As JSON gives it back.
            object.__setattr__(self, "leak", tuple(self.leak))
        leaks = (self.leak,) if isinstance(self.leak, (int, float)) else self.leak
        if not all(0 <= leak <= 1 for leak in leaks):
            raise ValueError(f"`leak` must be from 0 to 1. Received: leak={self.leak}")

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns no state.

        Raises:
            ValueError: `leak` has another number of entries than there are tasks.
        """
        if isinstance(self.leak, tuple) and len(self.leak) != len(tasks):
            raise ValueError(
                f"`leak` must have one entry for each of {len(tasks)} tasks. "
                f"Received: leak={self.leak}"
            )
        return {}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns ones; the work is done by `combine()`."""
        return tf.cast(present, losses.dtype), state

    def combine(
        self,
        features: Sequence[Tensor],
        gradients: Sequence[Tensor],
        present: Tensor,
        seed: Tensor,
    ) -> list[Tensor]:
        """Combines the tasks' gradients of the features.

        Args:
            features: Tensors z, `(batch, ...)`, of this replica.
            gradients: For each z, `(tasks, batch, ...)` gradients of α·L.
            present: `(tasks,)` whether the task has a label in the global batch.
            seed: `(2,)` integers, the same on every replica, others in every step.

        Returns:
            For each z the gradient to send back through the trunk, `(batch, ...)`.
        """
        seeds = tf.random.split(seed, len(features))
        parts = zip(features, gradients, tf.unstack(seeds), strict=True)
        return [self._drop(z, g, present, s) for z, g, s in parts]

    def _drop(self, z: Tensor, g: Tensor, present: Tensor, seed: Tensor) -> Tensor:
        ones = (1,) * (len(g.shape) - 1)
        g = tf.where(tf.reshape(present, (-1, *ones)), g, 0)
        signs = replica_sum(tf.reduce_sum(tf.sign(z) * g, axis=1))
        total = tf.reduce_sum(tf.abs(signs), axis=0)
        pure = tf.math.divide_no_nan(tf.reduce_sum(signs, axis=0), total)
        keep = (1 + pure) / 2
        u = tf.random.stateless_uniform(tf.shape(keep), seed, dtype=keep.dtype)
        passed = tf.logical_or(
            tf.logical_and(signs > 0, keep > u), tf.logical_and(signs < 0, keep < u)
        )
        leak = tf.constant(self.leak, g.dtype)
        leak = tf.reshape(tf.broadcast_to(leak, present.shape), (-1, *ones))
        mask = tf.cast(passed, g.dtype)[:, None]
        return tf.reduce_sum((leak + (1 - leak) * mask) * g, axis=0)
