"""Sound as its samples."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from p5_keras.inputs.base import Input, Tensor, missing


@keras.saving.register_keras_serializable("p5_keras")
class Waveform(Input):
    """Samples of one channel, `(batch, rate * seconds)` float32 from −1 to 1.

    A shorter sound is followed by silence, a longer one is cut off.

    Args:
        column: The column that holds the samples: float32 from −1 to 1, or int16.
        rate: Samples a second.
        seconds: Length of the input.
    """

    def __init__(
        self, column: str = "waveform", rate: int = 16_000, seconds: float = 1.0
    ) -> None:
        if rate < 1 or rate * seconds < 1:
            raise ValueError(
                "`rate` must be at least 1 and `seconds` at least one sample. "
                f"Received: rate={rate}, seconds={seconds}"
            )
        self.column, self.rate, self.seconds = column, rate, seconds

    @property
    def shape(self) -> tuple[int, ...]:
        """`(samples,)`."""
        return (round(self.rate * self.seconds),)

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Returns `(batch, any)` float32."""
        return {self.column: tf.TensorSpec([None, None], tf.float32, self.column)}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Returns from −2 to 2: beyond are 16-bit numbers that were not scaled."""
        return {self.column: (-2.0, 2.0)}

    def encode(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Returns `(batch, samples)` float32."""
        if self.column not in raw:
            raise missing(self.column, raw)
        x = raw[self.column]
        scale = 1 / 32768 if x.dtype == tf.int16 else 1.0
        (samples,) = self.shape
        x = tf.cast(x[:, :samples], tf.float32) * scale
        x = tf.pad(x, [[0, 0], [0, samples - tf.shape(x)[1]]])
        return tf.ensure_shape(x, [None, samples])

    def about(self) -> str:
        """Returns the column, the length and the rate."""
        return f"{self.column!r}, {self.seconds:g} s at {self.rate} samples a second"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"column": self.column, "rate": self.rate, "seconds": self.seconds}
