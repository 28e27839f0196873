"""Area under the ROC curve, label by label."""

from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import align, present_labels

Tensor = Any


@keras.saving.register_keras_serializable("p5_keras")
class LabelAUC(keras.metrics.AUC):
    """Mean over labels of the area under the ROC curve, on logits.

    Keras' `AUC` with missing labels (NaN) left out, and the labels of which only one
    side has been seen left out of the mean.

    Args:
        labels: Number of labels.
        name: Name of the metric.
    """

    def __init__(self, labels: int, name: str = "auc") -> None:
        super().__init__(
            name=name, multi_label=True, num_labels=labels, from_logits=True
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch of `(batch, labels)`."""
        y_true, present = present_labels(ops.convert_to_tensor(y_true))
        if sample_weight is not None:
            present = present * align(ops.cast(sample_weight, "float32"), present)
        # Of mixed examples the larger part counts.
        super().update_state(y_true > 0.5, y_pred, sample_weight=present)

    def result(self) -> Tensor:
        """Returns the mean area; NaN when no label has both sides."""
        positives = self.true_positives + self.false_negatives
        negatives = self.false_positives + self.true_negatives
        # (thresholds, labels): rates, then the trapezoids between thresholds.
        tpr = self.true_positives / ops.maximum(positives, 1e-7)
        fpr = self.false_positives / ops.maximum(negatives, 1e-7)
        areas = ops.sum((fpr[:-1] - fpr[1:]) * (tpr[:-1] + tpr[1:]) / 2, axis=0)
        both = ops.cast((positives[0] > 0) & (negatives[0] > 0), areas.dtype)
        return ops.sum(areas * both) / ops.sum(both)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"labels": self.num_labels, "name": self.name}
