"""Classification: one class among many."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.losses import divergence
from p5_keras.metrics import ElementMean
from p5_keras.task import Tensor
from p5_keras.tasks.class_labels import allowed_classes, class_ids, present
from p5_keras.tasks.vector_head import VectorTask, class_list


@keras.saving.register_keras_serializable("p5_keras")
class Classification(VectorTask):
    """One class among many for each example.

    Label: a whole number `(batch,)`, negative or NaN where missing; or probabilities
    `(batch, classes)`, one-hot or of mixed examples (`p5.data.MixUp`). Raw output:
    logits `(batch, classes)`. Decoded: `label` int32 `(batch,)` and `probabilities`
    `(batch, classes)`.

    Args:
        name: Name of the task.
        num_classes: Number of classes.
        class_names: Their names, in order; enough by themselves.
        label_smoothing: Share of the target spread evenly over all classes.
        class_weights: One weight a class, "balanced" (inverse frequency in the
            training labels, mean 1 over examples), or `None`.
        gamma: Focusing exponent of the focal loss; 0 is plain cross-entropy.
        **kwargs: Arguments of `VectorTask` and `Task`.

    Example:
        >>> breed = Classification("breed", label="label", num_classes=37)
    """

    kind = "classification"
    compares = "classes"
    better = {"accuracy": "higher"}
    primary = "accuracy"
    score_name = "accuracy"
    smallest_difference = {"accuracy": 0.02}
    refuses = {}

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        label_smoothing: float = 0.0,
        class_weights: list[float] | str | None = None,
        gamma: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        self.label_smoothing = label_smoothing
        self.class_weights = check_class_weights(
            name, class_weights, len(self.class_names)
        )
        self.gamma = gamma

    @property
    def units(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def adapt(self, labels: np.ndarray, weights: np.ndarray) -> None:
        """Turns "balanced" class weights into numbers."""
        if self.class_weights == "balanced":
            self.class_weights = balanced(labels[weights > 0], self.units)

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` int32 classes, or `(batch, classes)` float32."""
        label = self.numbers(label)
        if not self._soft(label):
            label = class_ids(self, self.shaped(label))
            return tf.maximum(label, 0), present(label)
        label = tf.cast(label, tf.float32)
        known = tf.reduce_any(label >= 0, axis=-1)
        return tf.where(known[:, None], label, 0.0), tf.cast(known, tf.float32)

    def _soft(self, label: Tensor) -> bool:
        """Whether labels are one number a class, not one a label."""
        return label.shape.rank == 2 and label.shape[-1] == self.units > 1

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns probabilities `(batch, classes)`."""
        one, two = (tf.one_hot(x, self.units) for x in (label, other))
        return share[:, None] * one + (1 - share[:, None]) * two

    def invalid(self, label: Tensor) -> Tensor:
        """Says where classes are too high, or probabilities do not sum to 1."""
        label = tf.convert_to_tensor(label)
        if not self._soft(label):
            return label >= self.units
        off = tf.abs(tf.reduce_sum(label, axis=-1) - 1)
        # Not `off > ...`, which NaN is not.
        return ~((off < 0.01) & tf.reduce_all(label >= 0, axis=-1))

    @property
    def allowed(self) -> str:
        """What labels must be."""
        whole = allowed_classes(self.units)
        return f"{whole}; or a row of probabilities, which sum to 1"

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy, with smoothing, class weights and focusing."""
        return losses.SoftmaxCrossEntropy(
            self.label_smoothing, given_weights(self), self.gamma
        )

    def default_metrics(self) -> list[keras.Metric]:
        """Returns the accuracy; of a mixture the larger part is the truth."""

        def right(y_true: Tensor, y_pred: Tensor) -> Tensor:
            if len(y_true.shape) == len(y_pred.shape):  # probabilities
                y_true = ops.argmax(y_true, axis=-1)
            return ops.equal(
                ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype), y_true
            )

        return [ElementMean(right, "accuracy")]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `label` `(batch,)` and `probabilities` `(batch, classes)`."""
        return {
            "label": tf.argmax(output, axis=-1, output_type="int32"),
            "probabilities": ops.softmax(output, axis=-1),
        }

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the label with probability 1."""
        label = ops.cast(label, "int32")
        return {"label": label, "probabilities": ops.one_hot(label, self.units)}

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Returns the divergence of the softened probabilities; see `softened`."""
        return divergence.softened(new, old)

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns log frequencies of the classes: the majority class wins."""
        counts = np.bincount(label[weight > 0].ravel(), minlength=self.units)
        return np.log((counts + 1e-3) / (counts + 1e-3).sum()).astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns 1 where the class is right."""
        return (fields["label"] == label).astype("float64")

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the class and its probability."""
        label = int(fields["label"])
        if label < 0:
            return "unlabelled"
        p = float(fields["probabilities"][label])
        return self.class_names[label] + ("" if p == 1 else f" ({p:.0%})")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "class_names": self.class_names,
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
            "gamma": self.gamma,
        }


def check_class_weights(
    task: str, weights: list[float] | str | None, classes: int
) -> list[float] | str | None:
    """Checks class weights.

    Raises:
        ValueError: They are not one positive number a class, "balanced" or `None`.
    """
    if weights is None or weights == "balanced":
        return weights
    if isinstance(weights, str) or len(weights) != classes or min(weights) < 0:
        raise ValueError(
            "`class_weights` must be one number a class, 0 or more, or 'balanced'. "
            f"Received: class_weights={weights} for the {classes} classes of "
            f"task {task!r}"
        )
    return [float(w) for w in weights]


def given_weights(task: Any) -> list[float] | None:
    """Returns a task's class weights as numbers.

    Raises:
        ValueError: They are "balanced" and no labels have been seen.
    """
    if task.class_weights == "balanced":
        raise ValueError(
            f"Task {task.name!r} has class_weights='balanced', which needs the "
            "training labels: call `p5_keras.data.adapt(tasks, dataset)` first."
        )
    return list(task.class_weights) if task.class_weights is not None else None


def balanced(labels: np.ndarray, classes: int) -> list[float]:
    """Returns inverse class frequencies, scaled to a mean of 1 over the labels."""
    labels = labels[labels >= 0]
    counts = np.bincount(labels.ravel(), minlength=classes)
    weights = np.where(counts > 0, labels.size / np.maximum(counts, 1), 0.0)
    return [float(w) for w in weights / max((counts > 0).sum(), 1)]
