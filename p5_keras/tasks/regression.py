"""Regression: one value or a vector."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.metrics import ElementMean
from p5_keras.task import Tensor
from p5_keras.tasks.vector_head import VectorTask


@keras.saving.register_keras_serializable("p5_keras")
class Regression(VectorTask):
    """One value, or a vector of values, for each example.

    Label: `(batch,)` or `(batch, size)` in the user's units, NaN where missing; no
    number is taken for missing. Raw output: standardised values `(batch, size)`, which
    a loss of Keras compares with standardised labels. Decoded: `value` `(batch, size)`
    in the user's units; metrics are in these units too.

    Args:
        name: Name of the task.
        size: Number of values.
        error: "mse", "mae" or "huber", on standardised values.
        mean: Mean of each value over the training labels; `p5.data.adapt` fills it.
        std: Standard deviation of each value; `p5.data.adapt` fills it.
        unit: Name of the unit, for captions.
        **kwargs: Arguments of `VectorTask` and `Task`.
    """

    kind = "regression"
    compares = "values"
    better = {"mae": "lower", "rmse": "lower"}
    primary = "mae"
    score_name = "negative absolute error"
    smallest_difference = {"mae": 0.02, "rmse": 0.02}
    refuses = {"cutmix": "a value of an image is no mean over its parts"}

    def __init__(
        self,
        name: str,
        *,
        size: int = 1,
        error: str = "mse",
        mean: list[float] | None = None,
        std: list[float] | None = None,
        unit: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.size, self.error, self.unit = size, error, unit
        self.mean, self.std = mean, std

    @property
    def units(self) -> int:
        """Number of values."""
        return self.size

    def adapt(self, labels: np.ndarray, weights: np.ndarray) -> None:
        """Learns mean and standard deviation of each value."""
        if self.mean is None or self.std is None:
            known = np.ma.masked_invalid(labels[weights > 0].astype("float64"))
            self.mean = [float(m) for m in known.mean(axis=0).filled(0.0)]
            std = known.std(axis=0).filled(0.0)
            self.std = [float(s) if s > 0 else 1.0 for s in std]

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, size)` float32, NaN where missing."""
        label = tf.cast(self.shaped(self.numbers(label), self.size), tf.float32)
        known = tf.reduce_any(~tf.math.is_nan(label), axis=-1)
        return label, tf.cast(known, tf.float32)

    def mix(self, label: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Returns the mean by share, NaN where either value is missing."""
        return share[:, None] * label + (1 - share[:, None]) * other

    def invalid(self, label: Tensor) -> Tensor:
        """Says where a value is infinite."""
        return tf.math.is_inf(label)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return "finite and within float32, or NaN where missing"

    def standardized(self, label: Tensor) -> Tensor:
        """Returns `(label - mean) / std`, `(batch, size)`."""
        mean, std = self._scale()
        label = ops.cast(label, "float32") - ops.array(mean, "float32")
        return label / ops.array(std, "float32")

    def default_loss(self) -> losses.MeanLoss:
        """Returns the error of standardised values."""
        mean, std = self._scale()
        return losses.ScaledRegression(self.error, mean, std)

    def default_metrics(self) -> list[keras.Metric]:
        """Returns mean absolute and root mean squared error, in the user's units."""

        def error(y_true: Tensor, y_pred: Tensor) -> Tensor:
            return ops.abs(self.decode(y_pred)["value"] - ops.cast(y_true, "float32"))

        return [
            ElementMean(error, "mae"),
            ElementMean(lambda t, p: error(t, p) ** 2, "rmse", root=True),
        ]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `value` `(batch, size)` in the user's units."""
        mean, std = self._scale()
        return {
            "value": output * ops.array(std, "float32") + ops.array(mean, "float32")
        }

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the label."""
        return {"value": label}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the mean of the training labels, standardised."""
        mean, std = self._scale()
        known = np.ma.masked_invalid(label[weight > 0].astype("float64"))
        standardised = (known.mean(axis=0) - np.array(mean)) / np.array(std)
        return standardised.filled(0.0).astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns minus the mean absolute error over an example's known values."""
        error = np.abs(fields["value"] - label)
        known = ~np.isnan(error)
        total = np.where(known, error, 0).sum(axis=-1)
        return -total / np.maximum(known.sum(axis=-1), 1)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the values with their unit."""
        values = ", ".join(f"{v:.3g}" for v in np.ravel(fields["value"]))
        return f"{values} {self.unit}".strip()

    def _scale(self) -> tuple[list[float], list[float]]:
        if self.mean is None or self.std is None:
            raise ValueError(
                f"Task {self.name!r} standardises its targets and has not seen any: "
                "call `p5_keras.data.adapt(tasks, dataset)`, or give `mean` and `std`."
            )
        return self.mean, self.std

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "error": self.error,
            "mean": self.mean,
            "std": self.std,
            "unit": self.unit,
        }
