"""Where in a model an operation comes from: which task, layer and line of code."""

import pathlib
import re
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

PACKAGE = str(pathlib.Path(__file__).parents[1])


def of_operation(model: Any, graph: Any, names: list[str]) -> tuple[set[str], str]:
    """Finds where the operation of one of some names comes from.

    A layer's operations carry its name, those of a loss its task's. Any other belongs
    to the task whose outputs, labels or weights it is computed from.

    Args:
        model: A `MultiTaskModel`.
        graph: The graph of a step, its arguments named by `argument`.
        names: Names, the first one to be looked for first.

    Returns:
        Tasks that it may belong to, and a description.
    """
    for name in names:
        for path in every_operation(graph):
            if path[-1].name == name:
                return _describe(model, path)
    return set(), f"in the operation {names[0]}" if names else ""


def of_error(model: Any, error: BaseException | None) -> tuple[set[str], str]:
    """Finds where an error that user code raised comes from, as `of_operation`.

    Args:
        model: A `MultiTaskModel`.
        error: The error.
    """
    frames = []
    while error is not None:
        frames += list(traceback.walk_tb(error.__traceback__))
        error = error.__cause__
    owners = {id(loss): task for task, loss in model._task_losses.items()}
    for task in model.task_names:
        head = model.get_layer(task)
        owners |= {id(layer): task for layer in head._flatten_layers()}
    tasks = []
    for frame, _ in frames:
        me = frame.f_locals.get("self")
        # Keras keeps the metrics of an output together, under its name.
        task = owners.get(id(me)) or getattr(me, "output_name", None)
        tasks += [task] if task in model.task_names else []
    found = set(tasks[-1:])
    place = f"in task {tasks[-1]!r}" if tasks else ""
    code = code_of(
        traceback.FrameSummary(f.f_code.co_filename, line, f.f_code.co_name)
        for f, line in frames
    )
    return found, joined(place, code)


def argument(task: str) -> str:
    """Returns the name of an argument that is a task's label or weight."""
    return f"labels_of_{task}"


def every_operation(graph: Any) -> Iterator[list[tf.Operation]]:
    """Yields the operations of a graph, each below those whose functions it is in."""
    for operation in graph.get_operations():
        yield [operation]
        for value in operation.node_def.attr.values():
            for name in [value.func.name, *(f.name for f in value.list.func)]:
                inner = graph._get_function(name) if name else None
                if inner is not None:
                    for below in every_operation(inner.graph):
                        yield [operation, *below]


def _describe(model: Any, path: list[tf.Operation]) -> tuple[set[str], str]:
    code = code_of(path[-1].traceback or ())
    for operation in reversed(path):
        tasks, place = _by_name(model, operation.name)
        if place:
            return tasks, joined(place, code)
    tasks = set().union(*(_by_inputs(model, operation) for operation in path))
    if len(tasks) == 1:
        return tasks, joined(f"in a loss or a metric of task {min(tasks)!r}", code)
    return tasks, joined(f"in the operation {path[-1].name}", code)


def _by_name(model: Any, name: str) -> tuple[set[str], str]:
    """Reads the name scopes: a task's loss, or a layer at any depth."""
    parts = name.split("/")[:-1]
    for part in parts:
        if tasks := {t for t in model.task_names if _is(part, f"{t}_loss")}:
            return tasks, f"in the loss of task {min(tasks)!r}"
    layers, found, tasks = model.layers, [], set()
    for part in parts:
        inside = [x for x in layers if _is(part, x.name)]
        exact = [x for x in inside if x.name == part]
        if layer := next(iter([*exact, *inside]), None):
            if not found:  # a name and one that Keras has numbered may be the same
                tasks = {x.name for x in inside} & set(model.task_names)
            found.append(layer.name)
            layers = getattr(layer, "layers", [])
    if not found:
        return set(), ""
    if tasks:
        inner = "/".join(found[1:])
        where = f"layer {inner!r}" if inner else "the head"
        return tasks, f"in {where} of task {found[0]!r}"
    return set(), f"in layer {'/'.join(found)!r} of the trunk"


def _is(part: str, name: str) -> bool:
    return re.fullmatch(re.escape(name) + r"(_\d+)?", part) is not None


def _by_inputs(model: Any, operation: tf.Operation) -> set[str]:
    """Goes back from an operation to labels and heads."""
    found: set[str] = set()
    seen, ahead = set(), [operation]
    labels = {argument(task): task for task in model.task_names}
    while ahead:
        operation = ahead.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        tasks, place = _by_name(model, operation.name)
        for name, task in labels.items():
            if operation.type == "Placeholder" and _is(operation.name, name):
                tasks = tasks | {task}
        found |= tasks
        if not tasks and not place:
            ahead += [x.op for x in operation.inputs]
    return found


def code_of(frames: Iterable[Any]) -> str:
    """Returns where user code is in a stack, "file.py, line 3, in name", or nothing.

    Args:
        frames: Frames with `filename`, `lineno` and `name`, the innermost last.
    """
    frames = list(frames)
    own = [i for i, f in enumerate(frames) if f.filename.startswith(PACKAGE)]
    libraries = (PACKAGE, str(pathlib.Path(tf.__file__).parent.parent))
    # What comes before the package is what called it.
    for frame in reversed(frames[own[0] if own else 0 :]):
        if not frame.filename.startswith((*libraries, "<")):
            name = pathlib.Path(frame.filename).name
            return f"{name}, line {frame.lineno}, in {frame.name}"
    return ""


def joined(place: str, code: str) -> str:
    """Puts a place and a line of code together."""
    return f"{place} ({code})" if place and code else place or code
