"""Tasks whose answer is judged by itself, without a label."""

from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.metrics import ElementMean
from p5_keras.task import Task, Tensor


class Unlabelled(Task):
    """Base of tasks that need no label: their raw output holds all they are judged by.

    A kind implements `views()` if it reads changed pictures, `head()`, `errors()` and,
    where an error is no measure of success, `measure()` with its name in `better`.
    The examples may have any fields, or none. Decoded: `error` `(batch,)`.
    """

    compares = ""
    better: ClassVar[dict[str, str]] = {"error": "lower"}
    primary = "error"
    score_name = "less error"
    smallest_difference: ClassVar[dict[str, float]] = {"error": 0.02}
    refuses: ClassVar[dict[str, str]] = {}

    def errors(self, output: Tensor) -> Tensor:
        """Returns the loss of each example, `(batch,)` float32."""
        raise NotImplementedError

    def measure(self, output: Tensor) -> Tensor:
        """Returns what the primary metric is the mean of, `(batch,)`."""
        return self.errors(output)

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns zeros, and a weight of 1 for every example, whatever it is given."""
        count = tf.shape(tf.nest.flatten(label)[0])[0]
        return tf.zeros([count]), tf.ones([count])

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns zeros, and a weight of 1 for every example."""
        return self.normalize(example)

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns the label: a mixed picture is a picture."""
        return label

    def default_loss(self) -> losses.MeanLoss:
        """Returns the mean of `errors()`."""
        return OutputLoss(self)

    def default_metrics(self) -> list[keras.Metric]:
        """Returns the mean of `measure()`."""
        return [ElementMean(lambda _, output: self.measure(output), self.primary)]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns the error of each example."""
        return {"error": self.errors(ops.cast(output, "float32"))}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns no error."""
        return {"error": ops.cast(label, "float32")}

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the errors, negative."""
        return -np.asarray(fields["error"], "float64")

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns zeros of the shape of an output."""
        return np.zeros(self.output_shape, "float32")

    #: Shape of one raw output, which the head sets.
    output_shape: tuple[int, ...] = ()

    def build(self, features: Any, input_shape: tuple[int, ...]) -> Any:
        """Builds the head, and notes the shape of its output."""
        head = super().build(features, input_shape)
        self.output_shape = tuple(head.output.shape[1:])
        return head

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the error."""
        return f"error {float(fields['error']):.3g}"


@keras.saving.register_keras_serializable("p5_keras")
class OutputLoss(losses.MeanLoss):
    """The mean of what an `Unlabelled` task finds wrong with its outputs.

    Args:
        task: The task.
    """

    def __init__(self, task: Any, name: str = "output_loss") -> None:
        super().__init__(name=name)
        if isinstance(task, dict):
            task = keras.saving.deserialize_keras_object(task)
        self.task = task

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` losses, and ones."""
        errors = self.task.errors(y_pred)
        return errors, ops.ones_like(errors)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        task = keras.saving.serialize_keras_object(self.task)
        return {**super().get_config(), "task": task}
