"""The parts of the joint objective that are not a task's loss: α, λ and γ."""

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

Tensor = Any


def l2_penalty(rate: float, variables: Iterable[keras.Variable]) -> Tensor:
    """Computes the rate times the sum of squares of all kernels.

    A kernel has two or more axes: neither bias nor normalisation is penalised.
    """
    total = ops.zeros(())
    if not rate:
        return total
    for kernel in variables:
        if len(kernel.shape) > 1:
            total = total + ops.sum(ops.square(ops.cast(kernel, "float32")))
    return rate * total


def number(value: Any) -> float:
    """Reads a number or a `keras.Variable`, which a strategy may have mirrored."""
    return float(ops.convert_to_numpy(value))


def loss_weights(given: dict[str, Any], normalize: str | None) -> dict[str, Any]:
    """Checks and normalises α."""
    for name, value in given.items():
        if not number(value) >= 0:
            raise ValueError(
                "Each of `loss_weights` must be 0 or more. "
                f"Received: {name!r}: {number(value)}"
            )
    if normalize is None:
        return dict(given)
    if normalize not in ("one", "tasks"):
        raise ValueError(
            "`normalize_loss_weights` must be None, 'one' or 'tasks'. "
            f"Received: normalize_loss_weights={normalize!r}"
        )
    if any(isinstance(value, keras.Variable) for value in given.values()):
        raise ValueError(
            "`normalize_loss_weights` needs numbers; it would not follow a "
            f"`keras.Variable`. Received: loss_weights={given}"
        )
    total = sum(float(value) for value in given.values())
    if not total > 0:
        raise ValueError(f"`loss_weights` must not all be 0. Received: {given}")
    scale = (1 if normalize == "one" else len(given)) / total
    return {name: float(value) * scale for name, value in given.items()}
