"""A smooth form of the largest loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import EPSILON, softmax, zeros


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class STCH(Weighting):
    """Smooth Tchebycheff: the gradient of T μ log Σ exp(log(L / nadir) / μ).

    In the warm-up it is that of Σ log L, and the nadir of each task becomes the mean
    of its loss in the last epoch of the warm-up. The weights are T softmax(…) / L; they
    do not sum to T.

    Attributes:
        warmup: Epochs of warm-up, 1 or more.
        smoothness: μ; near 0 only the worst task counts.

    Reference:
        Lin et al., "Smooth Tchebycheff scalarization for multi-objective
        optimization", ICML 2024.
    """

    ignores_scale: ClassVar[bool] = True

    warmup: int = 4
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        if self.warmup < 1:
            raise ValueError(
                f"`warmup` must be 1 or more. Received: warmup={self.warmup}"
            )
        if self.smoothness <= 0:
            raise ValueError(
                "`smoothness` must be greater than 0. "
                f"Received: smoothness={self.smoothness}"
            )

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns empty sums for the nadir."""
        return {"sum": zeros(tasks), "count": zeros(tasks)}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns the derivative in each loss, and adds to the nadir's sums."""
        values = tf.maximum(tf.cast(losses, tf.float32), EPSILON)
        epoch = tf.cast(clock.epoch, tf.int64)
        last = tf.logical_and(tf.equal(epoch, self.warmup - 1), present)
        total = state["sum"] + tf.where(last, values, 0)
        count = state["count"] + tf.cast(last, tf.float32)
        # A task that the last epoch of the warm-up did not have counts as it is.
        nadir = tf.where(count > 0, total / tf.maximum(count, 1), values)
        share = softmax(tf.math.log(values / nadir) / self.smoothness, present)
        share *= tf.reduce_sum(tf.cast(present, tf.float32))
        share = tf.where(epoch < self.warmup, tf.cast(present, tf.float32), share)
        weights = tf.where(present, share / values, 0)
        return tf.cast(weights, losses.dtype), {"sum": total, "count": count}
