"""Losses of sequences whose length is part of the label."""

import keras
from keras import ops

from p5_keras.losses.base import MeanLoss, Tensor


class _SequenceLoss(MeanLoss):
    """Base of losses whose labels `(batch, length)` are negative behind the end."""

    def terms(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes numerator and denominator; a label without a symbol is missing."""
        y_true = ops.cast(y_true, "int32")
        some = ops.cast(ops.any(y_true >= 0, axis=-1), "float32")
        if sample_weight is not None:
            given = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
            some = some * given
        # The base makes missing elements 0; a label's length is to survive that.
        return super().terms(ops.maximum(y_true, -1) + 1, y_pred, some)


@keras.saving.register_keras_serializable("p5_keras")
class CTC(_SequenceLoss):
    """Connectionist temporal classification: the label, at whatever steps.

    Labels are ids `(batch, length)`, negative behind the end; outputs logits `(batch,
    steps, symbols + 1)`, the last of them the blank. The loss is the negative
    log-likelihood of the labels, over all ways to place them, divided by the number of
    their symbols; it is large and finite where there is no way, since a label needs a
    step for each symbol and one between two that are equal.

    Reference:
        Graves et al., Connectionist Temporal Classification, ICML 2006.
    """

    def __init__(self, name: str = "ctc") -> None:
        super().__init__(name=name)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch,)` losses a symbol, and how many symbols there are."""
        length = ops.sum(ops.cast(y_true > 0, "int32"), axis=-1)
        steps = ops.full_like(length, y_pred.shape[1])
        losses = ops.ctc_loss(
            ops.maximum(y_true - 1, 0), y_pred, length, steps, y_pred.shape[2] - 1
        )
        length = ops.cast(length, losses.dtype)
        return losses / ops.maximum(length, 1), length


@keras.saving.register_keras_serializable("p5_keras")
class SequenceCrossEntropy(_SequenceLoss):
    """Cross-entropy of each symbol of a label, and of the stop behind it.

    Labels are ids `(batch, length)`, negative behind the end; outputs logits `(batch,
    length, symbols + 1)`, the last of them the stop. What comes behind the stop does
    not count. A label that fills all places has none.

    Args:
        label_smoothing: Share of the target spread evenly over all classes.
    """

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "cross_entropy"
    ) -> None:
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch, length)` losses, and weights of the same shape."""
        classes, symbol = y_pred.shape[-1], y_true > 0
        target = ops.where(symbol, y_true - 1, classes - 1)
        target = ops.one_hot(target, classes, dtype=y_pred.dtype)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / classes
        losses = -ops.sum(target * ops.log_softmax(y_pred, axis=-1), axis=-1)
        symbol = ops.cast(symbol, losses.dtype)
        first = ops.ones_like(symbol[:, :1])
        # A symbol counts, and what stands right behind one.
        return losses, ops.concatenate([first, symbol[:, :-1]], axis=1)

    def get_config(self) -> dict[str, float | str]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
