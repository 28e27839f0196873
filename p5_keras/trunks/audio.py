"""A convolutional trunk for sound."""

from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import layers, ops

from p5_keras.inputs import Input, Waveform
from p5_keras.task import Tensor
from p5_keras.trunk import Trunk, only_input, with_arguments
from p5_keras.trunks.sequence import pooled_stage

#: Seconds of a window of the spectrogram, and between two.
WINDOW, STRIDE = 0.025, 0.010


class AudioConv(Trunk):
    """Convolutions over the log-mel spectrogram, made of raw samples in the graph.

    Features: "spectrogram" `(batch, frames, bands, 1)`, a frame each 10 ms; "sequence"
    `(batch, frames / 4, channels)`; "pooled" `(batch, width)`.

    Args:
        width: Channels of the first convolutions; there are `2^k * width` after the
            k-th of `depth` blocks.
        depth: Number of blocks of two convolutions, which halve the bands; the first
            two halve the frames too.
        bands: Mel bands.
        mask_frames: Most frames that are blanked at once while training, 0 for none.
        mask_bands: The same of bands. Both are blanked twice.
        dropout: Rate of dropout before the last layer.
        rate: Samples a second; the model's `Waveform` says it.
    """

    def __init__(
        self,
        width: int = 32,
        depth: int = 3,
        bands: int = 40,
        mask_frames: int = 10,
        mask_bands: int = 6,
        dropout: float = 0.3,
        rate: int | None = None,
    ) -> None:
        if min(width, depth) < 1 or bands < 2**depth:
            raise ValueError(
                "`width` and `depth` must be at least 1 and `bands` at least 2^depth. "
                f"Received: width={width}, depth={depth}, bands={bands}"
            )
        self.width, self.depth, self.bands = width, depth, bands
        self.mask_frames, self.mask_bands = mask_frames, mask_bands
        self.dropout, self.rate = dropout, rate

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Takes the rate of the samples."""
        rate = only_input("AudioConv", inputs, Waveform).rate
        found: Self = with_arguments(self, rate=rate)
        return found

    def stages(self, input_shape: Any) -> dict[str, keras.Model]:
        """Builds the stages "spectrogram", "sequence" and "pooled"."""
        if self.rate is None:
            raise ValueError(
                "AudioConv must know the rate of the samples. Received: rate=None; "
                "build it with a `Waveform`, or give the number"
            )
        spectrogram = self._spectrogram(input_shape, self.rate)
        inputs = x = keras.Input(spectrogram.output.shape[1:])
        for k in range(self.depth):
            strides = (2 if k < 2 else 1, 2)
            x = _conv(x, self.width * 2**k, strides)
            x = _conv(x, self.width * 2**k, 1)
        # The bands that are left, side by side.
        x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
        x = layers.Dense(self.width * 2**self.depth, activation="relu")(x)
        sequence = keras.Model(inputs, x)
        pooled = pooled_stage(x.shape[1:], self.width * 2**self.depth, self.dropout)
        return {"spectrogram": spectrogram, "sequence": sequence, "pooled": pooled}

    def _spectrogram(self, input_shape: tuple[int, ...], rate: int) -> keras.Model:
        inputs = keras.Input(input_shape)
        window = round(WINDOW * rate)
        x = layers.MelSpectrogram(
            fft_length=2 ** (window - 1).bit_length(),
            sequence_stride=round(STRIDE * rate),
            sequence_length=window,
            sampling_rate=rate,
            num_mel_bins=self.bands,
            min_freq=20.0,
            max_freq=rate / 2,
            dtype="float32",
        )(inputs)
        x = layers.Permute((2, 1))(x)
        # From decibels, of which most lie between -80 and 20.
        x = layers.Rescaling(1 / 25, offset=1.0)(x)
        if self.mask_frames or self.mask_bands:
            x = SpecAugment(self.mask_frames, self.mask_bands)(x)
        return keras.Model(inputs, layers.Reshape((*x.shape[1:], 1))(x))


def _conv(x: Tensor, width: int, strides: Any) -> Tensor:
    x = layers.Conv2D(width, 3, strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    return layers.ReLU()(x)


@keras.saving.register_keras_serializable("p5_keras")
class SpecAugment(layers.Layer):
    """Blanks two runs of frames and two of bands while training.

    Each run has a length from 0 up to the largest, and a place, of its own in every
    example. Of the paper this leaves out the warping of time.

    Args:
        frames: Most frames in a run.
        bands: Most bands in a run.
        **kwargs: Arguments of `keras.layers.Layer`.

    Reference:
        Park et al., SpecAugment, Interspeech 2019.
    """

    def __init__(self, frames: int, bands: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames, self.bands = frames, bands
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Blanks `(batch, frames, bands)`."""
        if not training:
            return inputs
        for axis, most in ((1, self.frames), (2, self.bands)):
            for _ in range(2 if most else 0):
                size = inputs.shape[axis]
                shape = (ops.shape(inputs)[0], 1, 1)
                draw = keras.random.uniform((2, *shape), seed=self.seed_generator)
                length = ops.floor(draw[0] * (most + 1))
                start = ops.floor(draw[1] * (size - length + 1))
                place = ops.arange(size, dtype="float32")
                place = place[None, :, None] if axis == 1 else place[None, None]
                own = ops.logical_and(place >= start, place < start + length)
                inputs = ops.where(own, ops.zeros_like(inputs), inputs)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"frames": self.frames, "bands": self.bands}
        return {**super().get_config(), **own}
