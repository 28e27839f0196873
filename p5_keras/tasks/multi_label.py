"""Binary and multi-label classification: independent yes/no answers."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.losses import divergence
from p5_keras.metrics import ElementMean, LabelAUC
from p5_keras.task import Tensor
from p5_keras.tasks.vector_head import VectorTask, class_list


@keras.saving.register_keras_serializable("p5_keras")
class MultiLabel(VectorTask):
    """Several independent yes/no labels for each example.

    Label: 0, 1, or missing (NaN or negative), one by one, `(batch, labels)`; or a
    probability, as where examples are mixed (`p5.data.MixUp`). Raw output: logits
    `(batch, labels)`. Decoded: `probability` and `label` (at 0.5), both
    `(batch, labels)`.

    Args:
        name: Name of the task.
        num_classes: Number of labels.
        class_names: Their names, in order; enough by themselves.
        label_smoothing: Moves targets that far towards 0.5.
        positive_weights: Weight of the positive examples of each label, or `None`.
        gamma: Focusing exponent of the focal loss; 0 is plain cross-entropy.
        **kwargs: Arguments of `VectorTask` and `Task`.
    """

    kind = "multi-label classification"
    compares = "labels"
    better = {"accuracy": "higher", "auc": "higher"}
    primary = "auc"
    score_name = "accuracy"
    smallest_difference = {"accuracy": 0.02, "auc": 0.04}
    refuses = {}

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        label_smoothing: float = 0.0,
        positive_weights: list[float] | None = None,
        gamma: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        self.label_smoothing = label_smoothing
        if positive_weights is not None and len(positive_weights) != self.units:
            raise ValueError(
                "`positive_weights` must be one number a label. Received: "
                f"positive_weights={positive_weights} for {self.units} labels of "
                f"task {name!r}"
            )
        self.positive_weights = positive_weights
        self.gamma = gamma

    @property
    def units(self) -> int:
        """Number of labels."""
        return len(self.class_names)

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, labels)` float32, NaN where missing."""
        label = tf.cast(self.shaped(self.numbers(label), self.units), tf.float32)
        missing = (label < 0) & (tf.round(label) == label)
        label = tf.where(missing, np.float32(np.nan), label)
        known = tf.reduce_any(~tf.math.is_nan(label), axis=-1)
        return label, tf.cast(known, tf.float32)

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns shares, NaN where either label is missing."""
        return share[:, None] * label + (1 - share[:, None]) * other

    def invalid(self, label: Tensor) -> Tensor:
        """Says where a label is below 0 or above 1."""
        label = tf.convert_to_tensor(label)
        return (label < 0) | (label > 1)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return "0, 1 or missing (NaN, or whole and negative); or a probability"

    tallies = 4

    def tally(self, given: Tensor, label: Tensor, weight: Tensor) -> list[Tensor]:
        """Counts labels of yes, of no, missing ones, and those missing by number."""
        counts = tf.broadcast_to(weight > 0, tf.shape(label))
        below = tf.constant(False)
        if not (given.dtype.is_bool or given.dtype.is_unsigned):
            below = given < 0
        missing = tf.math.is_nan(label)
        masks = (counts & (label >= 0.5), counts & (label < 0.5), missing, below)
        return [tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in masks]

    def doubt(self, tally: list[float], training: bool) -> str:
        """Says so where a negative number seems to have been meant for no.

        What a `Source` gives has NaN for such numbers. That many examples without a
        single no teach nothing either.
        """
        yes, no, missing, below = tally
        one_sided = yes and not no and (below or (training and min(yes, missing) >= 8))
        if not one_sided:
            return ""
        return (
            f"The labels of task {self.name!r} must be 0 for no: a negative number "
            f"means that a label is missing. Received: {yes:.0f} times 1, never 0, and "
            f"{missing:.0f} missing. Give NaN where a label is missing indeed"
        )

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy of each label."""
        return losses.SigmoidCrossEntropy(
            self.label_smoothing, self.positive_weights, self.gamma
        )

    def default_metrics(self) -> list[keras.Metric]:
        """Returns accuracy at 0.5 and the area under the ROC curve, label by label."""

        def right(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return ops.equal(y_true > 0.5, ops.reshape(y_pred, ops.shape(y_true)) > 0)

        return [ElementMean(right, "accuracy"), LabelAUC(self.units)]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `probability` and `label`, `(batch, labels)`."""
        p = ops.sigmoid(output)
        return {"probability": p, "label": ops.cast(p > 0.5, "int32")}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the labels, −1 where missing."""
        label = ops.convert_to_numpy(label)
        known = np.where(np.isnan(label), -1, label)
        return {"probability": label, "label": known.astype("int32")}

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Returns the mean divergence of the probabilities."""
        return ops.mean(divergence.bernoulli(new, old), axis=-1)

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the log-odds of each label's frequency."""
        label = label[weight > 0]
        positive = np.nansum(label, axis=0)
        count = np.sum(~np.isnan(label), axis=0)
        p = (positive + 0.5) / (count + 1)
        return np.log(p / (1 - p)).astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the share of an example's known labels that are right."""
        known = ~np.isnan(label)
        right = (fields["label"] == label) & known
        return right.sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the names of the labels that are on."""
        answers = zip(self.class_names, fields["label"], strict=True)
        names = [name for name, on in answers if on > 0]
        return ", ".join(names) or "none"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "class_names": self.class_names,
            "label_smoothing": self.label_smoothing,
            "positive_weights": self.positive_weights,
            "gamma": self.gamma,
        }


@keras.saving.register_keras_serializable("p5_keras")
class Binary(MultiLabel):
    """One yes/no label for each example: `MultiLabel` with a single label.

    Label: `(batch,)` of 0, 1 or missing. Raw output: a logit `(batch, 1)`.

    Args:
        name: Name of the task.
        **kwargs: Arguments of `MultiLabel`.
    """

    kind = "binary classification"
    compares = "labels"

    def __init__(self, name: str, **kwargs: Any) -> None:
        kwargs.setdefault("class_names", [name])
        super().__init__(name, **kwargs)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns yes or no, with the probability."""
        if fields["label"][0] < 0:
            return "unlabelled"
        p = float(fields["probability"][0])
        answer = "yes" if fields["label"][0] else "no"
        return answer if p in (0, 1) else f"{answer} ({p:.0%})"
