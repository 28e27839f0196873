"""What is hidden in a picture."""

from typing import Any

import keras
from keras import layers, ops

from p5_keras.losses.base import safe_divide
from p5_keras.pretraining.contrast import check_picture
from p5_keras.pretraining.views import Masks
from p5_keras.task import Features, Tensor
from p5_keras.tasks.unlabelled import Unlabelled


@keras.saving.register_keras_serializable("p5_keras")
class MaskedImage(Unlabelled):
    """Paints the hidden patches of a picture, from a map of a convolutional trunk.

    Hidden patches are grey; one 1x1 convolution gives the pixels of each cell of the
    map that the head reads. Raw output: `(batch, height, width, 2 channels + 1)`: the
    pixels painted, the true ones, both as values from 0 to 1, and what was hidden.
    Metric: `error`, the mean absolute error of hidden pixels.

    Args:
        name: Name of the task.
        patch: Side of a patch in pixels.
        ratio: Probability that a patch is hidden.
        **kwargs: Arguments of `Task`; with `features="P4"` the map is that one.

    Reference:
        Xie et al., SimMIM: A Simple Framework for Masked Image Modeling, CVPR 2022.
    """

    kind = "masked_image"

    def __init__(
        self, name: str, *, patch: int = 8, ratio: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        if patch < 1 or not 0 < ratio < 1:
            raise ValueError(
                "`patch` must be 1 or more and `ratio` between 0 and 1. "
                f"Received: patch={patch}, ratio={ratio}"
            )
        self.patch, self.ratio = patch, ratio

    def views(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns the pictures with grey patches, which they are, and the truth."""
        check_picture(self.name, inputs)
        hidden = Masks(self.patch, self.ratio)(inputs)
        shown = inputs * (1 - hidden) + 127.5 * hidden
        return {"input": shown, "hidden": hidden, "truth": inputs / 255.0}

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns the deepest map; what is hidden comes with any."""
        return [features[-3], "hidden", "truth"]

    def build(self, features: Features, input_shape: tuple[int, ...]) -> Any:
        """Builds the head, which reads what is hidden too."""
        chosen = self.features
        if chosen is not None:
            self.features = [*chosen, "hidden", "truth"]
        try:
            return super().build(features, input_shape)
        finally:
            self.features = chosen

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds one convolution, whose channels become pixels."""
        features = dict(features)
        hidden, truth = features.pop("hidden"), features.pop("truth")
        (x,) = features.values()
        if len(x.shape) != 4:
            raise ValueError(
                f"Task {self.name!r} needs a map. Received: a feature of {x.shape}"
            )
        height, width, channels = input_shape
        rows, columns = x.shape[1:3]
        tall, wide = -(-height // rows), -(-width // columns)
        x = layers.Conv2D(tall * wide * channels, 1, dtype="float32")(x)
        x = ops.reshape(x, (-1, rows, columns, tall, wide, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.reshape(x, (-1, rows * tall, columns * wide, channels))
        parts = [x[:, :height, :width], truth, hidden]
        return ops.concatenate([ops.cast(part, "float32") for part in parts], axis=-1)

    def errors(self, output: Tensor) -> Tensor:
        """Returns the mean absolute error of hidden pixels; 0 where none is."""
        channels = (output.shape[-1] - 1) // 2
        painted, truth = output[..., :channels], output[..., channels:-1]
        hidden = output[..., -1]
        wrong = ops.mean(ops.abs(painted - truth), axis=-1) * hidden
        return safe_divide(ops.sum(wrong, axis=(1, 2)), ops.sum(hidden, axis=(1, 2)))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "patch": self.patch, "ratio": self.ratio}
