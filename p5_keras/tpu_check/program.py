"""What a model does with a batch, as a program for a TPU compiler."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from p5_keras.tpu_check.compiler import Refused, first_line
from p5_keras.weighting.gradients import for_tpu


@dataclass(frozen=True)
class Step:
    """One thing that a model does with a batch.

    Attributes:
        name: What it is called.
        function: From a batch to tensors.
        spec: Nest of `tf.TensorSpec`, a batch `(x, y)` or `(x, y, sample_weight)`.
    """

    name: str
    function: Callable[[Any], Any]
    spec: Any


def steps(model: Any, training: Any, evaluation: Any) -> Iterator[Step]:
    """Yields all that a model does on a TPU.

    Args:
        model: A `MultiTaskModel`, compiled.
        training: Element specification of its training batches.
        evaluation: That of its batches to evaluate on.
    """

    def scheduled(solves: bool, data: Any) -> Any:
        model.engine.solves = solves
        return model.train_step(data)

    if model.engine is None or model.engine.update_every == 1:
        yield Step("training step", model.train_step, training)
    else:
        yield Step("step that solves", functools.partial(scheduled, True), training)
        yield Step("step that keeps", functools.partial(scheduled, False), training)
    yield Step("evaluation step", model.test_step, evaluation)


def of_size(spec: Any, size: int) -> Any:
    """Returns the specification of a batch of another size.

    Args:
        spec: Nest of `tf.TensorSpec`, a batch.
        size: Its new size.

    Raises:
        ValueError: The examples are not all of one size.
    """

    def sized(part: tf.TensorSpec, whose: str = "inputs") -> tf.TensorSpec:
        shape = part.shape[1:]
        if not shape.is_fully_defined():
            raise ValueError(
                "Every example must have the same shape, which a TPU compiles for. "
                f"Received: {whose} of shape {tuple(shape)}"
            )
        return tf.TensorSpec([size, *shape], part.dtype)

    x, *labels = spec
    return (
        tf.nest.map_structure(sized, x),
        *(
            {t: sized(part, f"labels of task {t!r}") for t, part in parts.items()}
            for parts in labels
        ),
    )


def lower(model: Any, step: Step, size: int) -> tuple[bytes, tf.Graph]:
    """Traces a step and makes a program of it.

    Args:
        model: A `MultiTaskModel`.
        step: What it does.
        size: Examples in a batch.

    Returns:
        A portable StableHLO artifact, and the graph that it was made of.

    Raises:
        Refused: The step is no program of fixed shapes and of XLA's operations.
    """
    spec = of_size(step.spec, size)
    flat = tf.nest.flatten(spec)

    # No nest of arguments: then shapes are enough, and no value becomes a constant.
    @tf.function(jit_compile=True, autograph=False)
    def run(*tensors: tf.Tensor) -> Any:
        return tf.nest.flatten(step.function(tf.nest.pack_sequence_as(spec, tensors)))

    try:
        with for_tpu():
            # The variables of optimizer and metrics, which no step may make.
            model._symbolic_build(data_batch=spec)
            graph = run.get_concrete_function(*flat).graph
    except Exception as error:
        raise Refused(f"{first_line(error)} ({type(error).__name__})") from error
    to_ir = run.experimental_get_compiler_ir(*flat)
    try:
        text = to_ir(stage="stablehlo", platform_name="CPU")
    except ValueError as error:
        message = str(error).removeprefix("Failed getting HLO text: ").strip("'")
        names = re.findall(r"\{\{node ([^}]+)\}\}", message)
        if kinds := re.findall(r"No registered '(\w+)' OpKernel", message):
            message = f"`{kinds[0]}`, which XLA lacks"
        elif "must be a compile-time constant" in message:
            message = "a size that depends on values"
        raise Refused(first_line(message), names, graph) from error
    if names := data_dependent(text):
        raise Refused("a size that depends on values", names, graph)
    return to_ir(stage="stablehlo_serialized", platform_name="CPU"), graph


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
