"""Classes of data and of tasks, matched by their names."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from p5_keras.task import Task


def check(tasks: Sequence[Task], reading: Mapping[str, Any]) -> None:
    """Checks that tasks have all classes of the data that they are to read.

    Args:
        tasks: The tasks.
        reading: How the examples were read, as `Source` has it.

    Raises:
        ValueError: The data have a class that a task lacks.
    """
    for task in tasks:
        names, wanted = _names(task, reading)
        for name in names:
            if name not in wanted:
                raise ValueError(
                    f"The classes of the data must be those of task {task.name!r}, "
                    f"{wanted}. Received: {name!r} in the field {task.label!r}. Train "
                    "anew for it; or read these data with `user_data(..., reading=)` "
                    "and on_bad_example='skip', which leaves it out"
                )


def by_name(
    tasks: Sequence[Task],
    reading: Mapping[str, Any],
    example: dict[str, Any],
    read: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns a batch of examples with the classes in the tasks' order.

    There is nothing to match in a field that a transformation has made anew.

    Args:
        tasks: The tasks.
        reading: How the examples were read, as `Source` has it.
        example: The batch.
        read: The same before any transformation.

    Raises:
        ValueError: The data have a class that a task lacks.
    """
    for task in tasks:
        names, wanted = _names(task, reading)
        value = example.get(task.label)
        if names and value is not None and value is read.get(task.label):
            check([task], reading)
            example = {**example, task.label: _in_order(value, names, wanted)}
    return example


def _names(task: Task, reading: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the classes of the data and of a task; none if they are the same.

    Where either side has numbers for names, or one class only, none can be mistaken.
    """
    stored = reading.get("fields", {}).get(task.label, {})
    names = list(stored.get("class_names", ()))
    wanted = list(getattr(task, "class_names", ()))
    free = _numbers(names) or _numbers(wanted) or len(wanted) < 2
    return ([], []) if free or names == wanted else (names, wanted)


def _in_order(value: Any, names: list[str], wanted: list[str]) -> Any:
    """Returns labels with the numbers of other classes, by their names."""
    if isinstance(value, dict):
        return {**value, "label": _in_order(value["label"], names, wanted)}
    if value.dtype.is_floating:  # a number for each class
        place = [names.index(name) if name in names else len(names) for name in wanted]
        missing = tf.reduce_all(tf.math.is_nan(value), axis=-1, keepdims=True)
        none = tf.where(missing, value[..., :1], tf.zeros_like(value[..., :1]))
        return tf.gather(tf.concat([value, none], axis=-1), place, axis=-1)
    table = tf.constant([wanted.index(name) for name in names], value.dtype)
    # What is no class stays: negative where missing, 255 in masks.
    ids = tf.cast(value, tf.int32)
    known = (ids >= 0) & (ids < len(names))
    return tf.where(known, tf.gather(table, tf.where(known, ids, 0)), value)


def _numbers(names: list[str]) -> bool:
    return names == [str(i) for i in range(len(names))]
