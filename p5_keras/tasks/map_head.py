"""The decoder of every task whose output is a map of the input's size."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from p5_keras.task import Task, Tensor


class MapTask(Task):
    """Base of tasks that answer with one vector a pixel.

    The head walks the pyramid from its deepest map to its finest: bring every map to
    one width with a 1x1 convolution, upsample the coarser by repeating pixels, add,
    and smooth with a 3x3 convolution, as a feature pyramid network does. A transposed
    convolution then brings the finest map to the input's size.

    Args:
        name: Name of the task.
        width: Channels of the decoder.
        **kwargs: Arguments of `Task`; `features` default to the whole pyramid.

    Reference:
        Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017.
    """

    def __init__(self, name: str, *, width: int = 32, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.width = width

    @property
    def channels(self) -> int:
        """Channels of the raw output."""
        raise NotImplementedError

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Reads maps of the image's size, where there is an image; see `Task`."""
        if "image" in example:
            label = self.numbers(self.field(example, self.label))
            self.shaped(label, *example["image"].shape[1:3])
        return super().target(example)

    def one_map(self, label: Tensor) -> Tensor:
        """Drops a last axis of 1 from `(batch, height, width)`.

        Raises:
            ValueError: The labels are no maps.
        """
        if label.shape.rank == 4:
            label = self.shaped(label, *label.shape[1:3])
        if label.shape.rank != 3:
            raise ValueError(
                f"Each label of task {self.name!r} must be a map, (height, width). "
                f"Received: {tuple(label.shape[1:])}"
            )
        return label

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns the whole pyramid."""
        return list(features)

    def head(self, features: dict[str, Any], input_shape: tuple[int, ...]) -> Tensor:
        """Builds the decoder: `(batch, height, width, channels)`."""
        maps = list(features.values())
        if len(input_shape) != 3 or any(len(x.shape) != 4 for x in maps):
            raise ValueError(
                f"Task {self.name!r} answers with a map and needs a trunk with maps. "
                f"Received: features={ {n: x.shape for n, x in features.items()} }"
            )
        maps.sort(key=lambda x: -x.shape[1])
        x = self._smooth(layers.Conv2D(self.width, 1)(maps[-1]))
        for finer in maps[-2::-1]:
            x = match_size(x, finer.shape[1], finer.shape[2])
            x = layers.Add()([x, layers.Conv2D(self.width, 1)(finer)])
            x = self._smooth(x)
        strides = [-(-input_shape[i] // x.shape[i + 1]) for i in (0, 1)]
        x = Enlarge(
            self.channels,
            [2 * stride if stride > 1 else 3 for stride in strides],
            strides=strides,
            padding="same",
        )(x)
        x = crop(x, input_shape[0], input_shape[1])
        return layers.Activation("linear", dtype="float32", name="output")(x)

    def _smooth(self, x: Tensor) -> Tensor:
        x = layers.Conv2D(self.width, 3, padding="same", use_bias=False)(x)
        return layers.ReLU()(
            layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("p5_keras")
class Enlarge(layers.Conv2DTranspose):
    """A transposed convolution that predicts faster and trains as ever.

    Where its kernel is twice its stride, every output sees a window of 2x2 inputs.
    Outside of training a convolution of that size gives all outputs of a window at
    once, with the same weights. On two CPU cores, two channels and a stride of 4, that
    takes 0.7 (one image) to 0.35 (32) of the time, but its gradient takes longer.
    """

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Returns `(batch, rows * stride, columns * stride, filters)`."""
        stride, (rows, columns) = self.strides[0], inputs.shape[1:3]
        usual = self.strides == (stride, stride) and self.padding == "same"
        usual = usual and self.kernel_size == (2 * stride, 2 * stride)
        if training or not usual or None in (rows, columns):
            return super().call(inputs)
        channels, cell = inputs.shape[-1], stride * stride * self.filters
        kernel = ops.convert_to_tensor(self.kernel)
        kernel = tf.reshape(kernel, [2, stride, 2, stride, self.filters, channels])
        kernel = tf.transpose(kernel[::-1, :, ::-1], [0, 2, 5, 1, 3, 4])
        kernel = tf.reshape(kernel, [2, 2, channels, cell])
        x = tf.nn.conv2d(inputs, kernel, 1, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x, edge = tf.nn.depth_to_space(x, stride), stride // 2
        x = x[:, edge : edge + rows * stride, edge : edge + columns * stride]
        return self.activation(x + self.bias if self.use_bias else x)


def match_size(x: Tensor, height: int, width: int) -> Tensor:
    """Upsamples a map to a finer one's size by repeating pixels.

    The gradient of a bilinear resize is a gap in XLA; that of a repeat is not.
    """
    rows, columns = -(-height // x.shape[1]), -(-width // x.shape[2])
    return crop(layers.UpSampling2D((rows, columns))(x), height, width)


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Crops a map at the bottom and the right."""
    below, right = x.shape[1] - height, x.shape[2] - width
    if below == 0 and right == 0:
        return x
    return layers.Cropping2D(((0, below), (0, right)))(x)
