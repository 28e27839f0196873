"""What a model does on a TPU, and on what batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from p5_keras.tpu_check.lowering import Refused
from p5_keras.tpu_check.origin import argument


@dataclass(frozen=True)
class Step:
    """One thing that a model does with a batch.

    Attributes:
        name: What it is called.
        function: From a batch to tensors.
        spec: Nest of `tf.TensorSpec`, a batch `(x, y, sample_weight)` or `(x,)`.
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
    engine = model.engine
    if engine is None or engine.update_every == 1:
        yield Step("training step", model.train_step, training)
    else:
        yield Step("step that solves", solving(model, True), training)
        yield Step("step that keeps", solving(model, False), training)
    yield Step("evaluation step", model.test_step, evaluation)
    x = keras.utils.unpack_x_y_sample_weight(evaluation)[0]
    yield Step("decoding", lambda d: model.decode(model(d[0], training=False)), (x,))


def build(model: Any, spec: Any) -> None:
    """Makes the variables of optimizer and metrics, which no step may make.

    Args:
        model: A `MultiTaskModel`, compiled.
        spec: Nest of `tf.TensorSpec`, a batch.

    Raises:
        Refused: The model cannot compute its metrics.
    """
    if len(spec) == 1:
        return
    try:
        model._symbolic_build(data_batch=spec)
    except Exception as error:
        raise Refused.by(error) from error


def solving(model: Any, solves: bool) -> Callable[[Any], Any]:
    """Returns the training step of a weighting that solves, or keeps its weights."""

    def step(data: Any) -> Any:
        engine = model.engine
        before, engine.solves = engine.solves, solves
        try:
            return model.train_step(data)
        finally:
            engine.solves = before

    return step


def share(spec: Any, chips: int) -> int:
    """Returns each chip's share of a global batch.

    Args:
        spec: Element specification of global batches.
        chips: Number of chips.

    Raises:
        ValueError: The batch does not divide.
    """
    size = tf.nest.flatten(spec)[0].shape[0]
    if size % chips:
        raise ValueError(
            "`batch_size` is global and must be a multiple of the number of chips. "
            f"Received: batch_size={size} for {chips} chips"
        )
    return int(size // chips)


def of_size(model: Any, spec: Any, size: int) -> Any:
    """Returns the specification of a batch of another size, its arguments named.

    Args:
        model: A `MultiTaskModel`.
        spec: Nest of `tf.TensorSpec`, a batch.
        size: Its new size.

    Raises:
        ValueError: The examples are not all of one size.
    """
    x, *labels = spec

    def sized(part: tf.TensorSpec, name: str, what: str) -> tf.TensorSpec:
        shape = part.shape[1:]
        if not shape.is_fully_defined():
            raise ValueError(
                "Every example must have the same shape, which a TPU compiles for. "
                f"Received: {what} of shape {tuple(shape)}"
            )
        return tf.TensorSpec([size, *shape], part.dtype, name)

    if isinstance(x, tf.TensorSpec) and len(model.inputs) == 1:
        known = [None, *model.inputs[0].shape[1:]]
        x = tf.TensorSpec(x.shape.merge_with(known), x.dtype)
    what = f"inputs, which the tasks {', '.join(model.task_names)} read,"
    found = [tf.nest.map_structure(lambda part: sized(part, "input", what), x)]
    for parts in labels:
        found.append(
            {
                task: sized(part, argument(task), f"labels of task {task!r}")
                for task, part in parts.items()
            }
        )
    return tuple(found)
