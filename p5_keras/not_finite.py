"""Steps whose loss is not a number: what was in their batches, and going on without."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.replicas import from_all_workers, local_values
from p5_keras.strategy import distribute

#: Batches of one epoch that may be skipped before the fault is not in the batches.
MOST_SKIPPED = 10


class NotFinite(Exception):
    """Ends `fit` where the loss, or a weight, is not finite.

    Args:
        step: Number of the batch, from 0.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def check(loss: float, step: int) -> None:
    """Checks the loss of an epoch so far.

    Raises:
        NotFinite: It is not finite, of which this step is the cause.
    """
    if not math.isfinite(loss):
        raise NotFinite(step)


def check_weights(model: keras.Model, step: int) -> None:
    """Checks what is to be saved: weights, and the memory of a weighting.

    Raises:
        NotFinite: A number is not finite, since this step or one that was not checked.
    """
    kept = [*model.trainable_variables, *getattr(model, "weighting_variables", ())]
    if not all(np.isfinite(v.numpy()).all() for v in kept):
        raise NotFinite(step)


class Blame:
    """Finds the batch after which a loss, or a weight, is not finite.

    The loss of a step may be so because the gradients of one before broke the weights,
    and broken weights need not show in the loss for long. So while the steps up to
    there are done again, without the batch that is suspected, the weights are checked
    after each.
    """

    def __init__(self) -> None:
        self.suspects: list[int] = []
        self.until = -1

    def careful(self, step: int) -> bool:
        """Whether the weights are to be checked after a step."""
        return step <= self.until

    def skip(self, bad: range, skipped: list[int], steps_per_epoch: int) -> list[int]:
        """Returns the numbers of the batches to do without, sorted.

        Args:
            bad: Those of the step that was found or, with `steps_per_execution`, steps.
            skipped: Those that are left out already.
            steps_per_epoch: Steps an epoch.

        Returns:
            The numbers; none where other batches do not help, or there are too many.
        """
        known = set(skipped)
        if not known.isdisjoint(bad):
            return []
        if self.careful(bad[-1]):  # it was this one, not the one suspected
            known -= set(self.suspects)
        known |= set(bad)
        self.suspects, self.until = list(bad), max(self.until, bad[-1])
        epoch = bad[0] // steps_per_epoch
        count = sum(step // steps_per_epoch == epoch for step in known) / len(bad)
        return [] if count > MOST_SKIPPED else sorted(known)


def without(
    batches: Callable[[int], tf.data.Dataset],
    start: int,
    skipped: list[int],
    steps: int,
) -> tf.data.Dataset:
    """Returns the batches from a step on, with others in the place of some.

    Args:
        batches: From the number of a step to an endless dataset that starts there.
        start: Number of the first batch.
        skipped: Numbers of the batches to do without.
        steps: Number of all steps of the run; the others are from after its end.
    """
    dataset = None
    for i, step in enumerate(skipped):
        if step < start:
            continue
        part = batches(start).take(step - start).concatenate(batches(steps + i).take(1))
        dataset = part if dataset is None else dataset.concatenate(part)
        start = step + 1
    rest = batches(start)
    return rest if dataset is None else dataset.concatenate(rest)


def write_batch(
    model: Any, dataset: tf.data.Dataset, step: int, path: pathlib.Path, write: bool
) -> None:
    """Writes the first batch of a dataset to a file, with the shares of all workers.

    Args:
        model: The model.
        dataset: Batches; the first is written.
        step: Number of the batch.
        path: A .npz file; it gets `step`, the input as `x`, and by task `label/NAME`
            and `weight/NAME`.
        write: Whether this worker is the one that writes.
    """
    strategy = model.distribute_strategy

    @tf.function
    def gather(data: Any) -> Any:
        return strategy.run(from_all_workers, (data,))

    batch = next(iter(distribute(strategy, dataset.take(1))[0]))
    batch = tf.nest.map_structure(
        lambda value: local_values(strategy, value), gather(batch)
    )
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    arrays: dict[str, Any] = {"step": np.array(step)}
    arrays |= {f"x/{k}": v for k, v in x.items()} if isinstance(x, dict) else {"x": x}
    arrays |= {f"label/{name}": value for name, value in y.items()}
    arrays |= {f"weight/{name}": value for name, value in (weight or {}).items()}
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
