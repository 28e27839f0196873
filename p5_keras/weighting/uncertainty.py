"""Weighting by the uncertainty that each task learns of itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import adam, adam_state, zeros

FORMS = ("kendall", "liebel")


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class UncertaintyWeighting(Weighting):
    """Weights ½ e^(−s) = 1 / (2σ²), with s = log σ² trained along with the model.

    s has an Adam of its own, without decay, in the state. Weights start at ½ and do
    not sum to T: a task that is learnt well counts more and more.

    Attributes:
        form: What is minimised over s. "kendall": Σ ½ e^(−s) L + ½ s. "liebel":
            Σ ½ e^(−s) L + log(1 + e^s), which never is negative.
        learning_rate: Of s.

    Reference:
        Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to weigh
        losses for scene geometry and semantics", CVPR 2018; Liebel and Körner,
        "Auxiliary tasks in multi-task learning", 2018.
    """

    form: str = "kendall"
    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        if self.form not in FORMS:
            raise ValueError(
                f"`form` must be one of {FORMS}. Received: form={self.form!r}"
            )

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns s = 0."""
        return {"log_variance": zeros(tasks), **adam_state(tasks)}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns ½ e^(−s), then trains s."""
        s = state["log_variance"]
        weights = tf.where(present, 0.5 * tf.exp(-s), 0)
        cost = 0.5 if self.form == "kendall" else tf.sigmoid(s)
        slope = cost - weights * tf.cast(losses, tf.float32)
        s, memory = adam(s, slope, present, self.learning_rate, state)
        return tf.cast(weights, losses.dtype), {"log_variance": s, **memory}
