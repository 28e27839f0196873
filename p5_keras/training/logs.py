"""What each epoch gave, as a table and for TensorBoard."""

import csv
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from p5_keras import atomic

#: Columns of the table that are times, of which TensorBoard has its own.
TIMES = ("epoch", "seconds", "val_seconds")


class Logs:
    """`history.csv` and TensorBoard's events of a run, which follow its history.

    The history is a part of the saved state, so it is what the files are made of: when
    a run goes on they are written anew, and each epoch is in them once, whenever the
    process before was killed.

    Args:
        folder: Folder of the logs: `history.csv` has a line an epoch, `train/` and
            `validation/` have files for TensorBoard, whose steps are epochs from 0 on.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._boards: list[_Board] = []
        self._written = -1

    def follow(self, history: Sequence[Mapping[str, float]]) -> None:
        """Writes what is new in a history; all of it at first, or if it is shorter.

        Args:
            history: The logs of each epoch, with the keys of `TIMES`.

        Raises:
            OSError: It cannot be written; so for `tf.errors.OpError`.
        """
        if self._written == len(history):
            return
        if not 0 <= self._written < len(history):
            self.close()
            self.folder.mkdir(exist_ok=True)
            self._boards = [_Board(self.folder / n) for n in ("train", "validation")]
            self._written = 0
        for row in history[self._written :]:
            values = {k: v for k, v in row.items() if k not in TIMES}
            held_out = {k[4:]: v for k, v in values.items() if k.startswith("val_")}
            trained = {k: v for k, v in values.items() if not k.startswith("val_")}
            for board, part in zip(self._boards, (trained, held_out), strict=True):
                board.add(int(row["epoch"]) - 1, part)
        for board in self._boards:
            board.flush()
        path = self.folder / "history.csv"
        if history:
            with atomic.whole(path) as partial, partial.open("w", newline="") as file:
                # What no step of the first epoch could measure comes later.
                names = dict.fromkeys(k for row in history for k in row)
                writer = csv.DictWriter(file, list(names))
                writer.writeheader()
                writer.writerows(history)
        else:
            path.unlink(missing_ok=True)
        self._written = len(history)

    def close(self) -> None:
        """Closes the files."""
        for board in self._boards:
            board.close()
        self._boards, self._written = [], -1


class _Board:
    """One file for TensorBoard, in the place of those that there are."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._before = list(folder.glob("events.out.tfevents.*"))
        self._writer: Any = tf.summary.create_file_writer(os.fspath(folder))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(f"epoch_{name}", value, step)

    def flush(self) -> None:
        self._writer.flush()
        for path in self._before:
            path.unlink(missing_ok=True)
        self._before = []

    def close(self) -> None:
        self._writer.close()
