"""Gradients turned towards each other as far as they usually are."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.pairwise import random_orders, visit
from p5_keras.weighting.unit_gram import UnitGram, unit_gram


def vaccinated(
    unit: UnitGram, orders: Tensor, targets: Tensor, decay: float
) -> tuple[Tensor, Tensor]:
    """Returns the weights of unit gradients after all meetings, and the new targets.

    Args:
        unit: Cosines and norms.
        orders: `(tasks, tasks)` whom each task meets, one after the other.
        targets: `(tasks, tasks)` running means of the cosines.
        decay: How much of a new cosine enters the mean.
    """

    def turn(
        product: Tensor, square: Tensor, other: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        size = tf.sqrt(tf.maximum(square, 0))
        target = tf.reduce_sum(targets * other, -1)
        # The part across u_j, and the cotangent of the wanted angle.
        across = tf.sqrt(tf.maximum(square - product**2, 0))
        slant = target * tf.math.rsqrt(tf.maximum(1 - target**2, 1e-8))
        amount = slant * across - product
        cosine = tf.clip_by_value(tf.math.divide_no_nan(product, size), -1, 1)
        targets += tf.expand_dims(decay * (cosine - target), -1) * other
        return tf.where(cosine < target, amount, 0), targets

    return visit(unit, orders, turn, targets)


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class GradVac(GramWeighting):
    """Gradient vaccine: PCGrad with a wanted cosine for each pair, in place of 0.

    The wanted cosine is the running mean of those that were found. A gradient with a
    lower one is turned towards the other until it has it.

    Attributes:
        decay: How much of a new cosine enters the mean.

    Reference:
        Wang et al., "Gradient vaccine: investigating and improving multi-task
        optimization in massively multilingual models", ICLR 2021.
    """

    decay: float = 0.01

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns wanted cosines of 0."""
        return {"cosines": np.zeros((len(tasks), len(tasks)), "float32")}

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Turns the gradients, in an order drawn from the seed."""
        unit = unit_gram(gram, present, positive=False)
        orders = random_orders(seed, gram.shape[0])
        targets = tf.cast(state["cosines"], gram.dtype)
        units, targets = vaccinated(unit, orders, targets, self.decay)
        cosines = tf.cast(targets, state["cosines"].dtype)
        return unit.weights(units, present), {"cosines": cosines}
