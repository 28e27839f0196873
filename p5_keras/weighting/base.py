"""A weighting: from the tasks' losses and gradients to one weight a task."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from p5_keras.weighting.unit_gram import finite_gram

Tensor = Any
State = dict[str, Tensor]

SOURCES = ("full", "features", "last_shared")
SCALES = ("tasks", "norm", "none")


class Clock(NamedTuple):
    """Where training is.

    Attributes:
        step: Number of training steps done, an int64 scalar.
        epoch: Number of the epoch, from 0, an int64 scalar.
    """

    step: Tensor
    epoch: Tensor


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """Base of all weightings: what each task's loss counts, in each step.

    A weighting is a pure function of what a step knows, with its memory passed in and
    out, so it can be tested without a network, and a run that was killed goes on
    exactly. It sees α·L, the losses as `loss_weights` scale them, and the model
    trains on `Σ_t w_t α_t L_t`. The weights are constants to the gradient.

    A subclass is a frozen dataclass whose fields are the method's parameters. One that
    needs the losses alone derives from this class and implements `step()`; one that
    needs gradients derives from `GramWeighting` and implements `solve()`.
    """

    #: Whether the direction of the update is the same whatever α is.
    ignores_scale: ClassVar[bool] = False

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns the state before the first step.

        Args:
            tasks: Names of the tasks, in the order of all vectors.

        Raises:
            ValueError: A parameter does not fit these tasks.
        """
        return {}

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Computes the weights of one step, in TensorFlow, with static shapes.

        Args:
            losses: `(tasks,)` α·L of the global batch; 0 where no label is present.
            gram: `(tasks, tasks)` products of the gradients of α·L, or `None`.
            present: `(tasks,)` whether the task has a label in the global batch.
            clock: Where training is.
            seed: `(2,)` integers, the same on every replica, others in every step.
            state: What `start()` or the last step returned.

        Returns:
            `(tasks,)` weights, 0 for absent tasks, and the state for the next step.
        """
        raise NotImplementedError

    def epoch_end(
        self, logs: dict[str, float], state: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Changes the state by what an epoch logged, validation included, in NumPy."""
        return state

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Weighting":
        """Makes the weighting of `get_config()` again."""
        return cls(**config)


@dataclass(frozen=True, kw_only=True)
class GramWeighting(Weighting):
    """Base of weightings that are functions of the Gram matrix of the tasks' gradients.

    The update of the shared parameters is `Σ_t w_t g_t`, so all that a method needs
    to know of the gradients is `G = J Jᵀ`, with a row of J for each task.

    Attributes:
        gradients: Where G comes from. "full": the gradients of all shared parameters,
            one backward pass a task. "features": those of the features that all heads
            read, with one backward pass through the trunk. "last_shared": those of the
            last layer that all tasks share, likewise with one backward pass.
        update_every: Steps from one solve to the next; the weights are kept between.
        rescale: "tasks" scales the weights so that their absolute values add up to
            the number of tasks with a label, as those of an unweighted sum do; "norm"
            so that the update is as long as the sum of the gradients; "none" leaves
            the length that the paper gives.
        scale_heads: Whether the weights also scale each head's own gradient.
    """

    gradients: str = "full"
    update_every: int = 1
    rescale: str = "tasks"
    scale_heads: bool = False

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        for name, known in (("gradients", SOURCES), ("rescale", SCALES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {known}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if self.update_every < 1:
            raise ValueError(
                "`update_every` must be 1 or more. "
                f"Received: update_every={self.update_every}"
            )

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Computes the weights as the paper defines them; see `step()`.

        Rows and columns of G of absent tasks are 0, and so must be their weights; the
        weights of the others must be those of a problem without the absent ones.
        """
        raise NotImplementedError

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Solves, and scales the weights as `rescale` says."""
        gram = finite_gram(gram, present)
        weights, state = self.solve(gram, losses, present, clock, seed, state)
        return rescaled(weights, gram, present, self.rescale), state


def rescaled(weights: Tensor, gram: Tensor, present: Tensor, rescale: str) -> Tensor:
    """Scales weights by a convention; see `GramWeighting`."""
    if rescale == "none":
        return weights
    ones = tf.cast(present, weights.dtype)
    if rescale == "tasks":
        wanted, found = tf.reduce_sum(ones), tf.reduce_sum(tf.abs(weights))
    else:
        wanted = length(ones, gram)
        found = length(weights, gram)
    return weights * tf.math.divide_no_nan(wanted, found)


def length(weights: Tensor, gram: Tensor) -> Tensor:
    """Returns the norm of `Σ_t w_t g_t`."""
    square = tf.tensordot(weights, tf.linalg.matvec(gram, weights), 1)
    return tf.sqrt(tf.maximum(square, 0))
