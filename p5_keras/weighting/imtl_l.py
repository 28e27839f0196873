"""Losses brought to one scale by trained factors."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import adam, adam_state, zeros


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class IMTLL(Weighting):
    """IMTL-L: weights e^s, with s trained to minimise Σ e^s L − s.

    At the minimum every e^s L is 1. s has an Adam of its own, without decay, in the
    state. Weights start at 1 and do not sum to T.

    Attributes:
        learning_rate: Of s.

    Reference:
        Liu et al., "Towards impartial multi-task learning", ICLR 2021.
    """

    learning_rate: float = 0.025

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns s = 0."""
        return {"log_scale": zeros(tasks), **adam_state(tasks)}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns e^s, then trains s."""
        s = state["log_scale"]
        weights = tf.where(present, tf.exp(s), 0)
        slope = weights * tf.cast(losses, tf.float32) - 1
        s, memory = adam(s, slope, present, self.learning_rate, state)
        return tf.cast(weights, losses.dtype), {"log_scale": s, **memory}
