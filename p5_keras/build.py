"""Builds a model of one trunk and many heads."""

from collections.abc import Iterable

import keras

from p5_keras.model import MultiTaskModel
from p5_keras.naming import check_names
from p5_keras.task import Task
from p5_keras.trunk import Trunk


def build_model(
    trunk: Trunk,
    tasks: Iterable[Task],
    input_shape: tuple[int, ...],
    trunk_l2: float = 0.0,
    head_l2: float = 0.0,
) -> MultiTaskModel:
    """Builds one trunk with a head for every task.

    Args:
        trunk: The shared trunk.
        tasks: The tasks. Those that standardise their targets must have been adapted.
        input_shape: Shape of one input: `(height, width, channels)` for images.
        trunk_l2: λ of the joint objective.
        head_l2: γ of the joint objective.

    Returns:
        A functional `keras.Model` from `(batch, *input_shape)` to a dict with one
        tensor a task. Heads are its layers named like the tasks.

    Raises:
        ValueError: A task's name is taken, or its head cannot be built on this trunk.
    """
    tasks = list(tasks)
    if not tasks:
        raise ValueError("`tasks` must hold at least one task. Received: []")
    name = "image" if len(input_shape) == 3 else "input"
    inputs = keras.Input(input_shape, name=name)
    features = trunk(inputs)
    taken = [x._keras_history.operation.name for x in (inputs, *features.values())]
    check_names([task.name for task in tasks], taken)
    outputs = {}
    for task in tasks:
        head = task.build(features, input_shape)
        outputs[task.name] = head({k.name: features[k.name] for k in head.inputs})
    return MultiTaskModel(
        inputs, outputs, tasks=tasks, trunk_l2=trunk_l2, head_l2=head_l2
    )
