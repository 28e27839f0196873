"""Whose a model's variables are, and which of them are not to change."""

import fnmatch
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import keras

from p5_keras.naming import check_argument, did_you_mean
from p5_keras.sharing.graph import TaskGraph

Tensor = Any


class Ownership:
    """The part of `MultiTaskModel` that knows trunk, heads and what tasks share."""

    tasks: tuple[Any, ...]
    output: dict[str, Tensor]
    layers: list[Any]
    trainable_variables: list[keras.Variable]
    compiled: bool
    optimizer: Any
    distribute_strategy: Any
    train_function: Any
    test_function: Any
    get_layer: Any
    make_train_function: Any
    _alpha: Any
    _frozen: frozenset[str] = frozenset()

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks, in their order."""
        return [task.name for task in self.tasks]

    @property
    def head_variables(self) -> list[keras.Variable]:
        """Trainable variables of all heads, φ."""
        heads = [self.get_layer(name) for name in self.task_names]
        return [v for head in heads for v in head.trainable_variables]

    @property
    def trunk_variables(self) -> list[keras.Variable]:
        """Trainable variables that no head owns, θ."""
        heads = {id(v) for v in self.head_variables}
        return [v for v in self.trainable_variables if id(v) not in heads]

    @property
    def shared_variables(self) -> list[keras.Variable]:
        """Variables that are trained and that several tasks' losses reach."""
        owners = self.task_graph.owners()
        frozen = {id(v) for v in self.frozen_variables}
        return [
            v
            for v in self.trainable_variables
            if len(owners.get(id(v), ())) > 1 and id(v) not in frozen
        ]

    def variables_of(self, task: str) -> list[keras.Variable]:
        """Trainable variables that only this task's loss reaches."""
        owners = self.task_graph.owners()
        return [v for v in self.trainable_variables if owners.get(id(v)) == {task}]

    @property
    def bottleneck(self) -> list[Tensor] | None:
        """The Keras tensors in which all that is shared ends, or `None`.

        There is none where groups of tasks share variables and read none of these
        tensors in common, as in a model of separate columns: their gradients there
        are orthogonal by construction.
        """
        return self.task_graph.bottleneck()

    @property
    def task_graph(self) -> TaskGraph:
        """Which layers the loss of each task passes through."""
        return TaskGraph(dict(self.output))

    def freeze(self, *patterns: str) -> None:
        """Stops the updates of layers from the next step on, while training too.

        The layers stay `trainable`, so optimizer and saved files are as before, and
        batch normalisation in them goes on following the data; `layer.trainable =
        False` before `compile` stops that as well.

        Args:
            *patterns: Names of layers of the model, "trunk_*" for the whole trunk.

        Raises:
            ValueError: A pattern fits no layer.
        """
        self._set_frozen(self._frozen | self._layer_names(patterns))

    def unfreeze(self, *patterns: str) -> None:
        """Undoes `freeze()`."""
        self._set_frozen(self._frozen - self._layer_names(patterns))

    def stop(self, task: str) -> None:
        """Takes a task out of training: its loss, and what no other loss reaches.

        Args:
            task: Its name.
        """
        check_argument("task", {task: 0.0}, self.task_names, partial=True)
        self._alpha = MappingProxyType({**self._alpha, task: 0.0})
        own = frozenset(layer.name for layer in self.task_graph.layers_of(task))
        self._set_frozen(self._frozen | own)

    @property
    def frozen_variables(self) -> list[keras.Variable]:
        """Trainable variables that `freeze()` and `stop()` keep as they are."""
        layers = [self.get_layer(name) for name in sorted(self._frozen)]
        return [v for layer in layers for v in layer.trainable_variables]

    def _layer_names(self, patterns: Iterable[str]) -> frozenset[str]:
        known = [layer.name for layer in self.layers]
        for pattern in patterns:
            if not fnmatch.filter(known, pattern):
                raise ValueError(
                    "Each of `patterns` must fit a layer of the model."
                    f"{did_you_mean(pattern, known)} "
                    f"Received: {pattern!r}; layers: {known}"
                )
        return frozenset(n for p in patterns for n in fnmatch.filter(known, p))

    def _set_frozen(self, names: frozenset[str]) -> None:
        changed, self._frozen = names != self._frozen, names
        if names and self.compiled and not self.optimizer.built:
            # Of all variables, since a step may be the first for some of them alone.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if changed and self.train_function is not None:
            self.make_train_function(force=True)
        if changed:
            self.test_function = None  # `evaluate` makes it, with α as it is now
