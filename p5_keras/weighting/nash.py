"""The bargain that Nash proposed, among the tasks."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor, length
from p5_keras.weighting.newton import balanced
from p5_keras.weighting.unit_gram import ridge, unit_gram


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class NashMTL(GramWeighting):
    """Nash-MTL: weights w > 0 with G w = 1 / w.

    The update is that of the largest ∏ g_tᵀd among all d of one length, and does not
    depend on the scale of any loss: weights go with 1 / ‖g_t‖. Its length is √T, by
    its nature; `rescale="none"` keeps that, up to `max_norm`.

    Attributes:
        max_norm: Greatest length of the update under `rescale="none"`; infinity keeps
            √T.

    Reference:
        Navon et al., "Multi-task learning as a bargaining game", ICML 2022.
    """

    ignores_scale: ClassVar[bool] = True

    max_norm: float = 1.0

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if self.max_norm <= 0:
            raise ValueError(
                f"`max_norm` must be greater than 0. Received: max_norm={self.max_norm}"
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
        # The ridge makes a solution exist where gradients can be combined to 0.
        matrix = unit.cosines + ridge(gram.dtype) * tf.eye(
            tf.shape(gram)[0], dtype=gram.dtype
        )
        beta = balanced(matrix, tf.ones_like(unit.norms), 1.0, unit.alive)
        weights = unit.weights(beta, present)
        found = length(weights, gram)
        longest = tf.maximum(found / self.max_norm, 1)
        return weights / longest, state
