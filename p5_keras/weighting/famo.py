"""Weights under which all losses fall at the same rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import (
    EPSILON,
    adam,
    adam_state,
    softmax,
    sum_to_tasks,
    zeros,
)


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class FAMO(Weighting):
    """Fast adaptive multitask optimization: weights z / D, scaled to sum to T.

    D = L − least, z = softmax(ξ), and ξ learns from what the last update did to each
    log D: a task that fell less than the others gains weight. ξ has an Adam of its own
    in the state.

    The paper measures an update on the batch that it was made with, which costs a
    second forward pass. By default the losses of the next batch stand in for it: no
    cost, more noise.

    Attributes:
        learning_rate: Of ξ.
        weight_decay: Added to ξ's gradient, times ξ. The paper has 1e-3 for NYUv2,
            1e-2 for Cityscapes and 0 for its toy problem.
        least: Least possible loss by task; 0 for those that are not in it.
        same_batch: Measure on the same batch.

    Reference:
        Liu et al., "FAMO: fast adaptive multitask optimization", NeurIPS 2023.
    """

    learning_rate: float = 0.025
    weight_decay: float = 1e-3
    least: Mapping[str, float] | None = None
    same_batch: bool = False

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns equal weights.

        Raises:
            ValueError: `least` names a task that is not there.
        """
        least = dict(self.least or {})
        if set(least) - set(tasks):
            raise ValueError(
                f"`least` must name tasks of {list(tasks)}. Received: least={least}"
            )
        return {
            "logits": zeros(tasks),
            "least": np.array([least.get(t, 0.0) for t in tasks], "float32"),
            "log_losses": zeros(tasks),
            "seen": np.zeros(len(tasks), bool),
            **adam_state(tasks),
        }

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Learns from the last step, unless `same_batch`, and returns the weights."""
        if not self.same_batch:
            state = self.look_again(losses, present, state)
        logs = self._logs(losses, state)
        share = softmax(state["logits"], present)
        weights = sum_to_tasks(share * tf.exp(-logs), present)
        logs = tf.where(present, logs, state["log_losses"])
        seen = tf.logical_or(state["seen"], present)
        state = {**state, "log_losses": logs, "seen": seen}
        return tf.cast(weights, losses.dtype), state

    def look_again(self, losses: Tensor, present: Tensor, state: State) -> State:
        """Learns from what an update did to the losses.

        Args:
            losses: `(tasks,)` losses after the update that `step()` led to.
            present: `(tasks,)` whether the task has a label.
            state: What `step()` returned.

        Returns:
            The state for the next step.
        """
        both = tf.logical_and(present, state["seen"])
        fall = tf.where(both, state["log_losses"] - self._logs(losses, state), 0)
        logits = state["logits"]
        share = softmax(logits, both)
        slope = share * (fall - tf.reduce_sum(share * fall))
        slope += self.weight_decay * logits
        logits, memory = adam(logits, slope, both, self.learning_rate, state)
        return {**state, "logits": logits, **memory}

    def _logs(self, losses: Tensor, state: State) -> Tensor:
        gap = tf.cast(losses, tf.float32) - state["least"]
        return tf.math.log(tf.maximum(gap, EPSILON))
