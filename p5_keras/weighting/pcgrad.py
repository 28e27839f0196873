"""Conflicting parts of the gradients projected away, pair by pair."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.pairwise import random_orders, visit
from p5_keras.weighting.unit_gram import UnitGram, unit_gram


def projected(unit: UnitGram, orders: Tensor) -> Tensor:
    """Returns the weights of unit gradients after all projections.

    Args:
        unit: Cosines and norms.
        orders: `(tasks, tasks)` whom each task meets, one after the other.
    """

    def project(
        product: Tensor, square: Tensor, other: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        return -tf.minimum(product, 0), memory

    return visit(unit, orders, project, tf.zeros((), unit.norms.dtype))[0]


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class PCGrad(GramWeighting):
    """Projecting conflicting gradients: the sum of g̃_t.

    g̃_t starts as g_t, meets the other gradients in a random order, and loses its part
    along each that it has a negative product with. With more than two tasks a conflict
    may come back in a later meeting.

    Reference:
        Yu et al., "Gradient surgery for multi-task learning", NeurIPS 2020.
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
        """Projects in an order drawn from the seed."""
        unit = unit_gram(gram, present, positive=False)
        units = projected(unit, random_orders(seed, gram.shape[0]))
        return unit.weights(units, present), state
