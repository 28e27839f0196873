"""Semantic segmentation: a class for every pixel."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.losses import divergence
from p5_keras.metrics import ElementMean, MeanIoU
from p5_keras.task import Tensor
from p5_keras.tasks.class_labels import allowed_classes, class_ids, present
from p5_keras.tasks.classification import (
    balanced,
    check_class_weights,
    given_weights,
)
from p5_keras.tasks.map_head import MapTask
from p5_keras.tasks.vector_head import class_list


@keras.saving.register_keras_serializable("p5_keras")
class Segmentation(MapTask):
    """A class for every pixel.

    Label: class map `(batch, height, width)`, or with a last axis of 1; negative or
    `ignore_label` where a pixel has none. Raw output: logits `(batch, height, width,
    classes)`. Decoded: `classes` `(batch, height, width)` int32.

    Args:
        name: Name of the task.
        num_classes: Number of classes.
        class_names: Their names, in order; enough by themselves.
        ignore_label: Label of pixels that count in no loss and no metric.
        class_weights: One weight a class, "balanced", or `None`.
        gamma: Focusing exponent of the focal loss; 0 is plain cross-entropy.
        **kwargs: Arguments of `MapTask` and `Task`; `loss=p5.losses.Dice()` is the
            usual other choice of loss.
    """

    kind = "segmentation"
    compares = "classes"
    better = {"miou": "higher", "pixel_accuracy": "higher"}
    primary = "miou"
    score_name = "image mIoU"
    smallest_difference = {"miou": 0.02, "pixel_accuracy": 0.02}
    follows = "map"
    refuses = {"mixup": "a pixel of two images has two classes"}

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        ignore_label: int | None = 255,
        class_weights: list[float] | str | None = None,
        gamma: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        self.ignore_label = ignore_label
        self.void = -1 if ignore_label is None else ignore_label
        self.class_weights = check_class_weights(
            name, class_weights, len(self.class_names)
        )
        self.gamma = gamma

    @property
    def channels(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def adapt(self, labels: np.ndarray, weights: np.ndarray) -> None:
        """Turns "balanced" class weights into numbers."""
        if self.class_weights == "balanced":
            self.class_weights = balanced(labels[weights > 0], self.channels)

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, height, width)` int32, −1 where a pixel is ignored."""
        label = class_ids(self, self.one_map(self.numbers(label)))
        if self.ignore_label is not None:
            label = tf.where(label == self.ignore_label, -1, label)
        return label, present(label)

    def paste(self, label: Tensor, other: Tensor, share: Tensor, own: Tensor) -> Tensor:
        """Returns each pixel's class in the image that it is of."""
        return tf.where(own, label, other)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where classes are too high."""
        return tf.convert_to_tensor(label) >= self.channels

    @property
    def allowed(self) -> str:
        """What labels must be."""
        ignored = "" if self.ignore_label is None else f"or {self.ignore_label} "
        return allowed_classes(self.channels, f"{ignored}where a pixel has none")

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy, with class weights and focusing."""
        return losses.SoftmaxCrossEntropy(0.0, given_weights(self), self.gamma)

    def default_metrics(self) -> list[keras.Metric]:
        """Returns mean intersection over union and pixel accuracy."""

        def right(y_true: Tensor, y_pred: Tensor) -> Tensor:
            found = ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype)
            return ops.equal(found, y_true)

        return [MeanIoU(self.channels), ElementMean(right, "pixel_accuracy")]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `classes` `(batch, height, width)`."""
        return {"classes": tf.argmax(output, axis=-1, output_type="int32")}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the class map, −1 where it is unknown."""
        return {"classes": ops.cast(label, "int32")}

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Returns the divergence of the softened probabilities; see `softened`."""
        return divergence.softened(new, old)

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns log frequencies of the classes at every pixel."""
        label = label[weight > 0]
        hits = [(label == c).sum(axis=0) for c in range(self.channels)]
        counts = np.stack(hits, axis=-1) + 1e-3
        return np.log(counts / counts.sum(axis=-1, keepdims=True)).astype("float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns each image's mean intersection over union."""
        ious = []
        for c in range(self.channels):
            true, found = label == c, (fields["classes"] == c) & (label >= 0)
            both = (true & found).sum(axis=(1, 2))
            either = (true | found).sum(axis=(1, 2))
            ious.append(np.where(either > 0, both / np.maximum(either, 1), np.nan))
        seen = np.isfinite(ious)
        return np.where(seen, ious, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Draws every class but the first, in colour over the picture."""
        classes = fields["classes"]
        shown = np.ma.masked_where(classes <= 0, classes)
        axes.imshow(
            shown, cmap="tab10", vmin=0, vmax=9, alpha=0.5, interpolation="nearest"
        )
        return ""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "class_names": self.class_names,
            "ignore_label": self.ignore_label,
            "class_weights": self.class_weights,
            "gamma": self.gamma,
        }
