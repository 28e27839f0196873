"""Conversion after a click: two probabilities, learned from all that was shown."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from p5_keras import losses
from p5_keras.metrics import ElementMean, LabelAUC
from p5_keras.task import Features, Task, Tensor
from p5_keras.tasks.multi_label import Binary


@keras.saving.register_keras_serializable("p5_keras")
class Conversion(Binary):
    """Whether what was shown is clicked and then bought, by way of the click.

    p(click and buy) = p(click) p(buy | click), and the product is what is trained on,
    over all examples: p(buy | click) is never trained on the clicked ones alone, which
    are others than those it is asked about. p(click) is of the `Binary` task that it
    reads, whose head both losses train. An example that is hardly ever clicked still
    says little of p(buy | click): docs/inputs.md has what was measured.

    Label: 0, 1 or missing, `(batch,)`; 0, and not missing, where there was no click.
    Raw output: logits of the product and of p(buy | click), `(batch, 2)`. Decoded:
    `probability` and `label` (at 0.5) of the product, and `conversion`, p(buy |
    click), each `(batch, 1)`.

    Args:
        name: Name of the task.
        click: Name of the task of the click.
        **kwargs: Arguments of `Binary`.

    Reference:
        Ma et al., Entire Space Multi-Task Model, SIGIR 2018.
    """

    kind = "conversion after a click"
    compares = ""

    def __init__(self, name: str, *, click: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.click = click
        self.reads = (click,)

    def apart(self) -> Task:
        """Returns a `Binary`: nothing tells p(buy | click) without a click."""
        config = self.get_config()
        del config["click"]
        return Binary.from_config(config)

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the head of p(buy | click), and the product: `(batch, 2)`."""
        features = dict(features)
        click = features.pop(self.click)
        if click.shape[1:] != (1,):
            raise ValueError(
                "`click` must be a task with one logit, a `Binary`. Received: "
                f"click={self.click!r}, whose output is {tuple(click.shape)}"
            )
        buy = super().head(features, input_shape)
        both = AndLogit(dtype="float32", name="product")([click, buy])
        return layers.Concatenate(dtype="float32")([both, buy])

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy of the product."""
        return ConversionCrossEntropy(
            self.label_smoothing, self.positive_weights, self.gamma
        )

    def default_metrics(self) -> list[keras.Metric]:
        """Returns accuracy at 0.5 and area under the ROC curve of the product."""
        return [
            ElementMean(lambda t, p: ops.equal(t > 0.5, p[:, :1] > 0), "accuracy"),
            ConversionAUC(1),
        ]

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `probability`, `label` and `conversion`, each `(batch, 1)`."""
        found = super().decode(output[:, :1])
        return {**found, "conversion": ops.sigmoid(output[:, 1:])}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the labels; of `conversion` no label tells, but for that of 1."""
        found = super().truth(label)
        bought = np.where(found["label"] == 1, 1.0, np.nan)
        return {**found, "conversion": bought.astype("float32")}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the log-odds of the frequency, as if all had been clicked."""
        return np.repeat(super().prior(label, weight), 2)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "click": self.click}


@keras.saving.register_keras_serializable("p5_keras")
class AndLogit(layers.Layer):
    """The logit of p q, from the logits a of p and b of q.

    1 / (p q) = (1 + e^-a) (1 + e^-b), so the odds against are e^-a + e^-b + e^-(a+b):
    no probability is ever rounded to 0 or 1.
    """

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Takes both logits, of one shape."""
        a, b = inputs
        return -ops.logsumexp(-ops.stack([a, b, a + b], axis=-1), axis=-1)


@keras.saving.register_keras_serializable("p5_keras")
class ConversionCrossEntropy(losses.SigmoidCrossEntropy):
    """The cross-entropy of the first column of `Conversion`'s raw output."""

    def elements(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Returns `(batch, 1)` losses, and weights of the same shape."""
        return super().elements(y_true, y_pred[:, :1])


@keras.saving.register_keras_serializable("p5_keras")
class ConversionAUC(LabelAUC):
    """The area under the ROC curve by the first column of the raw output."""

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch: labels `(batch, 1)`, outputs `(batch, 2)`."""
        super().update_state(y_true, y_pred[:, :1], sample_weight)
