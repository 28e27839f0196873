"""Layers that make other pictures of a batch, for tasks that need no label.

They are part of the model, so any source of pictures will do; their shapes are static
and all they do is arithmetic that XLA compiles. In training they draw anew for every
step, from seeds that are saved with the model; in evaluation always the same.
"""

import math
from typing import Any

import keras
from keras import ops

Tensor = Any
_GREY = (0.299, 0.587, 0.114)


class Views(keras.layers.Layer):
    """Base of layers that draw random numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator()

    def draw(self, shape: Any, low: float, high: float, place: int, fresh: Any) -> Any:
        """Draws uniform numbers.

        Args:
            shape: Their shape.
            low: The least.
            high: The largest.
            place: Number of the draw within the call, its seed in evaluation.
            fresh: Whether it is training.
        """
        seed = self.seeds if fresh else place
        return keras.random.uniform(shape, low, high, dtype="float32", seed=seed)


@keras.saving.register_keras_serializable("p5_keras")
class Crops(Views):
    """Two random crops of each picture, resized, mirrored and with other colours.

    Input `(batch, height, width, channels)` from 0 to 255; output `(2 batch, height,
    width, channels)`, the two views of a picture behind each other. A crop is sampled
    by two matrices, bilinearly.

    Args:
        area: Least area of a crop, as a share of the picture.
        color: Strength of the changes of brightness, contrast and saturation.
        grey: Share of views without colour.
        flip: Whether half of the views are mirrored left to right.
        **kwargs: Arguments of `keras.layers.Layer`.

    Reference:
        Chen et al., A Simple Framework for Contrastive Learning of Visual
        Representations, ICML 2020; without its blur and its change of hue.
    """

    def __init__(
        self,
        area: float = 0.2,
        color: float = 0.4,
        grey: float = 0.2,
        flip: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.area, self.color, self.grey, self.flip = area, color, grey, flip

    def call(self, inputs: Tensor, training: Any = None) -> Tensor:
        """Returns the views."""
        _, height, width, channels = inputs.shape
        x = ops.cast(inputs, "float32")
        x = ops.reshape(ops.stack([x, x], axis=1), (-1, height, width, channels))
        count = ops.shape(x)[0]

        def draw(low: float, high: float, place: int) -> Tensor:
            return self.draw((count,), low, high, place, training)

        area, ratio = draw(self.area, 1.0, 1), draw(-0.2877, 0.2877, 2)  # 3/4 to 4/3
        tall = ops.minimum(ops.sqrt(area * ops.exp(ratio)), 1.0)
        wide = ops.minimum(ops.sqrt(area * ops.exp(-ratio)), 1.0)
        rows = _sampling(height, tall, draw(0.0, 1.0, 3) * (1 - tall))
        columns = _sampling(width, wide, draw(0.0, 1.0, 4) * (1 - wide))
        if self.flip:
            mirrored = (draw(0.0, 1.0, 5) < 0.5)[:, None, None]
            columns = ops.where(mirrored, ops.flip(columns, axis=1), columns)
        x = ops.einsum("bij,bjwc->biwc", rows, x)
        x = ops.einsum("bkw,biwc->bikc", columns, x)
        return ops.cast(self._colored(x, draw), inputs.dtype)

    def _colored(self, x: Tensor, draw: Any) -> Tensor:
        def factor(place: int) -> Tensor:
            return draw(1 - self.color, 1 + self.color, place)[:, None, None, None]

        x = x * factor(6)
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        x = mean + (x - mean) * factor(7)
        if x.shape[-1] == 3:
            grey = ops.sum(x * ops.convert_to_tensor(_GREY), axis=-1, keepdims=True)
            lost = (draw(0.0, 1.0, 8) < self.grey)[:, None, None, None]
            x = grey + (x - grey) * ops.where(lost, 0.0, factor(9))
        return ops.clip(x, 0.0, 255.0)

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns the shape of the input, for another number of examples."""
        return (None, *shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {n: getattr(self, n) for n in ("area", "color", "grey", "flip")}
        return {**super().get_config(), **own}


def _sampling(size: int, part: Tensor, start: Tensor) -> Tensor:
    """Returns matrices `(n, size, size)` that stretch a part of a row to the whole.

    Args:
        size: Length of a row.
        part: `(n,)`, length of the part, as a share.
        start: `(n,)`, where it begins, as a share.
    """
    place = ops.cast(ops.arange(size), "float32")
    centre = (start[:, None] + part[:, None] * (place + 0.5) / size) * size - 0.5
    centre = ops.clip(centre, 0.0, size - 1.0)
    return ops.relu(1 - ops.abs(centre[:, :, None] - place))


@keras.saving.register_keras_serializable("p5_keras")
class Rotations(keras.layers.Layer):
    """Each picture turned by 0, 90, 180 and 270 degrees, one behind the other.

    Input `(batch, side, side, channels)`, output `(4 batch, side, side, channels)`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the pictures."""
        turned = ops.flip(ops.transpose(inputs, (0, 2, 1, 3)), axis=1)
        half, last = (ops.flip(x, axis=(1, 2)) for x in (inputs, turned))
        x = ops.stack([inputs, turned, half, last], axis=1)
        return ops.reshape(x, (-1, *inputs.shape[1:]))

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns the shape of the input, for another number of examples."""
        return (None, *shape[1:])


@keras.saving.register_keras_serializable("p5_keras")
class Masks(Views):
    """Which square patches of each picture are hidden, `(batch, height, width, 1)`.

    Args:
        patch: Side of a patch in pixels.
        ratio: Probability that a patch is hidden.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, patch: int = 8, ratio: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.patch, self.ratio = patch, ratio

    def call(self, inputs: Tensor, training: Any = None) -> Tensor:
        """Returns 1 where a picture is hidden, 0 elsewhere, float32."""
        _, height, width, _ = inputs.shape
        rows, columns = (math.ceil(n / self.patch) for n in (height, width))
        shape = (ops.shape(inputs)[0], rows, columns)
        hidden = self.draw(shape, 0.0, 1.0, 1, training) < self.ratio
        hidden = ops.repeat(ops.cast(hidden, "float32"), self.patch, axis=1)
        hidden = ops.repeat(hidden, self.patch, axis=2)
        return hidden[:, :height, :width, None]

    def compute_output_shape(self, shape: Any) -> Any:
        """Returns the shape of the input, with one channel."""
        return (*shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "patch": self.patch, "ratio": self.ratio}
