"""The one reduction of the package: the mean over what is labelled."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf
from keras import ops

Tensor = Any


def replica_sum(x: Tensor) -> Tensor:
    """Sums a tensor over the replicas; on one device it returns it as it is."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_reduce(tf.distribute.ReduceOp.SUM, x)


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divides, and gives 0 where the denominator is 0 (no label: no loss)."""
    some = denominator > 0
    quotient = numerator / ops.where(some, denominator, ops.ones_like(denominator))
    return ops.where(some, quotient, ops.zeros_like(quotient))


class MeanLoss(keras.losses.Loss):
    """Mean of a loss over the labelled elements of the global batch.

    Keras divides by the batch size, labelled or not, and under several replicas every
    replica divides by its own. Here a loss is two sums, a numerator and a denominator;
    the local numerator is divided by the denominator *of all replicas*, so the sum
    that the optimizer takes over replicas is the true mean. Missing labels, ignored
    pixels, class weights and a detector's positives are all weights in both sums.

    An element is missing where its sample weight is 0, where its label is NaN, or,
    for integer labels, where it is negative.

    Subclasses implement `elements()`. Any Keras loss becomes one through
    `losses.get()`.

    Args:
        name: Name of the loss.
    """

    #: Whether an element whose label is missing in part is missing as a whole.
    needs_all: ClassVar[bool] = True

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, reduction="sum", **kwargs)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss of each element and the weight it has in the mean.

        Args:
            y_true: Labels with missing ones replaced by 0.
            y_pred: Raw head output, float32.

        Returns:
            Two tensors `(batch, ...)` that broadcast against each other.
        """
        raise NotImplementedError

    def terms(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes this replica's numerator and denominator.

        Args:
            y_true: Labels `(batch, ...)`, in the form that the task defines.
            y_pred: Raw head output `(batch, ...)`.
            sample_weight: `(batch,)` or a shape that broadcasts to the elements';
                0 where the label is missing.

        Returns:
            Two float32 scalars.
        """
        y_pred = ops.cast(y_pred, "float32")
        y_true, present = present_labels(ops.convert_to_tensor(y_true), sample_weight)
        losses, weights = self.elements(y_true, y_pred)
        fold = ops.min if self.needs_all else ops.max
        while len(present.shape) > len(losses.shape):
            present = fold(present, axis=-1)
        weights = weights * align(present, losses)
        if sample_weight is not None:
            weights = weights * align(ops.cast(sample_weight, "float32"), losses)
        weights = ops.broadcast_to(weights, ops.shape(losses))
        # A missing element may hold any number, infinity too: drop it, not 0 times it.
        losses = ops.where(weights > 0, losses, ops.zeros_like(losses))
        return ops.sum(losses * weights), ops.sum(weights)

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Returns the local part of the mean over the global batch, a scalar."""
        numerator, denominator = self.terms(y_true, y_pred, sample_weight)
        return safe_divide(numerator, replica_sum(denominator))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"name": self.name}


@keras.saving.register_keras_serializable("p5_keras")
class Wrapped(MeanLoss):
    """A Keras loss under the package's reduction.

    Args:
        loss: A `keras.losses.Loss` whose `call()` gives one value per element, or a
            function `(y_true, y_pred) -> values`.
        view: From the loss, a label and a raw output to what the loss is to compare.
            They are compared as they are if left out.
    """

    def __init__(
        self, loss: Any, name: str | None = None, view: Callable[..., Any] | None = None
    ) -> None:
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        if getattr(loss, "reduction", None) in ("sum", "none", None) and isinstance(
            loss, keras.losses.Loss
        ):
            raise ValueError(
                "A task's `loss` must have a mean for its reduction: the package "
                "takes the mean over the labelled examples of all replicas. "
                f"Received: {loss.name} with reduction={loss.reduction!r}"
            )
        own = str(getattr(loss, "name", None) or getattr(loss, "__name__", ""))
        super().__init__(name=name or own.strip("<>") or None)
        self.loss, self._view = loss, view

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the wrapped loss' values, each with weight 1."""
        call = self.loss.call if hasattr(self.loss, "call") else self.loss
        if self._view is not None:
            y_true, y_pred = self._view(self.loss, y_true, y_pred)
        else:
            y_true = ops.cast(y_true, y_pred.dtype)
        losses = call(y_true, y_pred)
        if len(losses.shape) == 0:
            raise ValueError(
                "A task's `loss` must give a value for each example, so that missing "
                f"labels can be left out. Received: {self.name}, which gives one in all"
            )
        return losses, ops.ones_like(losses)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        loss = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": loss}


def get(loss: Any) -> MeanLoss:
    """Makes a `MeanLoss` of whatever Keras would take for a loss."""
    if isinstance(loss, MeanLoss):
        return loss
    return Wrapped(keras.losses.get(loss))


def present_labels(
    y_true: Tensor, sample_weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Replaces missing labels by 0 and says where labels are present."""
    if keras.backend.is_float_dtype(y_true.dtype):
        y_true = ops.cast(y_true, "float32")
        present = ops.logical_not(ops.isnan(y_true))
    else:
        present = y_true >= 0
    if sample_weight is not None:
        # An infinite label of weight 0 would make the gradient NaN, not the loss.
        labelled = align(ops.cast(sample_weight, "float32"), y_true) > 0
        present = ops.logical_and(present, labelled)
    return (
        ops.where(present, y_true, ops.zeros_like(y_true)),
        ops.cast(present, "float32"),
    )


def align(weights: Tensor, losses: Tensor) -> Tensor:
    """Adds trailing axes to weights until they broadcast against the losses."""
    while len(weights.shape) > len(losses.shape):
        weights = ops.squeeze(weights, axis=-1)
    while len(weights.shape) < len(losses.shape):
        weights = ops.expand_dims(weights, axis=-1)
    return weights
