"""A dense trunk for vectors, and for small images."""

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
        """Builds the one stage "vector"; an input with more axes is flattened.

        Images, which have three axes, are first brought from 0..255 to 0..1.
        """
        inputs = x = keras.Input(input_shape)
        if len(input_shape) == 3:
            x = layers.Rescaling(1 / 255)(x)
        if len(input_shape) > 1:
            x = layers.Flatten()(x)
        for units in self.units:
            x = layers.Dense(units, activation="relu")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
        return {"vector": keras.Model(inputs, x)}
