"""The layer that mixes parallel columns."""

from typing import Any

import keras
from keras import ops

from p5_keras.task import Tensor


@keras.saving.register_keras_serializable("p5_keras")
class Stitch(keras.layers.Layer):
    """Mixes tensors of one shape: `y_i = Σ_j α_ij x_j`.

    The channels of each tensor may be cut into subspaces, which then mix each with
    every other. From T tensors `(batch, ..., channels)` to as many of that shape.

    Args:
        same: α_ii at the start; the rest of 1 is spread evenly over the others.
        subspaces: Number of parts that the channels are cut into.
        per_channel: Whether each channel has its own α.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        same: float = 0.9,
        subspaces: int = 1,
        per_channel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.same, self.subspaces, self.per_channel = same, subspaces, per_channel

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Makes α."""
        count, channels = len(input_shape) * self.subspaces, input_shape[0][-1]
        if channels is None or channels % self.subspaces:
            raise ValueError(
                "`subspaces` must divide the channels of every stage. "
                f"Received: subspaces={self.subspaces}; {channels} channels"
            )
        other = (1 - self.same) / max(count - 1, 1)
        alpha = other + (self.same - other) * ops.eye(count)
        if self.per_channel:
            alpha = ops.repeat(alpha[..., None], channels // self.subspaces, axis=-1)
        self._shape = tuple(alpha.shape)
        flat = ops.convert_to_numpy(ops.reshape(alpha, (-1,)))
        # Of one axis, so that neither λ nor γ pulls it to 0.
        self.stitch = self.add_weight(
            shape=flat.shape,
            initializer=lambda shape, dtype: ops.cast(flat, dtype),
            name="stitch",
        )
        self.built = True

    def call(self, inputs: list[Tensor]) -> list[Tensor]:
        """Mixes."""
        x = ops.stack(inputs, axis=-2)
        shape = [-1, *x.shape[1:]]
        width = shape[-1] // self.subspaces
        x = ops.reshape(x, [*shape[:-2], len(inputs) * self.subspaces, width])
        alpha = ops.reshape(self.stitch, self._shape)
        letters = "ijc" if self.per_channel else "ij"
        x = ops.einsum(f"...jc,{letters}->...ic", x, alpha)
        return ops.unstack(ops.reshape(x, shape), axis=-2)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shapes of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "same": self.same,
            "subspaces": self.subspaces,
            "per_channel": self.per_channel,
        }
