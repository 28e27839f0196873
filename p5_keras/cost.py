"""What a model costs: parameters, and operations of a forward pass."""

import logging

import keras
import tensorflow as tf


def flops(model: keras.Model) -> int:
    """Counts the floating-point operations of a forward pass for one example.

    A multiplication and an addition are two. What TensorFlow's profiler has no count
    for, such as a resize, is left out.

    Args:
        model: A functional model with inputs of a fixed size.
    """
    inputs = [tf.TensorSpec([1, *x.shape[1:]], x.dtype) for x in model.inputs]

    @tf.function
    def forward(*x: tf.Tensor) -> object:
        return model(list(x) if len(x) > 1 else x[0], training=False)

    graph = forward.get_concrete_function(*inputs).graph
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
