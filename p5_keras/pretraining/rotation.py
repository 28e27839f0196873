"""Which way up a picture is."""

from typing import Any

import keras
from keras import layers, ops

from p5_keras.pretraining.contrast import check_picture
from p5_keras.pretraining.views import Rotations
from p5_keras.sharing.base import pooled
from p5_keras.task import Features, Tensor
from p5_keras.tasks.unlabelled import Unlabelled


@keras.saving.register_keras_serializable("p5_keras")
class Rotation(Unlabelled):
    """Tells by how much a square picture was turned: 0, 90, 180 or 270 degrees.

    Each picture is seen in all four. Raw output: `(batch, 4, 4)`, the logits of each
    turn for each turned picture.

    Args:
        name: Name of the task.
        hidden: Units of a dense layer before the output, 0 for none.
        **kwargs: Arguments of `Task`.

    Reference:
        Gidaris et al., Unsupervised Representation Learning by Predicting Image
        Rotations, ICLR 2018.
    """

    kind = "rotation"
    pictures = 4
    better = {"accuracy": "higher"}
    primary = "accuracy"
    score_name = "less loss"
    smallest_difference = {"accuracy": 0.02}

    def __init__(self, name: str, *, hidden: int = 0, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.hidden = hidden

    def views(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns each picture turned four times."""
        check_picture(self.name, inputs, square=True)
        return {"input": Rotations()(inputs)}

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds pooling and the output layer."""
        x = [pooled(x) for x in features.values()]
        x = x[0] if len(x) == 1 else layers.Concatenate()(x)
        if self.hidden:
            x = layers.Dense(self.hidden, activation="relu")(x)
        return ops.reshape(layers.Dense(4, dtype="float32")(x), (-1, 4, 4))

    def errors(self, output: Tensor) -> Tensor:
        """Returns the mean cross-entropy of the four."""
        log_p = ops.log_softmax(output, axis=-1)
        return -ops.mean(ops.sum(log_p * ops.eye(4), axis=-1), axis=-1)

    def measure(self, output: Tensor) -> Tensor:
        """Returns the share of the four that are told rightly."""
        right = ops.argmax(output, axis=-1) == ops.arange(4)
        return ops.mean(ops.cast(right, "float32"), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "hidden": self.hidden}
