"""A sharing: what lies between a trunk and the heads of the tasks."""

import dataclasses
import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from p5_keras.naming import did_you_mean
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk, shape_of


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """Base of all sharings: which layers lie between a trunk and each task's head.

    A sharing is needed to build a model and not to use it: all it does is layers of
    a functional model. Which of these several tasks share is read off the finished
    graph (`p5_keras/sharing/graph.py`), so a sharing has nothing to declare.

    A subclass is a frozen dataclass whose fields are the architecture's parameters.
    It implements `features()`, or `outputs()` where a head reads another head.
    """

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds the layers up to the heads.

        Args:
            trunk: The trunk, whose stages and copies are what to build with.
            tasks: The tasks.
            inputs: The Keras tensor of the model's input, or a dict of several.

        Returns:
            For each task the features that its head may read, by name, from the
            finest to the deepest.

        Raises:
            ValueError: Trunk, tasks and parameters do not go together.
        """
        raise NotImplementedError

    def outputs(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Tensor]:
        """Builds everything from the input to the raw output of each task."""
        features = self.features(trunk, tasks, inputs)
        built: dict[str, Tensor] = {}
        for task in ordered(tasks, {}):
            built[task.name] = attach(task, features[task.name], inputs, built)
        return {task.name: built[task.name] for task in tasks}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def ordered(
    tasks: Sequence[Task], reads: Mapping[str, Sequence[str]]
) -> Sequence[Task]:
    """Returns the tasks in an order in which each stands behind what it reads.

    Args:
        tasks: The tasks.
        reads: Names of tasks that a task reads beside those of its own `reads`.

    Raises:
        ValueError: They read each other in a circle.
    """
    named = {task.name: task for task in tasks}
    graph = {name: (*task.reads, *reads.get(name, ())) for name, task in named.items()}
    try:
        order = list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise ValueError(
            "Tasks that read each other must not go round in a circle. "
            f"Received: {' reads '.join(error.args[1][::-1])}"
        ) from error
    return [named[name] for name in order if name in named]


def attach(
    task: Task, features: Features, inputs: Tensor, outputs: Mapping[str, Tensor]
) -> Tensor:
    """Builds a task's head on features and returns its raw output.

    A task that makes other pictures of the input gets their features: the same layers
    are applied once more.

    Args:
        task: The task.
        features: The features that its head may read.
        inputs: The Keras tensor of the model's input, or a dict of several.
        outputs: Raw outputs of the tasks whose heads are built, by name.

    Raises:
        ValueError: A task that it reads is not there, or has the name of a feature.
    """
    for name in task.reads:
        if name not in outputs:
            raise ValueError(
                f"Task {task.name!r} reads the output of task {name!r}, which must be "
                f"in the model too.{did_you_mean(name, outputs)} "
                f"Received: tasks={list(outputs)} beside it"
            )
        if name in features:
            raise ValueError(
                f"A task that another reads must not be named as a feature is. "
                f"Received: {name!r}; features={list(features)}"
            )
    features = {**features, **{name: outputs[name] for name in task.reads}}
    if (views := task.views(inputs)) is not None:
        views = dict(views)
        again = keras.Function(inputs, features)
        features = {**again.call(views.pop("input")), **views}
    head = task.build(features, shape_of(inputs))
    return head({x.name: features[x.name] for x in head.inputs})


def column(
    trunk: Trunk, inputs: Tensor, name: str, first: bool
) -> dict[str, keras.Model]:
    """Builds the stages of one of several columns.

    Args:
        trunk: The trunk.
        inputs: The Keras tensor of the model's input.
        name: Name of the column.
        first: Whether it is the trunk itself, with pretrained weights where it has
            any; other columns are copies.

    Returns:
        The stages by the name of their feature; each is named
        `trunk_<column>_<feature>`.
    """
    source = trunk if first else trunk.copy()
    stages = source.stages(shape_of(inputs))
    for feature, stage in stages.items():
        stage.name = f"trunk_{name}_{feature}"
    return stages


def columns(
    trunk: Trunk, inputs: Tensor, names: Sequence[str]
) -> dict[str, dict[str, keras.Model]]:
    """Builds several columns; see `column()`."""
    return {n: column(trunk, inputs, n, n == names[0]) for n in names}


def pooled(x: Tensor) -> Tensor:
    """Averages a feature over its positions: `(batch, channels)`."""
    rank = len(x.shape)
    if rank == 2:
        return x
    return getattr(layers, f"GlobalAveragePooling{rank - 2}D")()(x)


def check_tasks(
    what: str, names: Sequence[str], tasks: Sequence[Task], value: Any
) -> None:
    """Checks that an argument names every task once.

    Args:
        what: Name of the argument.
        names: The names in it.
        tasks: The tasks.
        value: The argument, for the message.

    Raises:
        ValueError: It does not.
    """
    known = [task.name for task in tasks]
    if sorted(names) != sorted(known):
        raise ValueError(
            f"`{what}` must name every task once. "
            f"Received: {what}={value!r}; tasks: {known}"
        )
