"""Layers of sequences, in which a step of zeros is padding."""

from typing import Any

import keras
from keras import layers, ops

Tensor = Any


def not_padding(x: Tensor) -> Tensor:
    """Returns 1 for real steps and 0 for padding: `(batch, steps, 1)` float32.

    Args:
        x: Token numbers `(batch, steps)`, or vectors `(batch, steps, channels)`.
    """
    real = ops.not_equal(x, 0)
    real = real[..., None] if len(x.shape) == 2 else ops.any(real, -1, keepdims=True)
    return ops.cast(real, "float32")


def pooled_stage(shape: tuple[int, ...], width: int, dropout: float) -> keras.Model:
    """Builds the stage from a sequence to one vector, `(batch, width)`."""
    inputs = keras.Input(shape)
    x = SequencePool()(inputs)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(width, activation="relu")(x))


@keras.saving.register_keras_serializable("p5_keras")
class SequencePool(layers.Layer):
    """Mean and maximum over the steps that are no padding.

    From `(batch, steps, channels)` to `(batch, 2 * channels)`; 0 where all is padding.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Pools."""
        real = ops.cast(not_padding(inputs), inputs.dtype)
        count = ops.maximum(ops.sum(real, axis=1), 1)
        mean = ops.sum(inputs, axis=1) / count
        lowest = -1e4  # fits into half precision
        highest = ops.max(ops.where(real > 0, inputs, lowest), axis=1)
        highest = ops.where(highest > lowest, highest, 0.0)
        return ops.concatenate([mean, ops.cast(highest, mean.dtype)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `(batch, 2 * channels)`."""
        return input_shape[0], 2 * input_shape[-1]


@keras.saving.register_keras_serializable("p5_keras")
class TokenDropout(layers.Layer):
    """Makes some tokens unknown while training, so that a model knows what to do then.

    Args:
        rate: Share of the tokens.
        **kwargs: Arguments of `keras.layers.Layer`.

    Reference:
        Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text
        Classification, ACL 2015, section 3.1: word dropout.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed_generator = rate, keras.random.SeedGenerator()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Drops; 0 is padding and stays."""
        if not training:
            return inputs
        drawn = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)
        dropped = ops.logical_and(drawn < self.rate, inputs > 1)
        return ops.where(dropped, ops.ones_like(inputs), inputs)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Any:
        """Returns the input's shape and dtype, which are whole numbers."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("p5_keras")
class Places(layers.Layer):
    """Adds a learned vector for each place in a sequence `(batch, steps, channels)`."""

    def build(self, input_shape: Any) -> None:
        """Makes the vectors."""
        self.places = self.add_weight(
            shape=input_shape[1:],
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="places",
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Adds."""
        return inputs + self.places

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape
