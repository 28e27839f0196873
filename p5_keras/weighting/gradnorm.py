"""Gradients brought to lengths that fit the tasks' progress."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.masked import adam, adam_state, mean, softmax, zeros

#: A first loss below this says nothing of how far a task has come.
LEARNT = 1e-6


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class GradNorm(GramWeighting):
    """GradNorm: weights T · softmax(v), with v trained.

    v learns to bring w_t ‖g_t‖ to the mean length times r_t^α, where r_t is the loss
    over its first value, divided by the mean of that over the tasks. It minimises
    Σ |w_t ‖g_t‖ − target_t|, with an Adam of its own in the state.

    Attributes:
        gradients: The paper takes those of the last layer that all tasks share.
        alpha: How much longer the gradients of slow tasks are to be.
        learning_rate: Of v.

    Reference:
        Chen et al., "GradNorm: gradient normalization for adaptive loss balancing in
        deep multitask networks", ICML 2018.
    """

    gradients: str = "last_shared"
    alpha: float = 1.5
    learning_rate: float = 0.025

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns v = 0."""
        return {"logits": zeros(tasks), "first": zeros(tasks), **adam_state(tasks)}

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns T softmax(v), then trains v."""
        dtype = gram.dtype
        losses = tf.abs(tf.cast(losses, dtype))
        known = state["first"] > LEARNT
        first = tf.where(known, tf.cast(state["first"], dtype), losses)
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
        logits = tf.cast(state["logits"], dtype)
        count = tf.reduce_sum(tf.cast(present, dtype))
        weights = count * softmax(logits, present)
        ratio = tf.where(first > LEARNT, losses / tf.maximum(first, LEARNT), 1)
        pace = tf.math.divide_no_nan(ratio, mean(ratio, present))
        lengths = weights * norms
        target = mean(lengths, present) * pace**self.alpha
        slope = tf.sign(lengths - target) * norms
        # Through the softmax, whose sum does not move.
        slope = weights * (
            slope - tf.math.divide_no_nan(tf.reduce_sum(weights * slope), count)
        )
        logits, memory = adam(
            state["logits"],
            tf.cast(slope, tf.float32),
            present,
            self.learning_rate,
            state,
        )
        first = tf.where(present, tf.cast(first, tf.float32), state["first"])
        return weights, {"logits": logits, "first": first, **memory}
