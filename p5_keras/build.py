"""Builds a model of a trunk, a sharing and many heads."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from p5_keras.inputs import Input, keras_inputs
from p5_keras.model import MultiTaskModel
from p5_keras.naming import check_names
from p5_keras.sharing.base import Sharing
from p5_keras.sharing.graph import TaskGraph
from p5_keras.sharing.hard import Hard
from p5_keras.task import Task
from p5_keras.trunk import Trunk


def build_model(
    trunk: Trunk,
    tasks: Iterable[Task],
    input_shape: tuple[int, ...] | Mapping[str, Input],
    trunk_l2: float = 0.0,
    head_l2: float = 0.0,
    sharing: Sharing | None = None,
) -> MultiTaskModel:
    """Builds a trunk with a head for every task.

    Args:
        trunk: The shared trunk.
        tasks: The tasks. Those that standardise their targets must have been adapted.
        input_shape: Shape of one input, `(height, width, channels)` for images; or the
            inputs by name, adapted, where they are text, sound or columns.
        trunk_l2: λ of the joint objective.
        head_l2: γ of the joint objective.
        sharing: What lies between trunk and heads, one of `p5_keras.sharing`; left
            out, all heads read one trunk.

    Returns:
        A functional `keras.Model` from `(batch, *input_shape)`, of several inputs from
        a dict, to a dict with one tensor a task. Heads are its layers named like the
        tasks.

    Raises:
        ValueError: A task's name is taken, its head cannot be built on this trunk, or
            the trunk does not suit the sharing.
    """
    tasks = list(tasks)
    if not tasks:
        raise ValueError("`tasks` must hold at least one task. Received: []")
    encoders: dict[str, Input] = {}
    if isinstance(input_shape, Mapping):
        encoders = dict(input_shape)
        trunk = trunk.suited(encoders)
        taken, inputs = list(encoders), keras_inputs(encoders)
    else:
        taken = ["image" if len(input_shape) == 3 else "input"]
        inputs = keras.Input(input_shape, name=taken[0])
    names = [task.name for task in tasks]
    check_names(names, taken)
    outputs = (sharing or Hard()).outputs(trunk, tasks, inputs)
    check_names(names, TaskGraph(outputs).layer_names())
    own: dict[str, Any] = {"trunk_l2": trunk_l2, "head_l2": head_l2}
    return MultiTaskModel(inputs, outputs, tasks=tasks, encoders=encoders, **own)
