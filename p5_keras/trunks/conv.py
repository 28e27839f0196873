"""A plain convolutional trunk."""

import math

import keras
from keras import layers

from p5_keras.trunk import Trunk, check_image_shape

_NORMS = ("batch", "group", "none")


class Conv(Trunk):
    """3x3 convolutions, halving the map and widening it stage by stage.

    The stem is one convolution at full resolution and one at half; then each of the
    stages "P2" to "P5" halves the map and applies `depth` convolutions.

    Args:
        width: Channels of the stem; stage k has `width * 2^(k-1)`, at most
            `max_width`.
        depth: Convolutions a stage.
        norm: "batch" (synchronised over replicas), "group" or "none".
        levels: Index of the last stage: 5 ends in "P5".
        max_width: Upper bound of the channels.
        dropout: Rate of spatial dropout after the last two stages.
    """

    def __init__(
        self,
        width: int = 32,
        depth: int = 2,
        norm: str = "batch",
        levels: int = 5,
        max_width: int = 256,
        dropout: float = 0.0,
    ) -> None:
        if norm not in _NORMS:
            raise ValueError(f"`norm` must be one of {_NORMS}. Received: norm={norm!r}")
        if width < 1 or depth < 1 or not 2 <= levels <= 12:
            raise ValueError(
                "`width` and `depth` must be at least 1, `levels` from 2 to 12. "
                f"Received: width={width}, depth={depth}, levels={levels}"
            )
        self.width, self.depth, self.norm = width, depth, norm
        self.levels, self.max_width, self.dropout = levels, max_width, dropout

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Builds the stages "P2" to "P5", of strides 4 to 32."""
        check_image_shape("Conv", input_shape)
        stages = {}
        for level in range(2, self.levels + 1):
            inputs = x = keras.Input(input_shape)
            width = min(self.width * 2 ** (level - 1), self.max_width)
            if level == 2:
                x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
                x = self._conv(x, self.width // 2 or 1)
                x = self._conv(x, self.width, strides=2)
            for i in range(self.depth):
                x = self._conv(x, width, strides=2 if i == 0 else 1)
            if self.dropout and level >= self.levels - 1:
                x = layers.SpatialDropout2D(self.dropout)(x)
            stages[f"P{level}"] = keras.Model(inputs, x)
            input_shape = tuple(x.shape[1:])
        return stages

    def _conv(self, x, width: int, strides: int = 1):  # type: ignore[no-untyped-def]
        use_bias = self.norm == "none"
        x = layers.Conv2D(width, 3, strides, padding="same", use_bias=use_bias)(x)
        if self.norm == "batch":
            x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
        elif self.norm == "group":
            x = layers.GroupNormalization(groups=math.gcd(8, width))(x)
        return layers.ReLU()(x)
