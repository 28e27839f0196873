"""Each loss in units of its own mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import EPSILON, sum_to_tasks, zeros


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class Normalized(Weighting):
    """Weights 1 / m, with m the running mean of a task's loss, scaled to sum to T.

    m starts at the task's first loss, then m ← decay · m + (1 − decay) · |L|.

    Attributes:
        decay: 1 keeps the first loss for ever; 0 divides each loss by itself, which
            gives the gradient of Σ log L.
    """

    ignores_scale: ClassVar[bool] = True

    decay: float = 0.99

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        if not 0 <= self.decay <= 1:
            raise ValueError(
                f"`decay` must be from 0 to 1. Received: decay={self.decay}"
            )

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns means that no loss has reached."""
        return {"mean": zeros(tasks), "seen": np.zeros(len(tasks), bool)}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns weights in proportion to 1 / m."""
        size = tf.abs(tf.cast(losses, tf.float32))
        moved = self.decay * state["mean"] + (1 - self.decay) * size
        mean = tf.where(state["seen"], moved, size)
        mean = tf.where(present, mean, state["mean"])
        weights = sum_to_tasks(1 / tf.maximum(mean, EPSILON), present)
        state = {"mean": mean, "seen": tf.logical_or(state["seen"], present)}
        return tf.cast(weights, losses.dtype), state
