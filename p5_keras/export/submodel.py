"""A model of some of the tasks of another."""

from collections.abc import Sequence

from p5_keras.model import MultiTaskModel
from p5_keras.naming import did_you_mean


def submodel(model: MultiTaskModel, tasks: Sequence[str]) -> MultiTaskModel:
    """Makes a model of some tasks, without the layers that only others need.

    Its layers, and so its weights, are those of the given model.

    Args:
        model: The model.
        tasks: Names of the tasks to keep, one at least.

    Raises:
        ValueError: A name is not that of a task.
    """
    for name in tasks:
        if name not in model.task_names:
            raise ValueError(
                f"`tasks` must be names of the model's tasks, {model.task_names}."
                f"{did_you_mean(name, model.task_names)} Received: {name!r}"
            )
    if not tasks:
        raise ValueError("`tasks` must name one task at least. Received: none")
    return MultiTaskModel(
        model.input,
        {name: model.output[name] for name in model.task_names if name in tasks},
        tasks=[task for task in model.tasks if task.name in tasks],
        trunk_l2=model.trunk_l2,
        head_l2=model.head_l2,
        encoders=model.encoders,
        reading=model.reading,
        name=model.name,
    )
