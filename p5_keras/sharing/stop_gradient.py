"""A layer where the paths of the losses end."""

import keras
from keras import ops

from p5_keras.task import Tensor


@keras.saving.register_keras_serializable("p5_keras")
class StopGradient(keras.layers.Layer):
    """Passes a tensor on and no gradient back."""

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the input."""
        return ops.stop_gradient(inputs)
