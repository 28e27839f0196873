"""What a task found, as a layer that other tasks read."""

from typing import Any

import keras
from keras import ops

from p5_keras.task import Features, Task, Tensor


@keras.saving.register_keras_serializable("p5_keras")
class Decoded(keras.layers.Layer):
    """What a task makes of its raw output, as numbers to compute with.

    Real-valued fields are joined along the last axis; where there are none, classes
    become one-hot vectors.

    Args:
        task: The task.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, task: Task, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task = task

    def is_discrete(self, output: Tensor) -> bool:
        """Whether the task decodes to classes alone, so that no gradient comes back."""
        return not _real(self.task.decode(ops.zeros((1, *output.shape[1:]))))

    def call(self, inputs: Tensor) -> Tensor:
        """Decodes."""
        fields = self.task.decode(inputs)
        real = _real(fields)
        if not real:
            return ops.one_hot(next(iter(fields.values())), inputs.shape[-1])
        return real[0] if len(real) == 1 else ops.concatenate(real, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        task = keras.saving.serialize_keras_object(self.task)
        return {**super().get_config(), "task": task}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Decoded":
        """Makes the layer of `get_config()` again."""
        task = keras.saving.deserialize_keras_object(config["task"])
        return cls(**{**config, "task": task})


def _real(fields: Features) -> list[Tensor]:
    return [x for x in fields.values() if keras.backend.is_float_dtype(x.dtype)]
