"""What a weighting needs of a model: its memory, and the tasks' gradients."""

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Weighting
from p5_keras.weighting.diagnostics import Diagnostics

Tensor = Any


class Engine:
    """Runs a weighting in a model's training step.

    It holds the weighting's state in variables, which are saved with a run, hands the
    weighting what each step knows, and keeps the record of what it did.

    Args:
        weighting: The weighting.
        tasks: Names of the tasks that have a loss.
    """

    def __init__(self, weighting: Weighting, tasks: Sequence[str]) -> None:
        self.weighting, self.tasks = weighting, list(tasks)
        self.state = {
            name: variable(value) for name, value in weighting.start(self.tasks).items()
        }
        self.weights = variable(np.ones(len(self.tasks), "float32"))
        self.step, self.epoch = variable(np.int64(0)), variable(np.int64(0))
        # Follows `keras.utils.set_random_seed`.
        self.seed = variable(np.int64(random.randrange(2**31)))
        self.diagnostics = Diagnostics(self.tasks, variable)
        #: The model in two parts, for a weighting that works at the features.
        self.parts: Any = None
        #: Whether the next step solves; `None` asks `step` in the graph.
        self.solves: bool | None = True if self.update_every == 1 else None
        #: `step`, known outside the graph.
        self.steps_done = 0

    @property
    def update_every(self) -> int:
        """Steps from one solve to the next."""
        return getattr(self.weighting, "update_every", 1)

    @property
    def needs_gradients(self) -> bool:
        """Whether the tasks' gradients are needed one by one."""
        return isinstance(self.weighting, GramWeighting) or hasattr(
            self.weighting, "combine"
        )

    @property
    def variables(self) -> list[keras.Variable]:
        """All that must be saved for a run to go on as if never interrupted."""
        own = [self.weights, self.step, self.epoch, self.seed]
        return [*own, *self.state.values(), *self.diagnostics.variables]

    def clock(self) -> Clock:
        """Returns where training is."""
        return Clock(self.step.value, self.epoch.value)

    def step_seed(self) -> Tensor:
        """Returns the seed of this step, the same on every replica."""
        return tf.stack([self.seed.value, self.step.value])

    def weigh(
        self, losses: Tensor, present: Tensor, gram: Tensor | None = None
    ) -> Tensor:
        """Computes this step's weights and records them.

        Args:
            losses: `(tasks,)` α·L of the global batch.
            present: `(tasks,)` whether the task counts in this batch.
            gram: `(tasks, tasks)` over the global batch, or `None`.

        Returns:
            `(tasks,)` float32.
        """
        losses = tf.stop_gradient(losses)  # the weights are constants to the gradient
        state = {name: v.value for name, v in self.state.items()}
        dtype = losses.dtype if gram is None else gram.dtype
        weights, new = self.weighting.step(
            tf.cast(losses, dtype),
            gram,
            present,
            self.clock(),
            self.step_seed(),
            state,
        )
        weights = tf.cast(weights, "float32")
        # A batch that overflowed, as under mixed_float16, or that is beyond what the
        # method can count with, must not spoil the state.
        seen = [losses, weights, *new.values(), *([] if gram is None else [gram])]
        sound = _all_finite(seen)
        weights = tf.where(sound, weights, tf.ones_like(weights))
        self._remember(new, state, sound)
        # Until the next solve a task that is absent now counts as in a plain sum.
        self.weights.assign(tf.where(present, weights, tf.ones_like(weights)))
        self.diagnostics.update(weights, present, gram, sound)
        return weights

    def combine(
        self, features: list[Tensor], gradients: list[Tensor], present: Tensor
    ) -> list[Tensor]:
        """Lets a weighting that is no function of the Gram matrix make the update."""
        combine = self.weighting.combine  # type: ignore[attr-defined]
        return combine(features, gradients, present, self.step_seed())

    def look_again(self, losses: Tensor, present: Tensor) -> None:
        """Lets the weighting see the losses of the same batch after the update."""
        state = {name: v.value for name, v in self.state.items()}
        look_again = self.weighting.look_again  # type: ignore[attr-defined]
        new = look_again(losses, present, state)
        self._remember(new, state, _all_finite([losses, *new.values()]))

    def begin(self) -> None:
        """Reads the number of steps done, before `fit`."""
        self.steps_done = int(self.step.numpy())

    def tick(self) -> None:
        """Counts a step."""
        self.step.assign(self.step.value + 1)

    def _remember(self, new: State, old: State, sound: Tensor) -> None:
        for name, value in new.items():
            kept = old[name]
            self.state[name].assign(tf.where(sound, tf.cast(value, kept.dtype), kept))

    def due(self) -> Any:
        """Returns whether this step solves: a bool, or a tensor where it varies."""
        if self.solves is not None:
            return self.solves
        return tf.equal(self.step.value % self.update_every, 0)

    def get_state(self) -> list[Any]:
        """Returns the values of `variables`, in a form that JSON can hold."""
        return [np.array(v.numpy()).tolist() for v in self.variables]

    def set_state(self, values: list[Any]) -> None:
        """Takes the values from `get_state()`."""
        for v, value in zip(self.variables, values, strict=True):
            v.assign(np.array(value, v.dtype).reshape(v.shape))


def _all_finite(values: Sequence[Tensor]) -> Tensor:
    """Returns whether all numbers are finite; whole ones always are."""
    floats = [v for v in map(tf.convert_to_tensor, values) if v.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in floats])


class EngineCallback(keras.callbacks.Callback):
    """Tells the engine of epochs, and the logs of the engine's record.

    Args:
        engine: The engine.
    """

    async_safe = True

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Sets the clock."""
        self.engine.epoch.assign(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the record to the logs, and lets the weighting see them."""
        logs = {} if logs is None else logs
        logs.update(self.engine.diagnostics.result())
        self.engine.diagnostics.reset()
        if type(self.engine.weighting).epoch_end is not Weighting.epoch_end:
            state = {name: v.numpy() for name, v in self.engine.state.items()}
            state = self.engine.weighting.epoch_end(logs, state)
            for name, value in state.items():
                self.engine.state[name].assign(value)


def variable(value: Any) -> keras.Variable:
    """Makes a variable that every replica sets to the same value, by itself."""
    value = np.asarray(value)
    return keras.Variable(
        value, dtype=value.dtype.name, trainable=False, aggregation="none"
    )
