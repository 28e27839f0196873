"""From what a model does in a step to a program for a TPU compiler."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Step = Callable[[Any], Any]


@dataclass(frozen=True)
class Program:
    """A step of a model for one batch size.

    Attributes:
        artifact: A portable StableHLO artifact.
        graph: The TensorFlow graph that it was made of.
    """

    artifact: bytes
    graph: tf.Graph


class Refused(Exception):
    """A step cannot be compiled.

    Args:
        reason: Why, as the end of "Received: ...".
        operations: Names of the operations that are to blame, the first one first.
        graph: Where they are, or `None` if the step could not even be traced.
    """

    def __init__(
        self, reason: str, operations: Sequence[str] = (), graph: Any = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.operations, self.graph = reason, list(operations), graph

    @classmethod
    def by(cls, error: Exception) -> "Refused":
        """Returns the refusal of a step that raised an error when it was traced."""
        return cls(f"{type(error).__name__}: {first_line(error)}")


def lower(step: Step, spec: Any) -> Program:
    """Traces a step and makes a program of it.

    Args:
        step: From a batch to tensors.
        spec: Nest of `tf.TensorSpec`, the batch.

    Raises:
        Refused: The step is no program of fixed shapes and of XLA's operations.
    """
    flat = tf.nest.flatten(spec)

    # No nest of arguments: then shapes are enough, and no value becomes a constant.
    @tf.function(jit_compile=True, autograph=False)
    def run(*tensors: tf.Tensor) -> Any:
        return tf.nest.flatten(step(tf.nest.pack_sequence_as(spec, tensors)))

    try:
        graph = run.get_concrete_function(*flat).graph
    except Exception as error:
        raise Refused.by(error) from error
    to_ir = run.experimental_get_compiler_ir(*flat)
    try:
        text = to_ir(stage="stablehlo", platform_name="CPU")
    except ValueError as error:
        raise refusal(str(error), graph) from error
    if names := data_dependent(text):
        raise Refused("a size that depends on values", names, graph)
    artifact = to_ir(stage="stablehlo_serialized", platform_name="CPU")
    return Program(artifact, graph)


def refusal(message: str, graph: tf.Graph) -> Refused:
    """Reads an error of TensorFlow's way to XLA."""
    message = message.removeprefix("Failed getting HLO text: ").strip("'")
    names = re.findall(r"\{\{node ([^}]+)\}\}", message)
    if kinds := re.findall(r"No registered '(\w+)' OpKernel", message):
        return Refused(f"`{kinds[0]}`, which XLA lacks", names, graph)
    if "must be a compile-time constant" in message:
        return Refused("a size that depends on values", names, graph)
    return Refused(first_line(message), names, graph)


def data_dependent(text: str) -> list[str]:
    """Returns the names of operations whose result has a size that is not known.

    XLA carries such a size along, with a bound.

    Args:
        text: A StableHLO program with its locations.
    """
    found = []
    for line in text.splitlines():
        label = re.search(r"loc\((#loc\d+)\)$", line)
        if label and "#stablehlo.bounds<" in line:
            found.append(label[1])
    known = dict(re.findall(r"^(#loc\d+) = loc\((.*)\)$", text, re.MULTILINE))

    def name(label: str) -> str:
        value = known.get(label, "")
        if quoted := re.search(r'"([^"]+)"(?!:\d)', value):
            return quoted[1]
        inner = re.findall(r"#loc\d+", value)
        return next(filter(None, map(name, inner)), "")

    return [n for n in map(name, found) if n]


def first_line(error: Any) -> str:
    """Returns the first line of an error that says something."""
    return next((x.strip() for x in str(error).splitlines() if x.strip()), "")
