"""More weight for tasks that are further from being learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import EPSILON, sum_to_tasks, zeros


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class Difficulty(Weighting):
    """Weights in proportion to difficulty^power, scaled to sum to T.

    The difficulty of a task is the running mean of its loss over its first loss; or,
    for a task with a metric in `targets` or `limits`, 1 − metric / target or
    1 − limit / metric after the last epoch, and 1 in the first epoch. The metric of
    the validation data is taken where there is one. It follows the idea of dynamic
    task prioritization: hard tasks first.

    Attributes:
        power: 0 weighs all tasks alike; 1 or more sharpens.
        decay: Of the running mean of each loss.
        least: Least difficulty, so that no task is dropped.
        targets: Metrics to rise to a value, such as `{"breed_accuracy": 0.95}`.
        limits: Metrics to fall to a value, such as `{"age_mae": 4.0}`.

    Reference:
        Guo et al., "Dynamic task prioritization for multitask learning", ECCV 2018.
    """

    power: float = 1.0
    decay: float = 0.99
    least: float = 0.05
    targets: Mapping[str, float] | None = None
    limits: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        for name in ("targets", "limits"):
            values = dict(getattr(self, name) or {})
            if any(value <= 0 for value in values.values()):
                raise ValueError(
                    f"`{name}` must be greater than 0. Received: {name}={values}"
                )

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns a difficulty of 1 for every task.

        Raises:
            ValueError: A metric's name does not begin with a task's.
        """
        owners = []
        for metric in self._aims():
            found = [t for t in tasks if metric.startswith(f"{t}_")]
            if not found:
                raise ValueError(
                    "`targets` and `limits` must name metrics as <task>_<metric>, of "
                    f"tasks in {list(tasks)}. Received: {metric!r}"
                )
            owners.append(list(tasks).index(max(found, key=len)))
        by_metric = np.zeros(len(tasks), bool)
        by_metric[owners] = True
        return {
            "mean": zeros(tasks),
            "first": zeros(tasks),
            "seen": np.zeros(len(tasks), bool),
            "by_metric": by_metric,
            "owners": np.array(owners, "int64"),
            "gap": np.ones(len(tasks), "float32"),
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
        """Returns weights by difficulty."""
        size = tf.abs(tf.cast(losses, tf.float32))
        moved = self.decay * state["mean"] + (1 - self.decay) * size
        mean = tf.where(state["seen"], moved, size)
        mean = tf.where(present, mean, state["mean"])
        new = tf.logical_and(present, tf.logical_not(state["seen"]))
        first = tf.where(new, size, state["first"])
        ratio = tf.where(first > EPSILON, mean / tf.maximum(first, EPSILON), 1)
        hard = tf.where(state["by_metric"], state["gap"], ratio)
        weights = sum_to_tasks(tf.maximum(hard, self.least) ** self.power, present)
        seen = tf.logical_or(state["seen"], present)
        state = {**state, "mean": mean, "first": first, "seen": seen}
        return tf.cast(weights, losses.dtype), state

    def epoch_end(
        self, logs: dict[str, float], state: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Reads how far the metrics are from their aims.

        Raises:
            ValueError: A metric was not logged.
        """
        gap = np.array(state["gap"])
        found: dict[int, list[float]] = {}
        for owner, (metric, aim) in zip(
            state["owners"], self._aims().items(), strict=True
        ):
            if metric not in logs and f"val_{metric}" not in logs:
                raise ValueError(
                    "`targets` and `limits` must name metrics that are logged: "
                    f"{sorted(logs)}. Received: {metric!r}"
                )
            name = f"val_{metric}" if f"val_{metric}" in logs else metric
            value = max(float(logs[name]), EPSILON)
            done = value / aim if metric in (self.targets or {}) else aim / value
            if np.isfinite(done):
                found.setdefault(int(owner), []).append(max(1 - done, 0.0))
        for owner, gaps in found.items():
            gap[owner] = np.mean(gaps)
        return {**state, "gap": gap}

    def _aims(self) -> dict[str, float]:
        return {**(self.targets or {}), **(self.limits or {})}
