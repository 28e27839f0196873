"""Gradients combined so that all project alike on the update."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.unit_gram import unit_gram, unit_solution

#: Least sum of the weights, as a part of the sum of their sizes.
CANCELLED = 1e-3


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class IMTLG(GramWeighting):
    """IMTL-G: the update has the same projection on every unit gradient.

    With C the cosines and β = C⁺1, weights are β_t / ‖g_t‖, in the scale where they sum
    to 1. A weight may be negative. Where the paper's scale would turn the update
    against all tasks, its sign is kept.

    Attributes:
        gradients: The paper takes those of the features.

    Reference:
        Liu et al., "Towards impartial multi-task learning", ICLR 2021.
    """

    ignores_scale: ClassVar[bool] = True

    gradients: str = "features"

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
        weights = unit.weights(unit_solution(unit), present)
        total = tf.abs(tf.reduce_sum(weights))
        size = tf.reduce_sum(tf.abs(weights))
        # A sum near 0 would give an endless update.
        return tf.math.divide_no_nan(
            weights, tf.maximum(total, CANCELLED * size)
        ), state
