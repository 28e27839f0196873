"""Says in one line why a step does not compile, and which task is to blame."""

import pathlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from p5_keras.tpu_check.compiler import Refused
from p5_keras.tpu_check.program import Step

PACKAGE = str(pathlib.Path(__file__).parents[1])
LIBRARIES = (PACKAGE, str(pathlib.Path(tf.__file__).parents[1]), "<")
ADVICE = {
    "size that depends on values": "keep the size, and give what is not to count a "
    "weight of 0: tf.where with three arguments",
    "PyFunc": "Python does not run there: use keras.ops",
    "NonMaxSuppression": "tf.image.non_max_suppression_padded is the form for a TPU",
    "String": "do it while reading the data",
    "Decode": "do it while reading the data",
}


def explain(
    model: Any, step: Step, refused: Refused, fails: Callable[[Step], bool]
) -> str:
    """Returns what is wrong and where.

    Args:
        model: A `MultiTaskModel`.
        step: The step that does not compile.
        refused: Why.
        fails: Whether another step is refused too; it is asked of each task by itself.
    """
    names = model.task_names
    guilty = [name for name in names if fails(alone(model, step, name))]
    if len(guilty) == len(names) > 1:
        whose = "what all tasks share"
    elif guilty:
        whose = "task " + " and ".join(map(repr, guilty))
    else:
        whose = "no task by itself"
    where = [f"in {whose}"]
    if refused.graph is None and refused.__cause__ is not None:
        where.append(code_of(traceback.extract_tb(refused.__cause__.__traceback__)))
    elif refused.operations:
        name = refused.operations[0]
        where.append(f"operation {name}")
        own = (o for o in every_operation(refused.graph) if o.name == name)
        where.append(code_of(getattr(next(own, None), "traceback", None) or ()))
    advice = [text for part, text in ADVICE.items() if part in refused.reason]
    return (
        f"The {step.name} must compile for a TPU. Received: {refused.reason}, "
        f"{', '.join(filter(None, where))}{'. Advice: ' if advice else ''}"
        f"{'; '.join(advice)}"
    )


def alone(model: Any, step: Step, name: str) -> Step:
    """Returns a step with one task's output, loss, gradients and metrics only.

    Args:
        model: A `MultiTaskModel`.
        step: The step of all tasks.
        name: The task.
    """
    part = keras.Model(model.input, model.output[name])
    task = next(task for task in model.tasks if task.name == name)
    loss = model._task_losses.get(name)
    metrics = task.training_metrics()
    training = step.function != model.test_step

    def function(data: Any) -> Any:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        labels, weight = y[name], weights and weights[name]
        with tf.GradientTape() as tape:
            output = part(x, training=training)
            value = loss and loss(labels, output, weight)
        for metric in metrics:
            metric.update_state(labels, output, weight)
        found = []
        if training and loss is not None:
            found = tape.gradient(value, [v.value for v in part.trainable_variables])
        return (
            output,
            [g for g in found if g is not None],
            [m.result() for m in metrics],
        )

    return Step(f"{step.name} of {name}", function, step.spec)


def every_operation(graph: Any) -> Iterator[tf.Operation]:
    """Yields the operations of a graph and of the functions that it calls."""
    for operation in graph.get_operations():
        yield operation
        for value in operation.node_def.attr.values():
            for name in [value.func.name, *(f.name for f in value.list.func)]:
                inner = graph._get_function(name) if name else None
                if inner is not None:
                    yield from every_operation(inner.graph)


def code_of(frames: Iterable[Any]) -> str:
    """Returns where user code is in a stack, "file.py, line 3, in name", or nothing.

    Args:
        frames: Frames with `filename`, `lineno` and `name`, the innermost last.
    """
    frames = list(frames)
    # What comes before the package is what called it.
    own = [i for i, f in enumerate(frames) if f.filename.startswith(PACKAGE)]
    for frame in reversed(frames[own[0] if own else 0 :]):
        if not frame.filename.startswith(LIBRARIES):
            name = pathlib.Path(frame.filename).name
            return f"{name}, line {frame.lineno}, in {frame.name}"
    return ""
