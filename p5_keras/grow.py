"""A trained model gets tasks, loses tasks, and gets new heads for old ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from p5_keras.export.submodel import submodel
from p5_keras.model import MultiTaskModel
from p5_keras.naming import check_names, did_you_mean
from p5_keras.sharing.base import attach
from p5_keras.sharing.graph import TaskGraph
from p5_keras.sharing.stop_gradient import StopGradient
from p5_keras.task import Features, Task
from p5_keras.tasks.kept import Earlier, Kept
from p5_keras.transfer.freezing import is_stage, stage_names

Logs = dict[str, float]
_PREFIX = "keep_"


def add_task(model: MultiTaskModel, task: Task) -> MultiTaskModel:
    """Returns a model with one more task, whose head is new.

    All else is a copy, not compiled: the given model stays as it is, and the new one
    answers the old tasks as it does, to the bit. Train the new head, or more, through
    `learner`.

    Args:
        model: A model whose trunk is one, without columns.
        task: The task, adapted where its kind needs that.

    Raises:
        ValueError: The name is taken, or the head cannot be built on the trunk.
    """
    grown = copy(model)
    taken = TaskGraph(dict(grown.output)).layer_names()
    taken += [x.name for x in grown.inputs]
    check_names([*grown.task_names, task.name], taken)
    output = attach(task, features(grown), grown.input, grown.output)
    outputs = {**grown.output, task.name: output}
    return _model(grown, outputs, [*grown.tasks, task])


def remove_task(model: MultiTaskModel, name: str) -> MultiTaskModel:
    """Returns a copy of a model without a task and the layers that only it needs.

    Raises:
        ValueError: There is no such task, or no other.
    """
    _check(model, [name])
    return submodel(copy(model), [n for n in model.task_names if n != name])


def replace_head(model: MultiTaskModel, task: Task) -> MultiTaskModel:
    """Returns a copy of a model with a new head for the task of a name.

    The kind may be another, and what was learned before goes on in the trunk alone.

    Args:
        model: A model whose trunk is one, without columns.
        task: The task with the name of an old one.

    Raises:
        ValueError: There is no such task, or another reads its output.
    """
    _check(model, [task.name])
    if readers := [old.name for old in model.tasks if task.name in old.reads]:
        raise ValueError(
            "No other task may read the head that is replaced: remove it before, and "
            f"add it again. Received: {task.name!r}, which is read by {readers}"
        )
    grown = copy(model)
    outputs = dict(grown.output)
    outputs[task.name] = attach(task, features(grown), grown.input, outputs)
    tasks = [task if old.name == task.name else old for old in grown.tasks]
    return _model(grown, outputs, tasks)


def learner(
    grown: MultiTaskModel,
    tasks: Sequence[str],
    old: MultiTaskModel | None = None,
    frozen: bool = False,
    weight: float = 1.0,
) -> MultiTaskModel:
    """Returns the part of a grown model that learns some tasks; its layers are shared.

    Data with labels of these tasks are enough to train it, and the grown model learns
    as it does. What becomes of the other tasks is the caller's choice: with `frozen`
    they stay as they are, to the bit; with `old` the trunk is tuned while their own
    old outputs on the new inputs are what their outputs are held to, and batch
    normalisation stays as it is; with neither the trunk is tuned and they are forgotten
    as it goes.

    Args:
        grown: What `add_task` or `replace_head` returned; not compiled.
        tasks: Names of the tasks to learn.
        old: The model before; the tasks that it has in common with `grown`, and that
            are not learned, are kept, each by a task `keep_<name>`.
        frozen: Whether nothing but the heads of `tasks` is trained.
        weight: α of each kept task.

    Returns:
        A model of `tasks` and of the kept ones, to be compiled and trained. In
        training it runs the old model too.

    Raises:
        ValueError: A name is no task's, or there is nothing to be kept.
    """
    _check(grown, tasks)
    outputs = {name: grown.output[name] for name in tasks}
    chosen = [task for task in grown.tasks if task.name in tasks]
    if frozen:
        heads = {grown.get_layer(name) for name in tasks}
        for layer in grown.layers:
            if layer not in heads:
                layer.trainable = False
        old = None
    if old is not None:
        kept = [n for n in old.task_names if n in grown.task_names and n not in tasks]
        if not kept:
            raise ValueError(
                "`old` must have a task that is not learned anew. "
                f"Received: {old.task_names}, tasks={list(tasks)}"
            )
        before = copy(old)
        new = {id(x) for name in tasks for x in _flat(grown.get_layer(name))}
        for layer in (x for part in grown.layers for x in _flat(part)):
            # By the batch it would answer otherwise than before from the first step.
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = layer.trainable and id(layer) in new
        answers = {n: before.output[n] for n in kept}
        said = Earlier(keras.Model(before.input, answers), name="old")(grown.input)
        for name in kept:
            task = Kept(
                _PREFIX + name,
                task=next(t for t in grown.tasks if t.name == name),
                loss_weight=weight,
            )
            pair = {"new": grown.output[name], "old": StopGradient()(said[name])}
            outputs[task.name] = attach(task, pair, grown.input, {})
            chosen.append(task)
    return _model(grown, outputs, chosen)


def changes(
    before: MultiTaskModel,
    after: MultiTaskModel,
    dataset: tf.data.Dataset,
    trivial: Mapping[str, float] | None = None,
) -> dict[str, dict[str, float]]:
    """Measures what each old task lost and each new one gained.

    Args:
        before: The model before.
        after: The model that has grown, or shrunk.
        dataset: Held-out batches `(x, y, sample_weight)` with the labels of all tasks.
        trivial: Metrics of the trivial predictor (`evaluation.trivial_metrics`), which
            new tasks are compared with; else with nothing.

    Returns:
        By metric, `<task>_<metric>`, the value `before` and `after`, and the `gain`,
        negative where the metric has got worse, whichever way is better.
    """
    logs = [_evaluated(model, dataset) for model in (before, after)]
    found: dict[str, dict[str, float]] = {}
    for task in after.tasks:
        for name, better in task.better.items():
            key = f"{task.name}_{name}"
            if key not in logs[1]:
                continue
            one = logs[0].get(key, (trivial or {}).get(key, float("nan")))
            gain = logs[1][key] - one
            gain = gain if better == "higher" else -gain
            found[key] = {"before": one, "after": logs[1][key], "gain": gain}
    return found


def copy(model: MultiTaskModel) -> MultiTaskModel:
    """Returns a model with the same layers and weights of its own, not compiled."""
    again: MultiTaskModel = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    return again


def features(model: MultiTaskModel) -> Features:
    """Returns what the trunk of a model makes of its input, by the stages' names.

    Raises:
        ValueError: The model has no trunk, or columns of several.
    """
    stages = [layer for layer in model.layers if is_stage(layer)]
    if not stages or len(stage_names(model)) < len(stages):
        raise ValueError(
            "`model` must have one trunk, whose layers are named trunk_<feature>. "
            f"Received: layers={[layer.name for layer in model.layers]}"
        )
    graph, found, x = TaskGraph(dict(model.output)), {}, model.input
    for stage in stages:
        # Where the stage has read this very tensor, its output is there already.
        x = graph.output_of(stage, x)
        found[stage.name.removeprefix("trunk_")] = x
    return found


def _model(
    grown: MultiTaskModel, outputs: dict[str, Any], tasks: Sequence[Task]
) -> MultiTaskModel:
    return MultiTaskModel(
        grown.input,
        outputs,
        tasks=tasks,
        encoders=grown.encoders,
        reading=grown.reading,
        trunk_l2=grown.trunk_l2,
        head_l2=grown.head_l2,
        name=grown.name,
    )


def _flat(layer: Any) -> list[Any]:
    return list(layer._flatten_layers())


def _check(model: MultiTaskModel, names: Sequence[str]) -> None:
    for name in names:
        if name not in model.task_names:
            raise ValueError(
                f"The model must have the task.{did_you_mean(name, model.task_names)} "
                f"Received: {name!r}; tasks: {model.task_names}"
            )


def _evaluated(model: MultiTaskModel, dataset: tf.data.Dataset) -> Logs:
    names = model.task_names

    def own(x: Any, y: Any, weight: Any) -> Any:
        return x, {n: y[n] for n in names}, {n: weight[n] for n in names}

    if not model.compiled:
        model = submodel(model, names)  # compiled here, and not where it was given
        model.compile()
    return model.evaluate(dataset.map(own), return_dict=True, verbose=0)
