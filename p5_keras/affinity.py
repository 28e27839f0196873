"""What each task's step on the shared parameters does to the other tasks' losses."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.gradients import gram

Logs = dict[str, float]
Batches = Callable[[int], tf.data.Dataset]

PREFIX = "affinity/"
KINDS = ("lookahead", "cosine")
#: Length of a look ahead, in parts of the length of the shared parameters.
STEP = 0.01


class Affinity(keras.callbacks.Callback):
    """Measures the affinities of all pairs of tasks at the end of each epoch.

    The lookahead affinity of task i to task j is the part of j's loss that a step
    along i's gradient takes away, `1 - L_j(θ - s g_i) / L_j(θ)`, on the batch that
    the gradient is of; it is above 0 where learning i is good for j. θ are the
    parameters that tasks share. The paper takes the optimizer's own step; here all
    tasks' steps have the same length, `s ‖g_i‖ = 0.01 ‖θ‖`, so that the affinities of
    tasks with large and with small gradients can be compared. The cosine of the two
    gradients is measured on the way.

    The logs get `affinity/lookahead/i/j` and, of each pair once, `affinity/cosine/i/j`,
    means over some of the batches that training comes to next. Nothing of the model
    changes. A pair without a label in any of these batches is NaN.

    Args:
        count: Batches to measure on after each epoch; `None` measures nothing.
        batches: From the number of a step to a dataset that starts there.

    Raises:
        ValueError: `count` is below 1.

    Reference:
        Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning,
        NeurIPS 2021, equation 1.
    """

    def __init__(self, count: int | None, batches: Batches) -> None:
        super().__init__()
        if count is not None and count < 1:
            raise ValueError(
                "Affinities must be measured on 1 batch or more. "
                f"Received: affinity_batches={count}"
            )
        self.count, self.batches = count, batches
        self._measure: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Makes the function that measures a batch.

        Raises:
            ValueError: There is nothing to measure, or there are several replicas.
        """
        if self.count is None or self._measure is not None:
            return
        model = self.model
        if len(model.tasks_with_loss) < 2 or not model.shared_variables:
            raise ValueError(
                "Affinities need two tasks or more on shared parameters. Received: "
                f"tasks={model.tasks_with_loss}, {len(model.shared_variables)} shared "
                "parameters"
            )
        if model.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "Affinities are measured on one device; give --strategy=none. "
                f"Received: {model.distribute_strategy.num_replicas_in_sync} replicas"
            )
        self._measure = tf.function(lambda *batch: measure(model, *batch))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Adds the affinities to the logs."""
        if self.count is None or logs is None:
            return
        step = int(self.model.optimizer.iterations)
        found = [self._measure(*b) for b in self.batches(step).take(self.count)]
        names = self.model.tasks_with_loss
        for kind, matrices in zip(KINDS, zip(*found, strict=True), strict=True):
            mean = _mean(np.stack([m.numpy() for m in matrices]))
            for i, one in enumerate(names):
                for j, other in enumerate(names):
                    if i < j or (kind == "lookahead" and i != j):
                        logs[f"{PREFIX}{kind}/{one}/{other}"] = float(mean[i, j])


def measure(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Measures the affinities on a batch.

    Args:
        model: A compiled `MultiTaskModel` on one device.
        x: Inputs `(batch, ...)`.
        y: Labels by task.
        sample_weight: Weights by task.

    Returns:
        Lookahead affinities of the task of each row to that of each column, and
        cosines, both `(tasks, tasks)`, NaN where a task has no label.
    """
    shared = {id(v) for v in model.shared_variables}
    values = [tf.identity(v.value) for v in model.trainable_variables]
    rest = [tf.identity(v.value) for v in model.non_trainable_variables]
    places = [i for i, v in enumerate(model.trainable_variables) if id(v) in shared]

    def losses(parameters: list[Any]) -> tuple[list[Any], Any]:
        # Without state, so that no moving mean and no seed of a dropout moves on.
        outputs, _ = model.stateless_call(parameters, rest, x, training=True)
        return model.loss_shares(y, outputs, sample_weight, log=False)

    theta = [values[i] for i in places]
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(theta)
        before, present = losses(values)
    zero = tf.UnconnectedGradients.ZERO
    rows = [
        [
            tf.convert_to_tensor(g)
            for g in tape.gradient(loss, theta, unconnected_gradients=zero)
        ]
        for loss in before
    ]
    products = gram([tf.stack(column) for column in zip(*rows, strict=True)], 1.0)
    norms = tf.cast(tf.sqrt(tf.linalg.diag_part(products)), tf.float32)
    length = STEP * tf.linalg.global_norm(theta)
    after = []
    for row, norm in zip(rows, tf.unstack(norms), strict=True):
        moved = list(values)
        for i, value, g in zip(places, theta, row, strict=True):
            moved[i] = value - tf.cast(length / norm, g.dtype) * g
        after.append(tf.stack(losses(moved)[0]))
    lookahead = 1 - tf.stack(after) / tf.stack(before)
    cosines = tf.cast(products, tf.float32) / (norms[:, None] * norms[None])
    known = present[:, None] & present[None]
    return tuple(tf.where(known, m, np.nan) for m in (lookahead, cosines))


def matrix(history: Sequence[Logs], kind: str) -> tuple[list[str], np.ndarray]:
    """Returns the tasks, and the mean affinity of each pair over epochs.

    Args:
        history: Logs of each epoch.
        kind: "lookahead", of the task of a row to that of a column, or "cosine".

    Returns:
        Names, and `(tasks, tasks)`, NaN where nothing was measured.
    """
    start = f"{PREFIX}{kind}/"
    found: dict[tuple[str, str], list[float]] = {}
    for row in history:
        for key, value in row.items():
            if key.startswith(start):
                one, other = key.removeprefix(start).split("/")
                found.setdefault((one, other), []).append(float(value))
    names = list(dict.fromkeys(name for pair in found for name in pair))
    table = np.full((len(names), len(names)), np.nan)
    for (one, other), values in found.items():
        i, j = names.index(one), names.index(other)
        table[i, j] = _mean(np.array(values))
        if kind == "cosine":
            table[j, i] = table[i, j]
    return names, table


def _mean(values: np.ndarray) -> np.ndarray:
    """Returns the mean over the first axis of what is finite, NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
