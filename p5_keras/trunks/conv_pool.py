"""Convolutions with max pooling between."""

import keras
from keras import layers

from p5_keras.trunk import Trunk, check_image_shape


class ConvPool(Trunk):
    """3x3 convolutions with ReLU, each followed by a max pooling that halves the map.

    Stage "Pk" is the k-th convolution with its pooling, of stride 2^k.

    Args:
        widths: Channels of each convolution.
    """

    def __init__(self, widths: list[int] | tuple[int, ...] = (32, 64)) -> None:
        if not widths or min(widths) < 1:
            raise ValueError(
                f"`widths` must be a list of sizes above 0. Received: widths={widths}"
            )
        self.widths = list(widths)

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Builds the stages, "Pk" of stride 2^k."""
        check_image_shape("ConvPool", input_shape)
        stages = {}
        for level, width in enumerate(self.widths, start=1):
            inputs = x = keras.Input(input_shape)
            if level == 1:
                x = layers.Rescaling(1 / 255)(x)
            x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D(padding="same")(x)
            stages[f"P{level}"] = keras.Model(inputs, x, name=f"trunk_P{level}")
            input_shape = tuple(x.shape[1:])
        return stages
