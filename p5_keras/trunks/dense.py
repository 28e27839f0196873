"""A dense trunk for vectors."""

import keras
from keras import layers

from p5_keras.trunk import Trunk


class Dense(Trunk):
    """Dense layers with ReLU; its one feature is "vector".

    Args:
        units: Units of each layer.
        dropout: Rate of dropout after each layer.
    """

    def __init__(
        self, units: list[int] | tuple[int, ...] = (128, 64), dropout: float = 0.0
    ) -> None:
        if not units or min(units) < 1:
            raise ValueError(
                f"`units` must be a list of sizes above 0. Received: units={units}"
            )
        self.units, self.dropout = list(units), dropout

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Builds the one stage "vector"; an input with more axes is flattened."""
        inputs = x = keras.Input(input_shape)
        if len(input_shape) > 1:
            x = layers.Flatten()(x)
        for units in self.units:
            x = layers.Dense(units, activation="relu")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
        return {"vector": keras.Model(inputs, x)}
