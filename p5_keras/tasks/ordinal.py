"""Ordinal rating: one class among several that have an order."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from p5_keras import losses
from p5_keras.losses.base import MeanLoss
from p5_keras.metrics import ElementMean
from p5_keras.task import Tensor
from p5_keras.tasks.class_labels import allowed_classes, class_ids, present
from p5_keras.tasks.vector_head import VectorTask, class_list


@keras.saving.register_keras_serializable("p5_keras")
class Ordinal(VectorTask):
    """A rating or a stage: classes in an order, far mistakes worse than near ones.

    One score, compared with a threshold between each two classes. Label: an integer
    `(batch,)`, negative where missing. Raw output: logits `(batch, classes - 1)` of
    being above each class but the last. Decoded: `label` int32 `(batch,)`, the median
    class, and `probabilities` `(batch, classes)`.

    Args:
        name: Name of the task.
        num_classes: Number of classes, two at least.
        class_names: Their names, in order; enough by themselves.
        **kwargs: Arguments of `VectorTask` and `Task`.

    Reference:
        Cao et al., Rank Consistent Ordinal Regression for Neural Networks with
        Application to Age Estimation, Pattern Recognition Letters 2020.
    """

    kind = "ordinal rating"
    compares = "classes"
    better = {"mae": "lower", "accuracy": "higher"}
    primary = "mae"
    score_name = "negative distance in classes"
    smallest_difference = {"mae": 0.02, "accuracy": 0.02}

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
        if len(self.class_names) < 2:
            raise ValueError(
                "An order needs two classes at least. "
                f"Received: class_names={self.class_names} for task {name!r}"
            )

    @property
    def units(self) -> int:
        """Number of thresholds."""
        return len(self.class_names) - 1

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` int32 classes."""
        label = class_ids(self, self.shaped(self.numbers(label)))
        return tf.maximum(label, 0), present(label)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where classes are too high."""
        return tf.convert_to_tensor(label) >= len(self.class_names)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return allowed_classes(len(self.class_names))

    def output(self, x: Tensor) -> Tensor:
        """Builds the score and the thresholds: `(batch, classes - 1)`."""
        score = layers.Dense(1, use_bias=False, dtype="float32", name="score")(x)
        return Thresholds(self.units, dtype="float32", name="output")(score)

    def logits(self, output: Tensor) -> Tensor:
        """Returns logarithms of the classes' probabilities, `(batch, classes)`."""
        return ops.log(ops.maximum(self.decode(output)["probabilities"], 1e-7))

    def default_loss(self) -> losses.MeanLoss:
        """Returns the mean cross-entropy of being above each class."""
        return OrdinalCrossEntropy()

    def default_metrics(self) -> list[keras.Metric]:
        """Returns the mean distance in classes, and the accuracy."""

        def distance(y_true: Tensor, y_pred: Tensor) -> Tensor:
            found = ops.sum(ops.cast(y_pred > 0, "float32"), axis=-1)
            return ops.abs(found - ops.cast(y_true, "float32"))

        return [
            ElementMean(distance, "mae"),
            ElementMean(lambda t, p: distance(t, p) < 0.5, "accuracy"),
        ]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `label` `(batch,)` and `probabilities` `(batch, classes)`."""
        above = ops.sigmoid(output)
        one, none = ops.ones_like(above[:, :1]), ops.zeros_like(above[:, :1])
        lower = ops.concatenate([one, above], axis=-1)
        upper = ops.concatenate([above, none], axis=-1)
        # Thresholds that are out of order would give less than nothing.
        p = ops.maximum(lower - upper, 0.0)
        return {
            "label": ops.sum(ops.cast(output > 0, "int32"), axis=-1),
            "probabilities": p / ops.sum(p, axis=-1, keepdims=True),
        }

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the label with probability 1."""
        label = ops.cast(label, "int32")
        hot = ops.one_hot(label, len(self.class_names))
        return {"label": label, "probabilities": hot}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the log-odds of being above each class: the median class wins."""
        known = label[weight > 0]
        above = [(np.sum(known > k) + 0.5) for k in range(self.units)]
        p = np.array(above) / (len(known) + 1)
        return np.log(p / (1 - p)).astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns minus the distance in classes."""
        return -np.abs(fields["label"].astype("float64") - label)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the class."""
        label = int(fields["label"])
        return "unlabelled" if label < 0 else self.class_names[label]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "class_names": self.class_names}


@keras.saving.register_keras_serializable("p5_keras")
class Thresholds(layers.Layer):
    """Adds biases to one score: `(batch, 1)` to `(batch, count)`.

    Args:
        count: Number of outputs.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count

    def build(self, input_shape: Any) -> None:
        """Makes the biases, evenly from 1 to -1 at the start."""
        start = np.linspace(1, -1, self.count) if self.count > 1 else np.zeros(1)
        self.bias = self.add_weight(
            shape=(self.count,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(start, dtype),
            name="bias",
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Adds."""
        return inputs + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `(batch, count)`."""
        return input_shape[0], self.count

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "count": self.count}


@keras.saving.register_keras_serializable("p5_keras")
class OrdinalCrossEntropy(MeanLoss):
    """Mean over thresholds of the cross-entropy of being above each.

    Labels are integers `(batch,)`, outputs logits `(batch, classes - 1)`.
    """

    def __init__(self, name: str = "ordinal_cross_entropy") -> None:
        super().__init__(name=name)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` losses, and ones."""
        label = ops.cast(y_true, "float32")[:, None]
        above = ops.cast(
            label > ops.arange(y_pred.shape[-1], dtype="float32"), "float32"
        )
        each = ops.relu(y_pred) - y_pred * above
        each = each + ops.log1p(ops.exp(-ops.abs(y_pred)))
        found = ops.mean(each, axis=-1)
        return found, ops.ones_like(found)
