"""The mean gradient projected so that it conflicts with no task."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.interior import quadratic
from p5_keras.weighting.unit_gram import unit_gram


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class DualProj(GramWeighting):
    """DualProj: the projection of the mean gradient on {d: J d ≥ 0}.

    The update increases no loss to first order.

    Reference:
        Lopez-Paz and Ranzato, "Gradient episodic memory for continual learning",
        NeurIPS 2017; Quinton and Rey, "Jacobian descent for multi-objective
        optimization", 2024.
    """

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Projects the mean."""
        unit = unit_gram(gram, present)
        count = tf.maximum(tf.reduce_sum(tf.cast(present, gram.dtype)), 1)
        norms = tf.where(unit.alive, unit.norms, 0)
        top = tf.reduce_max(norms)
        least = tf.math.divide_no_nan(norms, top)
        slope = -tf.linalg.matvec(unit.cosines, least)
        more = quadratic(unit.cosines, slope, unit.alive)
        return unit.weights((least + more) * top / count, present), state
