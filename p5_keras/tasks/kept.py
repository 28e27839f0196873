"""A task that keeps another as it was, by its own old outputs."""

from typing import Any

import keras
from keras import ops

from p5_keras.task import Features, Task, Tensor
from p5_keras.tasks.unlabelled import Unlabelled


@keras.saving.register_keras_serializable("p5_keras")
class Earlier(keras.layers.Layer):
    """A model that is not trained and, while others are, answers as if none were.

    In a functional model `training=False` for one of its parts does not last.

    Args:
        model: The model.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "trainable": False})
        self.model = model
        model.trainable = False

    def call(self, inputs: Tensor) -> Any:
        """Returns the model's outputs."""
        return self.model(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Earlier":
        """Makes the layer of `get_config()` again."""
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})


@keras.saving.register_keras_serializable("p5_keras")
class Kept(Unlabelled):
    """Stays close to what an earlier model says of the same input: distillation.

    `p5.grow.learner` makes such tasks. Raw output: `(batch, 2, ...)`, the other task's
    raw output now and before. What differs is measured as that task's kind wants it
    (`Task.difference`).

    Args:
        name: Name of the task.
        task: The task that is to stay.
        **kwargs: Arguments of `Task`.

    Reference:
        Li and Hoiem, Learning without Forgetting, ECCV 2016.
    """

    kind = "kept"

    def __init__(self, name: str, *, task: Any, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        if isinstance(task, dict):
            task = keras.saving.deserialize_keras_object(task)
        self.task: Task = task
        self.features = ["new", "old"]

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Puts both outputs together."""
        return ops.stack([features["new"], features["old"]], axis=1)

    def errors(self, output: Tensor) -> Tensor:
        """Returns how far the two outputs are apart."""
        return self.task.difference(output[:, 0], output[:, 1])

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = super().get_config()
        task = keras.saving.serialize_keras_object(self.task)
        return {**config, "task": task}
