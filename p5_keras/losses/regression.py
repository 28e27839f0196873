"""Regression losses: scaled to unit variance, or scale-invariant."""

from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import MeanLoss, Tensor, safe_divide

_SHAPES = {
    "mse": lambda e: e * e,
    "mae": ops.abs,
    "huber": lambda e: ops.where(ops.abs(e) < 1, 0.5 * e * e, ops.abs(e) - 0.5),
}


@keras.saving.register_keras_serializable("p5_keras")
class ScaledRegression(MeanLoss):
    """Error of standardised targets: `shape((y - mean) / std - output)`.

    Args:
        shape: "mse", "mae" or "huber" (quadratic below one standard deviation).
        mean: Mean of each target in the user's units.
        std: Standard deviation of each target in the user's units.
    """

    def __init__(
        self,
        shape: str = "mse",
        mean: list[float] | float = 0.0,
        std: list[float] | float = 1.0,
        name: str = "regression",
    ) -> None:
        super().__init__(name=name)
        if shape not in _SHAPES:
            raise ValueError(
                f"`shape` must be one of {list(_SHAPES)}. Received: shape={shape!r}"
            )
        self.shape, self.mean, self.std = shape, mean, std

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the losses of all values, each with weight 1."""
        y_true = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
        mean = ops.convert_to_tensor(self.mean, dtype=y_pred.dtype)
        std = ops.convert_to_tensor(self.std, dtype=y_pred.dtype)
        losses = _SHAPES[self.shape]((y_true - mean) / std - y_pred)
        return losses, ops.ones_like(losses)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "shape": self.shape,
            "mean": self.mean,
            "std": self.std,
        }


class _LogError(MeanLoss):
    """Base of losses on d = log y − offset − output.

    Pixels without a value are NaN, or not above 0.

    Args:
        offset: Added to every output; the mean logarithm of the labels.
    """

    def __init__(self, offset: float, name: str) -> None:
        super().__init__(name=name)
        self.offset = offset

    def difference(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns d, 0 at pixels without a value, and which pixels have one."""
        y_true = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
        seen = ops.cast(y_true > 0, y_pred.dtype)
        log = ops.log(ops.where(y_true > 0, y_true, ops.ones_like(y_true)))
        return seen * (log - self.offset - y_pred), seen

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable("p5_keras")
class LogError(_LogError):
    """Absolute log error of positive maps such as depth.

    Args:
        offset: Added to every output; the mean logarithm of the labels.
    """

    def __init__(self, offset: float = 0.0, name: str = "log_error") -> None:
        super().__init__(offset, name)

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns one loss a pixel, weighted by whether it has a value."""
        difference, seen = self.difference(y_true, y_pred)
        return ops.abs(difference), seen


@keras.saving.register_keras_serializable("p5_keras")
class SILog(_LogError):
    """Scale-invariant log error of positive maps, one value an image.

    `mean(d²) − balance · mean(d)²` over the pixels of an image that have a value.

    Args:
        balance: 1 ignores scale altogether, 0 is the plain squared log error.
        offset: Added to every output; the mean logarithm of the labels.

    Reference:
        Eigen et al., Depth Map Prediction from a Single Image, NeurIPS 2014.
    """

    needs_all = False

    def __init__(
        self, balance: float = 0.5, offset: float = 0.0, name: str = "silog"
    ) -> None:
        super().__init__(offset, name)
        self.balance = balance

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns one loss an image, weighted by whether a pixel has a value."""
        axes = tuple(range(1, len(y_pred.shape)))
        difference, seen = self.difference(y_true, y_pred)
        count = ops.sum(seen, axis=axes)
        square = safe_divide(ops.sum(difference * difference, axis=axes), count)
        mean = safe_divide(ops.sum(difference, axis=axes), count)
        return square - self.balance * mean * mean, ops.cast(count > 0, y_pred.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "balance": self.balance}
