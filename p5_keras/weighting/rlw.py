"""Random weights."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import softmax, sum_to_tasks

DISTRIBUTIONS = ("normal", "dirichlet")


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class RLW(Weighting):
    """Random loss weighting: new weights in every step, with a sum of T.

    A baseline that any other method must beat.

    Attributes:
        distribution: "normal": T times the softmax of standard normals. "dirichlet":
            T times a point drawn evenly from the simplex.

    Reference:
        Lin et al., "Reasonable effectiveness of random weighting", TMLR 2022.
    """

    distribution: str = "normal"

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"`distribution` must be one of {DISTRIBUTIONS}. "
                f"Received: distribution={self.distribution!r}"
            )

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Draws weights."""
        shape = tf.shape(losses)
        if self.distribution == "normal":
            logits = tf.random.stateless_normal(shape, seed)
        else:
            # Exponential variables over their sum are a flat Dirichlet's.
            uniform = tf.random.stateless_uniform(shape, seed, minval=1e-7)
            logits = tf.math.log(-tf.math.log(uniform))
        weights = sum_to_tasks(softmax(logits, present), present)
        return tf.cast(weights, losses.dtype), state
