"""An input: everything that turns raw values into a tensor of a fixed shape."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

Tensor = Any


class Input:
    """One named input that is no picture: its raw form, and the tensor it becomes.

    What it learns of the training data (`adapt`), a vocabulary or means, is in its
    config, and so in the model's. It runs in tf.data while training, outside of the
    step, and inside of the exported signature, which therefore takes raw values.

    A subclass stores its constructor's arguments under their own names and implements
    `shape`, `specs`, `adapt` and `encode`.
    """

    #: Dtype of the tensor.
    dtype: ClassVar[str] = "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor of one example."""
        raise NotImplementedError

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Returns what it takes: a batch of raw values for each of its columns."""
        raise NotImplementedError

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Returns, by column, the smallest and the largest number that is served."""
        return {}

    def adapt(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns what it must know of the training examples.

        Args:
            columns: Raw values by column; only its own are read.
        """

    def encode(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Turns a batch of raw values by column into `(batch, *shape)`, in a graph."""
        raise NotImplementedError

    def about(self) -> str:
        """Returns one line for a person."""
        raise NotImplementedError

    def layers(self) -> list[Any]:
        """Returns the Keras layers that `encode` runs, which an export must hold."""
        return []

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, and what was learned."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Input":
        """Makes the input of `get_config()` again."""
        return cls(**config)

    def __repr__(self) -> str:
        """Returns the kind, and what a person wants to know of it."""
        return f"{type(self).__name__}({self.about()})"


def encode(inputs: Mapping[str, Input], raw: Mapping[str, Tensor]) -> Any:
    """Turns raw values into what a model takes.

    Args:
        inputs: The inputs by name.
        raw: A batch of raw values for each column of any of them.

    Returns:
        The tensor of the only input, or of several a dict by name.
    """
    # Splitting strings forgets how many there are, which a TPU must know.
    count = next((values.shape[0] for values in raw.values()), None)
    found = {
        name: tf.ensure_shape(one.encode(raw), [count, *one.shape])
        for name, one in inputs.items()
    }
    return _only(found)


def keras_inputs(inputs: Mapping[str, Input]) -> Any:
    """Returns the Keras tensors that a model of these inputs begins with."""
    made = {n: keras.Input(i.shape, dtype=i.dtype, name=n) for n, i in inputs.items()}
    return _only(made)


def _only(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


def missing(column: str, raw: Mapping[str, Any]) -> ValueError:
    """Returns the error of raw values without a column that an input reads."""
    return ValueError(
        f"Each example must have the column {column!r}. Received: {list(raw)}"
    )
