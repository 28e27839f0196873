"""Early stopping of single tasks."""

import math
from collections.abc import Iterable
from typing import Any

import keras

Logs = dict[str, float]


class TaskStopping(keras.callbacks.Callback):
    """Stops each task when its own validation metric has not improved for a while.

    From then on its loss is out of the joint objective, and what its loss alone
    reaches is updated no more; see `MultiTaskModel.stop`. The other tasks go on, the
    last one until `Checkpoints(patience=)` or the number of epochs ends the run.

    What is stopped is a function of the logs of the epochs so far. A run that goes on
    from `checkpoints` reads them there and decides as if it had never been killed.

    Args:
        patience: Epochs without a better primary metric of the task; `None` stops no
            task.
        min_delta: What a metric must improve by to count as better.
        checkpoints: The `Checkpoints` of the run, if it has one.
    """

    def __init__(
        self, patience: int | None, min_delta: float = 0.0, checkpoints: Any = None
    ) -> None:
        super().__init__()
        if (patience is not None and patience < 1) or min_delta < 0:
            raise ValueError(
                "`patience` must be 1 or more, `min_delta` 0 or more. "
                f"Received: patience={patience}, min_delta={min_delta}"
            )
        self.patience, self.min_delta = patience, min_delta
        self.checkpoints = checkpoints
        self._rows: list[Logs] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Stops what was stopped in the epochs before."""
        if self.checkpoints is not None:
            self._rows = list(self.checkpoints.progress.history)
        self._stop()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Looks at the epoch's validation metrics."""
        self._rows.append(dict(logs or {}))
        self._stop()

    def _stop(self) -> None:
        if self.patience is None:
            return
        for name in stopped(
            self.model.tasks, self._rows, self.patience, self.min_delta
        ):
            self.model.stop(name)


def stopped(
    tasks: Iterable[Any], rows: list[Logs], patience: int, min_delta: float
) -> list[str]:
    """Returns the names of the tasks that have stopped after some epochs.

    Args:
        tasks: The tasks.
        rows: Logs of each epoch, the validation's with the prefix "val_".
        patience: Epochs without a better primary metric.
        min_delta: What counts as better.

    Raises:
        ValueError: An epoch did not log a task's primary metric.
    """
    active = {task.name: task for task in tasks}
    best = dict.fromkeys(active, -math.inf)
    waited = dict.fromkeys(active, 0)
    found = []
    for row in rows:
        for name, task in list(active.items()):
            key = f"val_{name}_{task.primary}"
            if key not in row:
                raise ValueError(
                    f"Early stopping of task {name!r} needs its metric {key!r} after "
                    "each epoch: give `validation_data`, and leave that metric in. "
                    f"Received: {sorted(row)}"
                )
            score = row[key] if task.better[task.primary] == "higher" else -row[key]
            if math.isnan(score):  # nothing was labelled
                continue
            waited[name] += 1
            if score > best[name] + min_delta:
                best[name], waited[name] = score, 0
            if waited[name] >= patience and len(active) > 1:
                found.append(name)
                del active[name]
    return found
