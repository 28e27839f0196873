"""The joint objective of a batch, as this replica has a part in it."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from p5_keras import objective
from p5_keras.losses.base import MeanLoss, replica_sum, safe_divide
from p5_keras.weighting.engine import Engine

Tensor = Any


class JointObjective:
    """The part of `MultiTaskModel` that adds up `Σ_t w_t α_t L_t + λ‖θ‖² + γ‖φ‖²`."""

    trunk_l2: float
    head_l2: float
    losses: list[Tensor]
    trunk_variables: list[keras.Variable]
    head_variables: list[keras.Variable]
    distribute_strategy: Any
    _aggregate_additional_loss: Any
    _task_losses: dict[str, MeanLoss]
    _loss_trackers: Mapping[str, keras.Metric]
    _alpha: Mapping[str, Any]
    _engine: Engine | None

    @property
    def tasks_with_loss(self) -> list[str]:
        """Names of the tasks that are trained on."""
        return list(self._task_losses)

    @property
    def loss_weights(self) -> dict[str, float]:
        """α of each task as it is now."""
        return {name: objective.number(v) for name, v in self._alpha.items()}

    def compute_loss(
        self,
        x: Tensor = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Computes the joint objective of a batch and logs its parts.

        Returns:
            This replica's part of the objective; the parts of all replicas add up.
        """
        del x
        shares, present = self.loss_shares(y, y_pred, sample_weight)
        total = ops.stack(shares)
        if training and self._engine is not None:
            total *= self._engine.weigh(replica_sum(total), present)
        total = ops.sum(total)
        rest = self.penalty()
        return total if rest is None else total + rest

    def loss_shares(
        self, y: Any, y_pred: Any, sample_weight: Any, log: bool = True
    ) -> tuple[list[Tensor], Tensor]:
        """Computes this replica's part of each task's α·L, and logs each L.

        Returns:
            A float32 scalar a task, of which those of all replicas add up to α·L of
            the global batch, and `(tasks,)` whether the task has a label in it and an
            α. Only tasks that have a loss count.
        """
        weights = sample_weight or {}
        terms = {}
        for name, loss in self._task_losses.items():
            with tf.name_scope(f"{name}_loss"):  # says whose an operation is
                terms[name] = loss.terms(y[name], y_pred[name], weights.get(name))
        alpha = [ops.cast(self._alpha[name], "float32") for name in terms]
        whole = replica_sum(ops.stack([below for _, below in terms.values()]))
        # A list: a stack would send gradients of zeros into the other tasks' heads.
        shares = []
        for i, (name, (above, below)) in enumerate(terms.items()):
            shares.append(alpha[i] * safe_divide(above, whole[i]))
            if log:
                mean = safe_divide(above, below)
                tracker = self._loss_trackers[f"{name}_loss"]
                tracker.update_state(mean, sample_weight=below)
        return shares, ops.logical_and(whole > 0, ops.stack(alpha) > 0)

    def penalty(self) -> Tensor | None:
        """Computes this replica's part of what belongs to no task, or `None`."""
        total = None
        if self.trunk_l2 or self.head_l2:
            l2 = objective.l2_penalty(self.trunk_l2, self.trunk_variables)
            l2 += objective.l2_penalty(self.head_l2, self.head_variables)
            self._loss_trackers["l2"].update_state(l2)
            total = l2 / self.distribute_strategy.num_replicas_in_sync
        if self.losses:
            added = sum(self._aggregate_additional_loss(x) for x in self.losses)
            total = added if total is None else total + added
        return total

    @property
    def engine(self) -> Engine | None:
        """What runs the weighting, or `None` without one."""
        return getattr(self, "_engine", None)

    @contextlib.contextmanager
    def weighting_off(self) -> Iterator[None]:
        """Trains on the plain sum of the losses for a while."""
        engine, self._engine = self._engine, None
        try:
            yield
        finally:
            self._engine = engine

    @property
    def weighting_variables(self) -> list[keras.Variable]:
        """The state of the weighting: what a run that goes on needs of it."""
        return [] if self._engine is None else self._engine.variables
