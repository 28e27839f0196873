"""Moving averages of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the optimizer's moving averages in the weights' place for a while.

    Without `use_ema=True` in the optimizer it does nothing.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    # Under mixed_float16 Keras wraps the optimizer in one that scales the loss.
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    # Before the first step the averages are zeros.
    if not getattr(optimizer, "use_ema", False) or not optimizer.iterations.numpy():
        yield
        return
    averages = optimizer._model_variables_moving_average
    variables = list(model.trainable_variables)
    kept = [v.numpy() for v in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(average.numpy())
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
