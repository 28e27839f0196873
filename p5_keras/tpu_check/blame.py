"""Says in one line why a step does not compile, and which task is to blame."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from p5_keras.tpu_check import origin
from p5_keras.tpu_check.lowering import Refused
from p5_keras.tpu_check.steps import Step

PADDED = "tf.image.non_max_suppression_padded is the form for a TPU"
PIPELINE = "do it while reading the data"
ADVICE = {
    "size that depends on values": "keep the size, and give what is not to count a "
    "weight of 0: tf.where with three arguments",
    "PyFunc": "Python does not run there: use keras.ops",
    "NonMaxSuppression": PADDED,
    "String": PIPELINE,
    "Decode": PIPELINE,
    "same element type": "a bilinear resize makes float32 gradients: give its layer "
    "dtype='float32'",
}


def explain(
    model: Any, step: Step, refused: Refused, fails: Callable[[Step], bool]
) -> str:
    """Returns what is wrong and where.

    Args:
        model: A `MultiTaskModel`.
        step: The step that does not compile.
        refused: Why.
        fails: Whether another step is refused too. It is asked of each task by itself
            where the operation does not tell whose it is.
    """
    if refused.graph is None:
        tasks, place = origin.of_error(model, refused.__cause__)
    else:
        tasks, place = origin.of_operation(model, refused.graph, refused.operations)
    if len(tasks) != 1 and "of the trunk" not in place and len(step.spec) > 1:
        guilty = [t for t in model.tasks_with_loss if fails(alone(model, step, t))]
        if guilty and set(guilty) != set(model.tasks_with_loss):
            names = " and ".join(repr(task) for task in guilty)
            place = f"in task {names}, {place}" if place else f"in task {names}"
    advice = [text for part, text in ADVICE.items() if part in refused.reason]
    ending = f". Advice: {advice[0]}" if advice else ""
    return (
        f"The {step.name} must compile for a TPU. "
        f"Received: {refused.reason}, {place}{ending}"
    )


def alone(model: Any, step: Step, task: str) -> Step:
    """Returns a step that trains on the loss of one task only, and updates nothing.

    Args:
        model: A `MultiTaskModel`.
        step: A step with labels.
        task: The task.
    """

    def function(data: Any) -> Any:
        x, y, *weight = data
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = model._task_losses[task](
                y[task], outputs[task], weight[0][task] if weight else None
            )
        found = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return [g for g in found if g is not None]

    return Step(f"step of {task}", function, step.spec)
