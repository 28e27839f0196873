"""What all tasks share that read a sequence and answer with one."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from p5_keras.losses import divergence
from p5_keras.metrics.edits import Edits, edit_distance
from p5_keras.task import Features, Task, Tensor
from p5_keras.tasks.class_labels import allowed_classes, class_ids, present
from p5_keras.tasks.vector_head import class_list


class SequenceTask(Task):
    """Base of tasks that answer with a sequence of symbols: letters, words, tags.

    Label: integers `(batch, length)`, negative behind the end; where all are, the
    label is missing. The raw output has one class more than there are symbols, the
    last: it stands where there is none. Decoded: `label` int32 `(batch, any)`, −1
    behind the end, and `probability` `(batch,)`.

    Args:
        name: Name of the task.
        num_classes: Number of symbols.
        class_names: The symbols, in order, as in `list("abc")`; enough by themselves.
        **kwargs: Arguments of `Task`.
    """

    better = {"error_rate": "lower", "accuracy": "higher"}
    primary = "error_rate"
    score_name = "negative error rate"
    smallest_difference = {"error_rate": 0.01, "accuracy": 0.01}

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        #: Steps of the raw output, known once the head is built.
        self.steps: int | None = None

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns "sequence"."""
        return ["sequence"]

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, length)` int32 ids, −1 behind the end."""
        return sequences(self, label)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where ids are too high, or stand behind an end."""
        label = tf.convert_to_tensor(label)
        ended = tf.pad(label[:, :-1] < 0, [[0, 0], [1, 0]])
        return (label >= len(self.class_names)) | (ended & (label >= 0))

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return allowed_classes(len(self.class_names), "behind their end only")

    def default_metrics(self) -> list[keras.Metric]:
        """Returns none: whole sequences are compared by the evaluator."""
        return []

    def evaluator(self) -> Any:
        """Returns the error rate, and the share of sequences that are right."""
        return Edits()

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the label, as wide as the output, with probability 1."""
        label = ops.cast(label, "int32")
        more = max((self.steps or 0) - label.shape[1], 0)
        label = ops.pad(label, ((0, 0), (0, more)), constant_values=-1)[:, : self.steps]
        return {"label": label, "probability": ops.ones_like(label[:, 0], "float32")}

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Returns the divergence of the softened probabilities; see `softened`."""
        return divergence.softened(new, old)

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the output that is decoded to nothing: an error rate of 1."""
        if self.steps is None:
            raise ValueError(
                f"The head of task {self.name!r} must be built before its trivial "
                "predictor. Received: a task without"
            )
        row = np.zeros((self.steps, len(self.class_names) + 1), "float32")
        row[:, -1] = 10.0
        return row

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns each example's error rate, negative."""
        length = np.maximum((label >= 0).sum(axis=1), 1)
        return -edit_distance(label, fields["label"]) / length

    def text(self, label: np.ndarray) -> str:
        """Returns what a row of ids says; symbols of several letters are words."""
        found = [self.class_names[i] for i in label if i >= 0]
        return ("" if all(len(n) == 1 for n in self.class_names) else " ").join(found)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the text."""
        return self.text(fields["label"]) or "nothing"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "class_names": self.class_names}


def sequences(task: Task, label: Any) -> tuple[Tensor, Tensor]:
    """Returns labels `(batch, length)` int32, and weights that say which are missing.

    Raises:
        ValueError: They are no rows of numbers.
    """
    label = tf.convert_to_tensor(label)
    if label.shape.rank != 2 or label.shape[1] is None or label.dtype == tf.string:
        raise ValueError(
            f"Each label of task {task.name!r} must be (length,) class ids; see "
            "`p5.data.text_column`. Received: "
            f"{tuple(label.shape[1:])} {label.dtype.name} in the field {task.label!r}"
        )
    label = class_ids(task, label)
    return label, present(label)


def joined(task: Task, features: Features) -> Tensor:
    """Joins the features that a head reads: `(batch, steps, channels)`.

    Raises:
        ValueError: One is no sequence.
    """
    found = list(features.values())
    if any(len(x.shape) != 3 for x in found):
        raise ValueError(
            f"Task {task.name!r} reads sequences, (batch, length, channels). "
            f"Received: { ({n: tuple(x.shape) for n, x in features.items()}) }"
        )
    return found[0] if len(found) == 1 else layers.Concatenate()(found)
