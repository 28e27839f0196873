"""ResNet-50 of `keras.applications`."""

import keras
from keras import layers

from p5_keras.trunk import Trunk, check_image_shape
from p5_keras.trunks.cut import Cut

_CUTS = {
    "P2": "conv2_block3_out",
    "P3": "conv3_block4_out",
    "P4": "conv4_block6_out",
    "P5": "conv5_block3_out",
}
# Means of ImageNet in BGR order: what the published weights were trained with.
_BGR_MEANS = (103.939, 116.779, 123.68)


class ResNet50(Trunk):
    """ResNet-50 with features "P2" to "P5", for RGB images from 0 to 255.

    Args:
        weights: `None` for random weights, "imagenet", or the path of a weights file,
            as `keras.applications.ResNet50` takes it.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights

    def stages(self, input_shape: tuple[int, ...]) -> dict[str, keras.Model]:
        """Builds the stages "P2" to "P5", of strides 4 to 32.

        Raises:
            ValueError: The weights could not be read or downloaded.
        """
        check_image_shape("ResNet50", input_shape)
        if input_shape[-1] != 3:
            raise ValueError(
                "`input_shape` of ResNet50 must have 3 channels. "
                f"Received: input_shape={input_shape}"
            )
        inputs = keras.Input(input_shape)
        # The published weights expect BGR with the means taken off and no scaling.
        bgr = layers.Lambda(_flip_channels, name="bgr")(inputs)
        x = layers.Normalization(mean=_BGR_MEANS, variance=(1.0,) * 3)(bgr)
        try:
            model = keras.applications.ResNet50(
                include_top=False, weights=self.weights, input_tensor=x
            )
        except Exception as error:  # Keras raises a bare Exception when offline.
            if self.weights is None:
                raise
            raise ValueError(
                "`weights` of ResNet50 could not be had; `--set trunk.weights=none` "
                "trains from scratch. "
                f"Received: weights={self.weights!r} ({error})"
            ) from error
        return Cut(keras.Model(inputs, model.output), _CUTS).stages(input_shape)


@keras.saving.register_keras_serializable("p5_keras")
def _flip_channels(x):  # type: ignore[no-untyped-def]
    return x[..., ::-1]
