"""Cross-entropies on logits, with class weights, smoothing and focusing."""

from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import MeanLoss, Tensor, safe_divide


@keras.saving.register_keras_serializable("p5_keras")
class SoftmaxCrossEntropy(MeanLoss):
    """Cross-entropy of one class among many.

    Labels are integers `(batch, ...)`, outputs logits `(batch, ..., classes)`. With
    class weights the mean is the weighted mean: Σ w l / Σ w. Labels may also be
    probabilities of the outputs' shape, as of mixed examples; then the loss is the
    mean, by probability, of the losses of the classes.

    Args:
        label_smoothing: Share of the target spread evenly over all classes.
        class_weights: One weight a class, or `None`.
        gamma: Focusing exponent: each term is multiplied by `(1 - p)^gamma`, with p
            the probability of the true class; 0 is plain cross-entropy.

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        class_weights: list[float] | None = None,
        gamma: float = 0.0,
        name: str = "cross_entropy",
    ) -> None:
        super().__init__(name=name)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "`label_smoothing` must be at least 0 and below 1. "
                f"Received: label_smoothing={label_smoothing}"
            )
        self.label_smoothing = label_smoothing
        self.class_weights = list(class_weights) if class_weights is not None else None
        self.gamma = gamma

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch, ...)` losses, and weights of the same shape."""
        log_p = ops.log_softmax(y_pred, axis=-1)
        classes = log_p.shape[-1]
        if len(y_true.shape) == len(log_p.shape) and y_true.shape[-1] == classes > 1:
            return self._soft(ops.cast(y_true, log_p.dtype), log_p)
        labels = ops.cast(y_true, "int32")
        if len(labels.shape) == len(log_p.shape):
            labels = ops.squeeze(labels, axis=-1)
        one_hot = ops.one_hot(labels, classes, dtype=log_p.dtype)
        target = one_hot * (1 - self.label_smoothing)
        target = target + self.label_smoothing / classes
        losses = -ops.sum(target * log_p, axis=-1)
        if self.gamma:
            p = ops.exp(ops.sum(one_hot * log_p, axis=-1))
            losses = losses * _power(1 - p, self.gamma)
        if self.class_weights is None:
            return losses, ops.ones_like(losses)
        weights = ops.convert_to_tensor(self.class_weights, dtype=log_p.dtype)
        return losses, ops.sum(one_hot * weights, axis=-1)

    def _soft(self, truth: Tensor, log_p: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean over classes of what `elements` gives for each."""
        even = ops.mean(log_p, axis=-1, keepdims=True)
        losses = -(1 - self.label_smoothing) * log_p - self.label_smoothing * even
        if self.gamma:
            losses = losses * _power(1 - ops.exp(log_p), self.gamma)
        if self.class_weights is not None:
            truth = truth * ops.convert_to_tensor(self.class_weights, truth.dtype)
        weights = ops.sum(truth, axis=-1)
        return safe_divide(ops.sum(truth * losses, axis=-1), weights), weights

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
            "gamma": self.gamma,
        }


@keras.saving.register_keras_serializable("p5_keras")
class SigmoidCrossEntropy(MeanLoss):
    """Cross-entropy of independent yes/no labels.

    Labels are 0, 1 or missing (NaN, or negative for integers), label by label;
    outputs are logits of the same shape `(batch, labels)`.

    Args:
        label_smoothing: Moves targets that far towards 0.5.
        positive_weights: Weight of the positive examples of each label, or `None`.
        gamma: Focusing exponent, as in `SoftmaxCrossEntropy`.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        positive_weights: list[float] | None = None,
        gamma: float = 0.0,
        name: str = "cross_entropy",
    ) -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing
        self.positive_weights = (
            list(positive_weights) if positive_weights is not None else None
        )
        self.gamma = gamma

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch, labels)` losses, and weights of the same shape."""
        truth = ops.cast(y_true, y_pred.dtype)
        truth = ops.reshape(truth, ops.shape(y_pred))
        target = truth * (1 - self.label_smoothing) + self.label_smoothing / 2
        # log(1 + exp(-|z|)) form: finite for any logit.
        losses = ops.relu(y_pred) - y_pred * target
        losses = losses + ops.log1p(ops.exp(-ops.abs(y_pred)))
        if self.gamma:
            wrong = ops.sigmoid(ops.where(truth > 0.5, -y_pred, y_pred))
            losses = losses * _power(wrong, self.gamma)
        if self.positive_weights is None:
            return losses, ops.ones_like(losses)
        weights = ops.convert_to_tensor(self.positive_weights, dtype=y_pred.dtype)
        return losses, ops.where(truth > 0.5, weights, ops.ones_like(losses))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "positive_weights": self.positive_weights,
            "gamma": self.gamma,
        }


def _power(doubt: Tensor, gamma: float) -> Tensor:
    """Raises to γ; at 0 the gradient would be infinite for γ below 1."""
    return ops.maximum(doubt, keras.config.epsilon()) ** gamma
