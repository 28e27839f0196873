"""Times of several programs in turn: a machine that slows down slows them all."""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


def seconds(
    sides: tuple[Callable[[], None], Callable[[], None]], pairs: int
) -> np.ndarray:
    """Times two programs by turns; which one goes first alternates.

    Args:
        sides: Each runs one measurement and waits for its end.
        pairs: Measurements of each, after one that warms up.

    Returns:
        `(2, pairs)` seconds.
    """
    times = np.zeros((2, pairs))
    for pair in range(-1, pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            start = time.perf_counter()
            sides[side]()
            if pair >= 0:
                times[side, pair] = time.perf_counter() - start
    return times


def steps(model: keras.Model, data: tf.data.Dataset, count: int) -> Callable[[], None]:
    """Makes a measurement of training steps, after tracing the step.

    Args:
        model: A compiled model.
        data: One batch.
        count: Steps in one measurement.
    """
    model.fit(data, verbose=0, shuffle=False)
    step, iterator = model.train_function, iter(data.repeat())

    def run() -> None:
        for _ in range(count):
            logs = step(iterator)
        float(logs["loss"])

    return run


def interval(ratios: np.ndarray) -> tuple[float, float, float]:
    """Returns the median, and the ends of its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (5000, len(ratios))), axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)
