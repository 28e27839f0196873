"""A trunk: an ordered list of stages from an input to named features."""

import inspect
from collections.abc import Mapping
from typing import Any, Self

import keras

from p5_keras.inputs import Input

Features = dict[str, Any]


class Trunk:
    """Base of all trunks.

    A trunk is a recipe for layers, not a layer: every call builds new ones. A stage
    is a functional model with one input and one output, and its output is the feature
    of its name. Maps are named as pyramid levels, "P2" having a stride of 4 pixels
    and "Pk" one of 2^k. Text and sound have a "sequence" `(batch, steps, channels)`, 0
    in every channel where a step is padding, and "pooled" `(batch, channels)`; tables
    have a "vector".

    A subclass stores its constructor's arguments under their own names and
    implements `stages()`.
    """

    def stages(self, input_shape: Any) -> dict[str, keras.Model]:
        """Builds the stages.

        Args:
            input_shape: Shape of one input, `(height, width, channels)` with values
                from 0 to 255 for images, `(size,)` for vectors; of several inputs a
                dict of shapes by name.

        Returns:
            Functional models by the name of the feature each one ends in, in order.
        """
        raise NotImplementedError

    def __call__(self, inputs: Any) -> Features:
        """Applies new stages to a Keras tensor and returns all features by name.

        Each stage becomes a layer `trunk_<feature>`.
        """
        x, features = inputs, {}
        for name, stage in self.stages(shape_of(inputs)).items():
            stage.name = f"trunk_{name}"
            x = features[name] = stage(x)
        return features

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Returns a trunk with the arguments that follow from what the model reads.

        Args:
            inputs: The model's inputs by name, adapted.
        """
        del inputs
        return self

    def copy(self) -> Self:
        """Returns a trunk with the same arguments, whose weights will be its own."""
        return type(self)(**self.get_config())

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        """Returns the call that makes this trunk."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def shape_of(inputs: Any) -> Any:
    """Returns the shape of one example of a Keras tensor, or of each in a dict."""
    if isinstance(inputs, dict):
        return {name: shape_of(x) for name, x in inputs.items()}
    return tuple(inputs.shape[1:])


def with_arguments(trunk: Any, **arguments: Any) -> Any:
    """Returns a trunk with some arguments of its constructor changed."""
    return type(trunk)(**{**trunk.get_config(), **arguments})


def only_input(trunk: str, inputs: Mapping[str, Input], kind: type) -> Any:
    """Returns the one input that a trunk reads.

    Raises:
        ValueError: There are several, or it is of another kind.
    """
    if len(inputs) != 1 or not isinstance(found := next(iter(inputs.values())), kind):
        raise ValueError(
            f"{trunk} reads one {kind.__name__}; several inputs need MultiInput. "
            f"Received: inputs={dict(inputs)}"
        )
    return found


def check_image_shape(trunk: str, input_shape: tuple[int, ...]) -> None:
    """Checks that an input is an image of a fixed size.

    Raises:
        ValueError: It is not.
    """
    if len(input_shape) != 3 or None in input_shape:
        raise ValueError(
            f"`input_shape` of {trunk} must be a fixed (height, width, channels). "
            f"Received: input_shape={input_shape}"
        )
