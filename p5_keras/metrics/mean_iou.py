"""Mean intersection over union of class maps."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable("p5_keras")
class MeanIoU(keras.Metric):
    """Intersection over union, averaged over the classes seen in labels or outputs.

    Keras' own `MeanIoU` takes one weight a pixel; tasks have one an example.

    Args:
        classes: Number of classes.
        name: Name of the metric.
    """

    def __init__(self, classes: int, name: str = "miou") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.confusion = self.add_variable(
            (classes, classes), "zeros", name="confusion"
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds class maps `(batch, height, width)` and logits with a last axis."""
        y_true = ops.cast(y_true, "int32")
        weights = ops.cast(y_true >= 0, "float32")
        if sample_weight is not None:
            weights = weights * ops.reshape(
                ops.cast(sample_weight, "float32"), (-1, 1, 1)
            )
        # One-hot rows times one-hot columns: a confusion matrix that XLA can compile.
        rows = ops.one_hot(ops.maximum(y_true, 0), self.classes) * weights[..., None]
        columns = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        rows = ops.reshape(ops.cast(rows, "float32"), (-1, self.classes))
        columns = ops.reshape(ops.cast(columns, "float32"), (-1, self.classes))
        self.confusion.assign_add(ops.matmul(ops.transpose(rows), columns))

    def result(self) -> Tensor:
        """Returns the mean over classes; NaN when nothing was labelled."""
        both = ops.diagonal(self.confusion)
        either = ops.sum(self.confusion, 0) + ops.sum(self.confusion, 1) - both
        seen = ops.cast(either > 0, "float32")
        return ops.sum(both / ops.maximum(either, 1e-7) * seen) / ops.sum(seen)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"classes": self.classes, "name": self.name}
