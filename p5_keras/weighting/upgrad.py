"""Each gradient projected so that it conflicts with none."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.interior import quadratic
from p5_keras.weighting.unit_gram import unit_gram


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class UPGrad(GramWeighting):
    """UPGrad: the sum of the projections of each gradient on {d: J d ≥ 0}.

    The update increases no loss to first order, and is linear in the length of each
    gradient.

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
        # In unit gradients, the projection of row k is e_k + z with the least length.
        more = quadratic(unit.cosines, -unit.cosines, unit.alive)
        parts = more + tf.eye(tf.shape(gram)[0], dtype=gram.dtype)
        norms = tf.where(unit.alive, unit.norms, 0)
        units = tf.linalg.matvec(parts, norms, transpose_a=True)
        return unit.weights(units, present), state
