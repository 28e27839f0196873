"""Fair shares of the gain, with a parameter for how fair."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.newton import balanced
from p5_keras.weighting.unit_gram import ridge, unit_gram


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class FairGrad(GramWeighting):
    """FairGrad: weights w > 0 with G w = w^(−1 / α).

    The update is the α-fair one: α near 0 maximises the sum of the gains g_tᵀd, 1 is
    Nash-MTL, and the larger α, the more the smallest gain counts.

    Attributes:
        alpha: α, greater than 0.

    Reference:
        Ban and Ji, "Fair resource allocation in multi-task learning", ICML 2024.
    """

    alpha: float = 2.0

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if self.alpha <= 0:
            raise ValueError(
                f"`alpha` must be greater than 0. Received: alpha={self.alpha}"
            )

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Solves the problem."""
        unit = unit_gram(gram, present)
        power = 1 / self.alpha
        top = tf.reduce_max(tf.where(unit.alive, unit.norms, 0))
        top = tf.where(top > 0, top, 1)
        # In units of the longest gradient, w = k β turns the equation into
        # Q β = q ∘ β^(−power) with q for the diagonal of Q.
        k = tf.where(unit.alive, unit.norms / top, 1) ** (-2 / (1 + power))
        q = k ** (1 - power)
        # The ridge makes a solution exist where gradients can be combined to 0.
        matrix = unit.cosines + ridge(gram.dtype) * tf.eye(
            tf.shape(gram)[0], dtype=gram.dtype
        )
        matrix *= tf.sqrt(q[:, None] * q[None, :])
        beta = balanced(matrix, q, power, unit.alive)
        weights = unit.weights(beta * k * unit.norms, present)
        return weights * top ** (-2 / (1 + power)), state
