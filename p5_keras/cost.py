"""What a model costs: parameters, and operations of a forward pass."""

import logging
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def flops(model: keras.Model, rows: int = 1) -> int:
    """Counts the floating-point operations of a forward pass for one example.

    A multiplication and an addition are two. What TensorFlow's profiler has no count
    for, such as a resize or a stitch, is left out.

    Args:
        model: A functional model with inputs of a fixed size.
        rows: Rows of its inputs that are one example.
    """
    inputs = keras.tree.map_structure(
        lambda x: tf.TensorSpec([rows, *x.shape[1:]], x.dtype), model.input
    )
    forward = tf.function(lambda x: model(x, training=False))
    graph = forward.get_concrete_function(inputs).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells of its own old parts
    try:
        return int(
            tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
        )
    finally:
        logger.setLevel(level)


def parts(model: Any) -> dict[str, dict[str, Any]]:
    """Counts parameters and operations of trunk, sharing and heads.

    The trunk are its stages and all copies of them; the sharing is what else lies
    before the heads, such as gates, masks and stitches.

    Args:
        model: A `MultiTaskModel`.

    Returns:
        "parameters" and "flops", both with the numbers of "trunk" and "sharing" and,
        by task, of "heads".
    """
    heads = {task: model.get_layer(task.name) for task in model.tasks}
    trunk = [x for x in model.layers if x.name.startswith("trunk_")]
    found = {}
    for what, count in (("parameters", _parameters), ("flops", flops)):
        own = {t.name: count(head, t.pictures) for t, head in heads.items()}
        stages, rest = sum(map(count, trunk)), count(model) - sum(own.values())
        found[what] = {"trunk": stages, "sharing": rest - stages, "heads": own}
    return found


def rows(found: dict[str, dict[str, Any]]) -> Iterable[tuple[str, int, int]]:
    """Lists what `parts()` counted: name, parameters, operations; the sum is last."""
    sizes, work = found["parameters"], found["flops"]
    flat = [(name, sizes[name], work[name]) for name in ("trunk", "sharing")]
    flat += [(f"head: {t}", n, work["heads"][t]) for t, n in sizes["heads"].items()]
    flat = [row for row in flat if row[1] or row[2]]
    yield from flat
    yield "all", sum(row[1] for row in flat), sum(row[2] for row in flat)


def summary(model: Any) -> None:
    """Prints the layers of a model, and parameters and operations of its parts.

    Args:
        model: A `MultiTaskModel`.
    """
    model.summary(expand_nested=True)
    print(f"{'part':24s} {'parameters':>14s} {'FLOPs':>16s}")
    for name, size, work in rows(parts(model)):
        print(f"{name:24s} {size:14,} {work:16,}")


def _parameters(model: keras.Model, rows: int = 1) -> int:
    del rows
    return sum(int(np.prod(v.shape)) for v in model.weights)
