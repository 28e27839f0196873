"""What a weighting did over an epoch: weights, gradients and their conflicts."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Tensor = Any

#: Every key of the record begins with it; no task's name holds a "/".
PREFIX = "weighting/"


class Diagnostics:
    """Means over an epoch of what the solves went by, at no extra cost.

    Keys: `weighting/weight/<task>` over all steps; and over the steps with a solve
    `weighting/norm/<task>`, the norm of the gradient, `weighting/cosine/<task>/<task>`,
    `weighting/conflict`, the share of pairs with a negative cosine, and
    `weighting/condition`, the decimal logarithm of the condition number of the matrix
    of cosines. Only tasks with a label in the batch count in any of them.

    Args:
        tasks: Names of the tasks.
        variable: From an array to a variable that replicas set to the same value.
    """

    def __init__(
        self, tasks: Sequence[str], variable: Callable[[Any], keras.Variable]
    ) -> None:
        self.tasks = list(tasks)
        count = len(self.tasks)
        vectors, square = np.zeros((2, count), "float32"), np.zeros((count, count))
        #: Sums of weights, and how many; likewise of all others.
        self.weights = variable(vectors)
        self.norms = variable(vectors)
        self.cosines = variable(np.stack([square, square, square]).astype("float32"))
        self.condition = variable(np.zeros(2, "float32"))

    @property
    def variables(self) -> list[keras.Variable]:
        """All sums."""
        return [self.weights, self.norms, self.cosines, self.condition]

    def update(
        self, weights: Tensor, present: Tensor, gram: Tensor | None, sound: Tensor
    ) -> None:
        """Adds a step.

        Args:
            weights: `(tasks,)`.
            present: `(tasks,)` whether the task counts.
            gram: `(tasks, tasks)` or `None`.
            sound: Whether all numbers are finite; if not, nothing is added.
        """
        on = tf.cast(present & sound, "float32")
        add(self.weights, weights, on)
        if gram is None:
            return
        gram = tf.where(sound, gram, tf.zeros_like(gram))
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
        units = tf.math.divide_no_nan(tf.ones_like(norms), norms)
        cosines = gram * units[:, None] * units[None, :]
        # A sum of such norms is still a number.
        add(self.norms, tf.cast(tf.minimum(norms, 1e30), "float32"), on)
        # A gradient of zero has no direction.
        directed = on * tf.cast(norms > 0, "float32")
        pairs = directed[:, None] * directed[None, :]
        cosines = tf.cast(cosines, "float32")
        conflicts = tf.cast(cosines < 0, "float32") * pairs
        self.cosines.assign(
            self.cosines.value + tf.stack([cosines * pairs, conflicts, pairs])
        )
        # Absent tasks stand as identity rows, with eigenvalue 1: within the range.
        eye = tf.eye(len(self.tasks))
        values = tf.linalg.eigvalsh(cosines * pairs * (1 - eye) + eye)
        ratio = values[-1] / tf.maximum(values[0], 1e-7)
        log = tf.math.log(tf.maximum(ratio, 1.0)) / np.log(10.0)
        some = tf.cast(tf.reduce_sum(directed) > 0, "float32")
        self.condition.assign(self.condition.value + tf.stack([log * some, some]))

    def result(self) -> dict[str, float]:
        """Returns the means, without what no step has measured."""
        out = {}
        for name, sums in (("weight", self.weights), ("norm", self.norms)):
            total, count = sums.numpy()
            for task, a, n in zip(self.tasks, total, count, strict=True):
                if n:
                    out[f"{PREFIX}{name}/{task}"] = float(a / n)
        cosines, conflicts, pairs = self.cosines.numpy()
        upper = np.triu(pairs, 1)
        for i, j in np.argwhere(upper):
            key = f"{PREFIX}cosine/{self.tasks[i]}/{self.tasks[j]}"
            out[key] = float(cosines[i, j] / pairs[i, j])
        if upper.any():
            out[f"{PREFIX}conflict"] = float(np.triu(conflicts, 1).sum() / upper.sum())
            total, count = self.condition.numpy()
            out[f"{PREFIX}condition"] = float(total / count)
        return out

    def reset(self) -> None:
        """Begins a new epoch."""
        for v in self.variables:
            v.assign(np.zeros(v.shape, "float32"))


def add(sums: keras.Variable, values: Tensor, on: Tensor) -> None:
    """Adds values to sums and counts, where they are on."""
    sums.assign(sums.value + tf.stack([tf.where(on > 0, values, 0.0), on]))
