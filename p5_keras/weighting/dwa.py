"""Weighting by how fast the losses fall from epoch to epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import EPSILON, softmax, sum_to_tasks, zeros


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class DWA(Weighting):
    """Dynamic weight average: weights T · softmax(r / τ), r = L(e − 1) / L(e − 2).

    L(e) is the mean loss of epoch e, over the steps in which the task was present. r
    is 1 for a task until it has been in two epochs, so all weights start at 1.

    Attributes:
        temperature: τ; the larger, the nearer to 1 the weights are.

    Reference:
        Liu, Johns and Davison, "End-to-end multi-task learning with attention", CVPR
        2019.
    """

    temperature: float = 2.0

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns empty sums."""
        names = ("sum", "count", "last", "before", "epochs")
        sums = {name: zeros(tasks) for name in names}
        return {**sums, "epoch": np.zeros((), "int64")}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns this epoch's weights, and adds the losses to its sums."""
        over = tf.not_equal(clock.epoch, state["epoch"])
        full = tf.logical_and(over, state["count"] > 0)
        mean = tf.math.divide_no_nan(state["sum"], state["count"])
        last = tf.where(full, mean, state["last"])
        before = tf.where(full, state["last"], state["before"])
        epochs = state["epochs"] + tf.cast(full, tf.float32)
        ratio = tf.where(epochs >= 2, last / tf.maximum(before, EPSILON), 1)
        weights = sum_to_tasks(softmax(ratio / self.temperature, present), present)
        more = tf.where(present, tf.cast(losses, tf.float32), 0)
        state = {
            "sum": tf.where(full, 0.0, state["sum"]) + more,
            "count": tf.where(full, 0.0, state["count"]) + tf.cast(present, tf.float32),
            "last": last,
            "before": before,
            "epochs": epochs,
            "epoch": tf.cast(clock.epoch, tf.int64),
        }
        return tf.cast(weights, losses.dtype), state
