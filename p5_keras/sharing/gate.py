"""The layers of mixtures of experts: gates, and sums that gates weigh."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from p5_keras.task import Tensor


@keras.saving.register_keras_serializable("p5_keras")
class Gate(layers.Layer):
    """Softmax weights of experts: `(batch, size)` to `(batch, experts)`.

    While training it keeps the mean weight of each expert as a metric, named
    `gate/<label>/<expert>`.

    Args:
        label: Whose gate it is, in the logs.
        experts: Names of the experts.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, label: str, experts: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label, self.experts = label, list(experts)
        self.dense = layers.Dense(
            len(self.experts), activation="softmax", use_bias=False, name="dense"
        )
        self.means = [
            keras.metrics.Mean(name=f"gate/{label}/{name}") for name in self.experts
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the kernel."""
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Computes the weights, and counts them."""
        weights = self.dense(inputs)
        if training:
            for i, mean in enumerate(self.means):
                mean.update_state(weights[:, i])
        return weights

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `(batch, experts)`."""
        return (input_shape[0], len(self.experts))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"label": self.label, "experts": self.experts}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("p5_keras")
class Mixture(layers.Layer):
    """The weighted sum of tensors: `[weights (batch, n), x_1, ..., x_n]` to `x`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Computes `Σ_i weights[:, i] x_i`."""
        weights, *experts = inputs
        shape = (-1, *[1] * (len(experts[0].shape) - 1))
        return sum(ops.reshape(weights[:, i], shape) * x for i, x in enumerate(experts))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shape of an expert's output."""
        return input_shape[1]
