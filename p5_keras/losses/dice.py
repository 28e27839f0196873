"""Soft Dice overlap, for masks."""

from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import MeanLoss, Tensor


@keras.saving.register_keras_serializable("p5_keras")
class Dice(MeanLoss):
    """One minus the soft Dice overlap, averaged over classes, one value an image.

    Labels are class maps `(batch, height, width)`, outputs logits `(batch, height,
    width, classes)`. A class that an image neither holds nor is given counts as
    perfect overlap. Ignored pixels take no part.

    Args:
        smooth: Added to both sides of the fraction, in pixels.

    Reference:
        Milletari et al., V-Net, 3DV 2016.
    """

    def __init__(self, smooth: float = 1.0, name: str = "dice") -> None:
        super().__init__(name=name)
        self.smooth = smooth

    def terms(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes the sums over images; ignored pixels leave both overlap sums."""
        y_true = ops.convert_to_tensor(y_true)
        y_pred = ops.cast(y_pred, "float32")
        seen = ops.cast(y_true >= 0, "float32")[..., None]
        one_hot = ops.one_hot(ops.maximum(y_true, 0), y_pred.shape[-1])
        one_hot = ops.cast(one_hot, "float32") * seen
        p = ops.softmax(y_pred, axis=-1) * seen
        overlap = 2 * ops.sum(one_hot * p, axis=(1, 2)) + self.smooth
        sizes = ops.sum(one_hot + p, axis=(1, 2)) + self.smooth
        losses = 1 - ops.mean(overlap / sizes, axis=-1)
        weights = ops.max(seen, axis=(1, 2, 3))
        if sample_weight is not None:
            weights = weights * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
        return ops.sum(losses * weights), ops.sum(weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "smooth": self.smooth}
