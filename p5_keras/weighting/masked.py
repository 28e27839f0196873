"""Vectors over tasks of which some are absent, and Adam on such a vector."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any

#: Least loss that is divided by or whose logarithm is taken.
EPSILON = 1e-8


def zeros(tasks: Sequence[str]) -> np.ndarray:
    """Returns one float32 zero for each task."""
    return np.zeros(len(tasks), "float32")


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of the values that the mask keeps; 0 when it keeps none."""
    kept = tf.cast(mask, values.dtype)
    return tf.math.divide_no_nan(
        tf.reduce_sum(tf.where(mask, values, 0)), tf.reduce_sum(kept)
    )


def softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Returns the softmax over what the mask keeps, 0 elsewhere."""
    logits = tf.where(mask, logits, logits.dtype.min)
    powers = tf.where(mask, tf.exp(logits - tf.reduce_max(logits)), 0)
    return tf.math.divide_no_nan(powers, tf.reduce_sum(powers))


def sum_to_tasks(weights: Tensor, present: Tensor) -> Tensor:
    """Scales weights so that they add up to the number of present tasks."""
    ones = tf.cast(present, weights.dtype)
    weights = tf.where(present, weights, 0)
    scale = tf.math.divide_no_nan(tf.reduce_sum(ones), tf.reduce_sum(weights))
    return weights * scale


def adam_state(tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns Adam's memory, one entry for each task."""
    return {name: zeros(tasks) for name in ("adam_mean", "adam_square", "adam_steps")}


def adam(
    value: Tensor,
    gradient: Tensor,
    present: Tensor,
    rate: float,
    state: dict[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Takes a step of Adam, as Keras defines it, for the present tasks only.

    Args:
        value: `(tasks,)` what is trained.
        gradient: `(tasks,)` its gradient.
        present: `(tasks,)` which entries move; the memory of the others stays.
        rate: Learning rate.
        state: A state that holds the entries of `adam_state()`.

    Returns:
        The new value and Adam's new memory.
    """
    steps = state["adam_steps"] + 1
    average = state["adam_mean"] + 0.1 * (gradient - state["adam_mean"])
    square = state["adam_square"] + 0.001 * (gradient**2 - state["adam_square"])
    correction = tf.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    moved = value - rate * correction * average / (tf.sqrt(square) + 1e-7)
    memory = {"adam_mean": average, "adam_square": square, "adam_steps": steps}
    kept = {k: tf.where(present, v, state[k]) for k, v in memory.items()}
    return tf.where(present, moved, value), kept
