"""Each gradient projected so that it conflicts with none."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.active_set import projections
from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.unit_gram import unit_gram


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class UPGrad(GramWeighting):
    """UPGrad: the sum of the projections of each gradient on {d: J d ≥ 0}.

    The update increases no loss to first order, and is linear in the length of each
    gradient. With many tasks a solve takes some times as long where the gradients are
    dependent, or nearly so.

    Reference:
        Quinton and Rey, "Jacobian descent for multi-objective optimization", 2024.
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
        """Projects every gradient."""
        unit = unit_gram(gram, present)
        parts = projections(unit.cosines, unit.alive)
        norms = tf.where(unit.alive, unit.norms, 0)
        units = tf.linalg.matvec(parts, norms, transpose_a=True)
        return unit.weights(units, present), state
