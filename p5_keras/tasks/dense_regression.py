"""Dense regression: a value for every pixel, such as depth."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.metrics import ElementMean
from p5_keras.task import Tensor
from p5_keras.tasks.map_head import MapTask


@keras.saving.register_keras_serializable("p5_keras")
class DenseRegression(MapTask):
    """A positive value for every pixel, such as depth in metres.

    Label: `(batch, height, width)`, or with a last axis of 1; NaN, or 0 and below,
    where a pixel has none. Raw output: the centred logarithm of the value
    `(batch, height, width, 1)`, which a loss of Keras compares with that of the label.
    Decoded: `value` `(batch, height, width)` in the user's units.

    What is shown twice as large is half as far away, so `changes_under` is "zoom",
    "stretch" and "shear" if left out; give `[]` for values other than distances.

    Args:
        name: Name of the task.
        error: "silog" (scale-invariant log error) or "l1" (absolute log error).
        balance: How far "silog" ignores scale; see `p5.losses.SILog`.
        mean: Mean log of the training labels; `p5.data.adapt` fills it.
        unit: Name of the unit, for captions.
        **kwargs: Arguments of `MapTask` and `Task`.

    Reference:
        Eigen et al., Depth Map Prediction from a Single Image, NeurIPS 2014: the
        losses and the metrics AbsRel, RMSE and delta < 1.25.
    """

    kind = "dense regression"
    compares = "values"
    better = {"abs_rel": "lower", "rmse": "lower", "delta1": "higher"}
    primary = "abs_rel"
    score_name = "negative AbsRel"
    smallest_difference = {"abs_rel": 0.02, "rmse": 0.02, "delta1": 0.02}
    follows = "map"
    void = 0
    changing = ("zoom", "stretch", "shear")
    refuses = {"mixup": "a pixel of two images has two values"}

    def __init__(
        self,
        name: str,
        *,
        error: str = "silog",
        balance: float = 0.5,
        mean: float | None = None,
        unit: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if error not in ("silog", "l1"):
            raise ValueError(
                f"`error` must be 'silog' or 'l1'. Received: error={error!r}"
            )
        self.error, self.balance, self.mean, self.unit = error, balance, mean, unit

    @property
    def channels(self) -> int:
        """One value a pixel."""
        return 1

    def adapt(self, labels: np.ndarray, weights: np.ndarray) -> None:
        """Learns the mean logarithm, so that an untrained head is near it."""
        if self.mean is None:
            seen = labels[weights > 0]
            self.mean = float(np.log(seen[seen > 0]).mean())

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, height, width)` float32, NaN where a pixel has no value."""
        label = tf.cast(self.one_map(self.numbers(label)), tf.float32)
        label = tf.where(label > 0, label, np.float32(np.nan))
        known = tf.reduce_any(~tf.math.is_nan(label), axis=[1, 2])
        return label, tf.cast(known, tf.float32)

    def paste(self, label: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        """Returns each pixel's value in the image that it is of."""
        return tf.where(own, label, other)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where a value is infinite."""
        return tf.math.is_inf(label)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return "finite and within float32; NaN, 0 or negative where a pixel has none"

    def standardized(self, label: Tensor) -> Tensor:
        """Returns centred logarithms `(batch, height, width, 1)`, 0 where missing."""
        seen = label > 0
        log = ops.log(ops.where(seen, label, ops.ones_like(label))) - self._mean()
        return ops.expand_dims(ops.where(seen, log, ops.zeros_like(log)), axis=-1)

    def default_loss(self) -> losses.MeanLoss:
        """Returns the loss that `error` names."""
        if self.error == "silog":
            return losses.SILog(self.balance, offset=self._mean())
        return losses.LogError(offset=self._mean())

    def default_metrics(self) -> list[keras.Metric]:
        """Returns AbsRel, RMSE and the share of pixels within a factor of 1.25."""

        def value(output: Tensor) -> Tensor:
            return self.decode(output)["value"]

        def ratio(y_true: Tensor, y_pred: Tensor) -> Tensor:
            # A missing label arrives as 0 and is dropped afterwards.
            true, found = ops.maximum(y_true, 1e-12), value(y_pred)
            return ops.maximum(true / found, found / true)

        return [
            ElementMean(
                lambda t, p: ops.abs(value(p) - t) / ops.maximum(t, 1e-12), "abs_rel"
            ),
            ElementMean(lambda t, p: (value(p) - t) ** 2, "rmse", root=True),
            ElementMean(lambda t, p: ratio(t, p) < 1.25, "delta1"),
        ]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `value` `(batch, height, width)` in the user's units."""
        return {"value": ops.exp(ops.squeeze(output, axis=-1) + self._mean())}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the label."""
        return {"value": label}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the mean log value at every pixel."""
        logs = np.log(label[weight > 0].astype("float64"))
        count = np.isfinite(logs).sum(axis=0)
        total = np.where(np.isfinite(logs), logs, 0).sum(axis=0)
        mean = np.where(count > 0, total / np.maximum(count, 1), self._mean())
        return (mean - self._mean())[..., None].astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns minus each image's mean relative error."""
        error = np.abs(fields["value"] - label) / label
        seen = np.isfinite(error)
        total = np.where(seen, error, 0).sum(axis=(1, 2))
        return -total / np.maximum(seen.sum(axis=(1, 2)), 1)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Draws the map in place of the picture."""
        value = fields["value"]
        axes.imshow(value, cmap="viridis")
        low, high = float(np.nanmin(value)), float(np.nanmax(value))
        return f"{low:.3g}-{high:.3g} {self.unit}".strip()

    def _mean(self) -> float:
        if self.mean is None:
            raise ValueError(
                f"Task {self.name!r} centres its targets and has not seen any: call "
                "`p5_keras.data.adapt(tasks, dataset)`, or give `mean`."
            )
        return self.mean

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "error": self.error,
            "balance": self.balance,
            "mean": self.mean,
            "unit": self.unit,
        }
