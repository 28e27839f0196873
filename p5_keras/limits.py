"""What the numbers that a run is asked for must be."""

import math
from typing import Any

#: Dtype policies.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")

#: Smallest and largest value of numbers; what no machine can hold is a slip.
RANGES = {
    "batch_size": (1, 2**20),
    "epochs": (1, 10**9),
    "steps_per_epoch": (1, 10**9),
    "steps_per_execution": (1, 10**6),
    "learning_rate": (0.0, math.inf),
    "seed": (0, 2**32 - 1),
    "seeds": (1, 10**4),
    "budget_minutes": (0.0, math.inf),
    "trials": (0, 10**6),
    "folds": (1, 10**4),
    "fold": (0, 10**4),
    "jobs": (1, 10**4),
}


def check_number(name: str, value: Any) -> None:
    """Checks a number that `RANGES` knows; of two whole ones both ends may be.

    Raises:
        ValueError: It is out of range, or not finite.
    """
    if name not in RANGES or value is None:
        return
    low, high = RANGES[name]
    if isinstance(low, float):
        if not (low < value < high):
            raise ValueError(
                f"`{name}` must be a finite number above 0. Received: {name}={value}"
            )
    elif not low <= value <= high:
        raise ValueError(
            f"`{name}` must be from {low} to {high}. Received: {name}={value}"
        )
