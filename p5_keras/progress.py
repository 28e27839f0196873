"""What a person sees while training: a bar, and a line an epoch."""

import sys
from collections.abc import Sequence
from typing import Any

import keras

from p5_keras.task import Task

Logs = dict[str, float]


class EpochTable(keras.callbacks.Callback):
    """Prints the primary validation metric of every task, one line an epoch.

    On a terminal a progress bar stands below it while an epoch runs.

    Args:
        tasks: The tasks.
        epochs: Number of epochs, for the first column.
    """

    def __init__(self, tasks: Sequence[Task], epochs: int) -> None:
        super().__init__()
        self.tasks, self.epochs = list(tasks), epochs
        self._header = False
        self._bar: Any = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the bar."""
        if sys.stdout.isatty():
            self._bar = keras.utils.Progbar(self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Moves the bar."""
        if self._bar is not None:
            loss = [("loss", (logs or {}).get("loss", 0.0))]
            self._bar.update(batch + 1, values=loss, finalize=False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Prints the line."""
        logs = logs or {}
        names = [f"{t.name} {t.primary}" for t in self.tasks]
        widths = [max(len(name), 8) for name in names]
        if self._bar is not None:
            print("\r\033[K", end="")
        if not self._header:
            head = [n.rjust(w) for n, w in zip(names, widths, strict=True)]
            print("  ".join([" epoch ", "    loss", *head, "   skill"]))
            self._header = True
        cells = [f"{epoch + 1:3d}/{self.epochs:<3d}", f"{logs.get('loss', 0):8.4f}"]
        for task, width in zip(self.tasks, widths, strict=True):
            value = logs.get(f"val_{task.name}_{task.primary}", float("nan"))
            cells.append(f"{value:{width}.4f}")
        cells.append(f"{logs.get('val_skill', float('nan')):8.4f}")
        print("  ".join(cells), flush=True)
