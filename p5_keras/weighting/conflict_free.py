"""An update that conflicts with no task, and all gain alike."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.unit_gram import unit_gram, unit_solution


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class ConFIG(GramWeighting):
    """ConFIG: the unit vector with equal cosines to all gradients, times Σ g_tᵀu.

    The direction is IMTL-G's; the length grows where the gradients agree.

    Reference:
        Liu, Chu and Thuerey, "ConFIG: towards conflict-free training of physics
        informed neural networks", ICLR 2025.
    """

    ignores_scale: ClassVar[bool] = True

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
        unit = unit_gram(gram, present, positive=False)
        beta = unit_solution(unit)
        gains = tf.linalg.matvec(unit.cosines, beta)
        norms = tf.where(unit.alive, unit.norms, 0)
        along = tf.tensordot(norms, gains, 1)
        size = tf.math.divide_no_nan(along, tf.tensordot(beta, gains, 1))
        return unit.weights(beta * size, present), state
