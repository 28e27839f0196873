"""What a weighting costs on a model: a few steps with it, and a few without."""

import math
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.strategy import distribute, is_chief
from p5_keras.weighting.engine import Engine


@dataclass(frozen=True)
class Cost:
    """What was measured.

    Attributes:
        weighting: Name of the method.
        plain: Seconds of a step without it.
        solving: Seconds of a step with it that solves.
        keeping: Seconds of a step that keeps the weights; `plain` where every step
            solves.
        update_every: Steps from one solve to the next.
        gradients: Bytes of gradients that a step holds one by one on each device, or 0.
    """

    weighting: str
    plain: float
    solving: float
    keeping: float
    update_every: int
    gradients: int

    def step(self, update_every: int) -> float:
        """Returns the mean seconds of a step that solves only now and then."""
        return (self.solving + (update_every - 1) * self.keeping) / update_every

    def __str__(self) -> str:
        """Returns the line that a person reads before training."""
        now = self.step(self.update_every)
        line = (
            f"weighting {self.weighting}: a step takes {now / self.plain:.2f} times a "
            f"plain one ({1e3 * now:.0f} against {1e3 * self.plain:.0f} ms)"
        )
        if not self.gradients:
            return line
        line += f" and holds {self.gradients / 2**20:.1f} MiB of gradients by task"
        if self.update_every == 1:
            later = self.step(10) / self.plain
            line += f"; update_every=10 would make it {later:.2f} times"
        return line


def measure(model: Any, batches: tf.data.Dataset, steps: int = 3) -> Cost | None:
    """Measures a compiled model's weighting, and leaves the model as it was.

    Memory is measured on a GPU. A CPU does not tell its peak, so there it is what the
    gradients' shapes say.

    Args:
        model: A `MultiTaskModel`, compiled.
        batches: Endless training batches.
        steps: Steps to time, after one that traces; the median counts.

    Returns:
        The cost, or `None` without a weighting.
    """
    engine = model.engine
    if engine is None:
        return None
    strategy = model.distribute_strategy
    with strategy.scope():
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    iterator = iter(distribute(strategy, batches)[0])
    variables = [*model.variables, *model.optimizer.variables, *engine.variables]
    kept = [(v, v.numpy()) for v in variables]
    every = engine.update_every
    with model.weighting_off():
        plain, plain_peak = timed(model, iterator, steps)
    keeping = plain
    if every > 1:
        engine.solves = False
        keeping, _ = timed(model, iterator, steps)
    engine.solves = True
    solving, peak = timed(model, iterator, steps)
    if every > 1:  # else `fit` goes on with the function that has just been traced
        engine.solves = model.train_function = None
    for v, value in kept:
        v.assign(value)
    model.reset_metrics()
    known = gradient_bytes(model, engine, iterator.element_spec[0])
    return Cost(
        weighting=type(engine.weighting).__name__,
        plain=plain,
        solving=solving,
        keeping=keeping,
        update_every=every,
        gradients=known if not known or peak is None else peak - plain_peak,
    )


def print_cost(model: Any, batches: tf.data.Dataset) -> None:
    """Measures a model's weighting and prints the line; nothing without one."""
    cost = measure(model, batches)
    if cost and is_chief(model.distribute_strategy):
        print(cost)


def timed(model: Any, iterator: Any, steps: int) -> tuple[float, Any]:
    """Returns the seconds of a step as the model is now, and a GPU's peak in bytes."""
    model.train_function = None
    keras.Model.make_train_function(model)
    times = []
    reset_peak()
    for _ in range(steps + 1):
        start = time.perf_counter()
        logs = model.train_function(iterator)
        float(np.ravel(logs["loss"])[0])  # waits for the device
        times.append((time.perf_counter() - start) / model.steps_per_execution)
    return float(np.median(times[1:])), peak_bytes()


def reset_peak() -> None:
    """Begins a new measurement of a GPU's memory."""
    if tf.config.list_logical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak_bytes() -> int | None:
    """Returns the most bytes that the first GPU held, or `None` without one."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def gradient_bytes(model: Any, engine: Engine, spec: Any) -> int:
    """Returns the bytes of the gradients that a step takes task by task."""
    if not engine.needs_gradients:
        return 0
    count = len(engine.tasks)
    if engine.parts is None:
        return count * sum(4 * math.prod(v.shape) for v in model.shared_variables)
    parts = tf.nest.flatten(spec)[0]
    batch = getattr(parts, "_value_specs", [parts])[0].shape[0] or 1
    sizes = [math.prod(x.shape[1:]) for x in model.bottleneck]
    size = 2 if model.compute_dtype in ("float16", "bfloat16") else 4
    return count * batch * size * sum(sizes)
