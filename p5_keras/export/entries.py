"""What the signatures of an exported model take."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from p5_keras.inputs import encode
from p5_keras.model import MultiTaskModel

Tensor = Any

#: The signature that takes what the model's own inputs are.
OF_TENSORS = "serve_tensors"


@dataclass(frozen=True)
class Entry:
    """One way into a model.

    Attributes:
        specs: What it takes, `(batch, ...)` each, by name.
        read: From as many tensors to the model's input.
    """

    specs: list[tf.TensorSpec]
    read: Callable[..., Any]

    def sample(self) -> dict[str, Tensor]:
        """Returns a batch of one example: zeros, and empty strings."""
        return {s.name: _blank(s) for s in self.specs}


def of_tensors(model: MultiTaskModel) -> Entry:
    """Returns the way in by the model's own inputs."""
    sources = model.inputs
    specs = [
        tf.TensorSpec(
            [None, *x.shape[1:]], "int32" if "int" in x.dtype else "float32", x.name
        )
        for x in sources
    ]

    def read(*tensors: Tensor) -> Any:
        named = {x.name: t for x, t in zip(sources, tensors, strict=True)}
        return named if isinstance(model.input, dict) else tensors[0]

    return Entry(specs, read)


def raw(model: MultiTaskModel) -> Entry:
    """Returns the way in by raw values: text, samples, the columns of a table.

    The names of columns have letters, digits and "_" only.

    Raises:
        ValueError: Two columns would have one name.
    """
    if not model.encoders:
        return of_tensors(model)
    specs: dict[str, tf.TensorSpec] = {}
    for encoder in model.encoders.values():
        specs |= encoder.specs()
    names = [re.sub(r"\W", "_", column, flags=re.ASCII) for column in specs]
    names = [name if name[0].isalpha() else f"column_{name}" for name in names]
    if len(set(names)) < len(names):
        raise ValueError(
            "Columns must differ in more than signs to be exported: rename one. "
            f"Received: {list(specs)}"
        )

    def read(*tensors: Tensor) -> Any:
        return encode(model.encoders, dict(zip(specs, tensors, strict=True)))

    given = zip(names, specs.values(), strict=True)
    return Entry([tf.TensorSpec(s.shape, s.dtype, n) for n, s in given], read)


def tensors_signature(model: MultiTaskModel) -> str:
    """Returns the name of the signature that takes the model's own inputs."""
    return OF_TENSORS if model.encoders else "serving_default"


def _blank(spec: tf.TensorSpec) -> Tensor:
    shape = [1 if size is None else size for size in spec.shape]
    return (
        tf.fill(shape, "") if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)
    )
