"""Tagging: one class for each step of a sequence."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from p5_keras import losses
from p5_keras.metrics import ElementMean
from p5_keras.metrics.spans import SpanF1
from p5_keras.task import Features, Task, Tensor
from p5_keras.tasks.class_labels import allowed_classes
from p5_keras.tasks.sequence_head import joined, sequences
from p5_keras.tasks.vector_head import class_list
from p5_keras.tasks.viterbi import are_iob, best_path, rules


@keras.saving.register_keras_serializable("p5_keras")
class Tagging(Task):
    """A tag for each token of a text, such as IOB slots or parts of speech.

    Label: integers `(batch, length)`, negative where a token has none, as at padding.
    Raw output: logits `(batch, length, tags)`. Decoded: `label` int32 and
    `probability` of it, `(batch, length)`.

    IOB tags are decoded as the most probable sequence in which "I-x" stands after "B-x"
    and "I-x" only. The metric "f1" is that of whole spans; tags without "B-" and "I-"
    are spans of one token, and "O" is none.

    Args:
        name: Name of the task.
        num_classes: Number of tags.
        class_names: Their names, in order; enough by themselves.
        hidden: Units of a dense layer at each step, 0 for none.
        dropout: Rate of dropout before the output layer.
        label_smoothing: Share of the target spread evenly over all tags.
        **kwargs: Arguments of `Task`.
    """

    kind = "tagging"
    compares = "classes"
    better = {"f1": "higher", "accuracy": "higher"}
    primary = "f1"
    score_name = "share of tokens that are right"
    smallest_difference = {"f1": 0.01, "accuracy": 0.02}

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        hidden: int = 0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        self.hidden, self.dropout = hidden, dropout
        self.label_smoothing = label_smoothing

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns "sequence"."""
        return ["sequence"]

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, length)` int32 tags, −1 where a token has none."""
        return sequences(self, label)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where tags are too high."""
        return tf.convert_to_tensor(label) >= len(self.class_names)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return allowed_classes(len(self.class_names), "where a token has none")

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds dense layers over the last axis: `(batch, length, tags)`."""
        x = joined(self, features)
        if self.hidden:
            x = layers.Dense(self.hidden, activation="relu")(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return layers.Dense(len(self.class_names), dtype="float32", name="output")(x)

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy of each token that has a tag."""
        return losses.SoftmaxCrossEntropy(self.label_smoothing)

    def default_metrics(self) -> list[keras.Metric]:
        """Returns the accuracy over tokens that have a tag, each by itself."""

        def right(y_true: Tensor, y_pred: Tensor) -> Tensor:
            found = ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype)
            return ops.equal(found, y_true)

        return [ElementMean(right, "accuracy")]

    def evaluator(self) -> Any:
        """Returns the F1 of spans over the whole set."""
        return _Spans(self.class_names)

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `label` and `probability`, `(batch, length)`."""
        log_p = ops.log_softmax(output, axis=-1)
        if are_iob(self.class_names):
            label = best_path(log_p, *rules(self.class_names))
        else:
            label = tf.argmax(output, axis=-1, output_type="int32")
        chosen = ops.one_hot(label, len(self.class_names), dtype=log_p.dtype)
        return {"label": label, "probability": ops.exp(ops.sum(chosen * log_p, -1))}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the tags with probability 1."""
        label = ops.cast(label, "int32")
        return {"label": label, "probability": ops.cast(label >= 0, "float32")}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns log frequencies of the tags, the same at each step."""
        known = label[weight > 0]
        counts = np.bincount(known[known >= 0], minlength=len(self.class_names))
        log_p = np.log((counts + 1e-3) / (counts + 1e-3).sum()).astype("float32")
        return np.tile(log_p, (label.shape[1], 1))

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the share of an example's tagged tokens that are right."""
        known = label >= 0
        right = (fields["label"] == label) & known
        return right.sum(axis=1) / np.maximum(known.sum(axis=1), 1)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the tags that are not "O", by the number of their token from 1."""
        found = [
            f"{place}: {self.class_names[tag]}"
            for place, tag in enumerate(fields["label"], 1)
            if tag >= 0 and self.class_names[tag] != "O"
        ]
        return ", ".join(found) or "O throughout"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "class_names": self.class_names,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
        }


class _Spans:
    """Feeds batches to `SpanF1`."""

    def __init__(self, class_names: list[str]) -> None:
        self.f1 = SpanF1(class_names)

    def update(
        self, label: np.ndarray, weight: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Adds the labelled examples of a batch."""
        for i in np.flatnonzero(weight > 0):
            self.f1.update(label[i].tolist(), fields["label"][i].tolist())

    def result(self) -> dict[str, float | None]:
        """Returns "f1"."""
        return {"f1": self.f1.result()["f1"]}
