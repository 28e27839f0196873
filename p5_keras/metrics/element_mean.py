"""The mean of any elementwise error over the labels that are there."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import align, present_labels

Tensor = Any


@keras.saving.register_keras_serializable("p5_keras")
class ElementMean(keras.Metric):
    """Weighted mean of `function(y_true, y_pred)` over elements with a label.

    An element without a label (NaN, negative for integers, or of an example with
    weight 0) takes no part.

    Args:
        function: Gives one value per element, `(batch, ...)`, from labels and raw
            outputs.
        name: Name of the metric.
        root: Take the square root of the mean, as in RMSE.
    """

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        name: str,
        root: bool = False,
    ) -> None:
        super().__init__(name=name)
        if isinstance(function, dict):
            function = keras.saving.deserialize_keras_object(function)
        self.function, self.root = function, root
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch."""
        y_true, present = present_labels(ops.convert_to_tensor(y_true))
        values = ops.cast(self.function(y_true, y_pred), "float32")
        while len(present.shape) > len(values.shape):
            present = ops.min(present, axis=-1)
        weights = align(present, values)
        if sample_weight is not None:
            weights = weights * align(ops.cast(sample_weight, "float32"), values)
        weights = ops.broadcast_to(weights, ops.shape(values))
        values = ops.where(weights > 0, values, ops.zeros_like(values))
        self.total.assign_add(ops.sum(values * weights))
        self.count.assign_add(ops.sum(weights))

    def result(self) -> Tensor:
        """Returns the mean; NaN when nothing was labelled."""
        mean = self.total / self.count
        return ops.sqrt(mean) if self.root else mean

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        function = keras.saving.serialize_keras_object(self.function)
        return {"function": function, "name": self.name, "root": self.root}
