"""What the signatures of an exported model take."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.export.checks import Range, any_number, checked
from p5_keras.inputs import Table, Text, encode
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
        ranges: The smallest and the largest number that an input may hold, by name.
        missing: Whether NaN in a column stands for a missing value.
    """

    specs: list[tf.TensorSpec]
    read: Callable[..., Any]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    missing: bool = False

    def made_up(self, count: int) -> Any:
        """Returns a model's input of so many examples, evenly random in its range."""
        rng = np.random.default_rng(0)
        values = []
        for spec in self.specs:
            low, high = self.ranges.get(spec.name, (0, 1))
            x = rng.uniform(low, high, [count, *spec.shape[1:]])
            values.append(tf.cast(x, spec.dtype))
        return self.read(*values)

    def serve(
        self, answer: Callable[[Any], dict[str, Tensor]], looks: bool = True
    ) -> Callable[..., dict[str, Tensor]]:
        """Returns a signature: from what is taken to an answer of any number.

        Args:
            answer: From the model's input to outputs by name.
            looks: Whether a request is looked at first; see `checks`.
        """

        def read(*values: Tensor) -> dict[str, Tensor]:
            return answer(self.read(*values))

        def serve(*values: Tensor) -> dict[str, Tensor]:
            if not looks:
                return read(*values)
            looked_at = checked(self.specs, values, self.ranges, self.missing)
            return any_number(looked_at, read)

        return serve

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

    ranges: dict[str, Range] = {}
    for name, encoder in model.encoders.items():
        if isinstance(encoder, Text):
            ranges[name] = (0, encoder.size - 1)
    if len(sources) == 1 and len(sources[0].shape) == 4 and _of_bytes(model):
        ranges[sources[0].name] = (0, 255)
    return Entry(specs, read, ranges)


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
    by_column = {c: r for e in model.encoders.values() for c, r in e.ranges().items()}
    named = zip(names, specs, strict=True)
    return Entry(
        [tf.TensorSpec(s.shape, s.dtype, n) for n, s in given],
        read,
        {n: by_column[column] for n, column in named if column in by_column},
        missing=any(isinstance(e, Table) for e in model.encoders.values()),
    )


def files(name: str) -> Entry:
    """Returns the way in by the bytes of files, `(batch,)` strings."""
    return Entry([tf.TensorSpec([None], tf.string, name)], lambda content: content)


def tensors_signature(model: MultiTaskModel) -> str:
    """Returns the name of the signature that takes the model's own inputs."""
    return OF_TENSORS if model.encoders else "serving_default"


def _of_bytes(model: MultiTaskModel) -> bool:
    """Whether the network begins by scaling numbers from 0 to 255."""
    inner = [x for layer in model.layers for x in getattr(layer, "layers", [layer])]
    return any(
        isinstance(x, keras.layers.Rescaling)
        and np.ndim(x.scale) == 0
        and 1 / 256 <= float(x.scale) <= 1 / 127
        for x in inner
    )


def _blank(spec: tf.TensorSpec) -> Tensor:
    shape = [1 if size is None else size for size in spec.shape]
    return (
        tf.fill(shape, "") if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)
    )
