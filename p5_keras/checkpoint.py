"""Everything a killed run needs to go on as if nothing had happened."""

import csv
import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from p5_keras.averaging import averaged_weights
from p5_keras.workdir import Workdir

Logs = dict[str, float]


class Progress(tf.train.experimental.PythonState):
    """The part of the state that is not a variable, saved in the same file."""

    def __init__(self) -> None:
        """Starts at the first step."""
        self.step = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.stopped = False
        self.seconds = 0.0
        self.history: list[Logs] = []
        self.metrics: list[Any] = []

    @property
    def steps_per_second(self) -> float:
        """Training steps a second, validation included."""
        return self.step / self.seconds if self.seconds else 0.0

    def serialize(self) -> str:
        """Returns the state as JSON."""
        return json.dumps(vars_of(self))

    def deserialize(self, string_value: str) -> None:
        """Takes the state from JSON."""
        for key, value in json.loads(string_value).items():
            setattr(self, key, value)


def vars_of(progress: Progress) -> dict[str, Any]:
    """Returns the plain attributes of a progress."""
    names = ("step", "best", "best_epoch", "stopped", "seconds", "history", "metrics")
    return {name: getattr(progress, name) for name in names}


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole training state, keeps the best model and stops early.

    `fit` in Keras starts at the beginning of an epoch. `fit()` here starts at any
    step: the state is saved every `save_seconds` and at the end of each epoch, and
    holds weights, optimizer, seeds of dropout, metrics of the unfinished epoch,
    history, best score and patience. With batches that are a function of the step
    (`data.training`), a run that was killed ends with the weights of one that was
    not.

    Args:
        workdir: Folder of the run: `checkpoints/` gets the state and `best.keras`,
            `logs/history.csv` a line an epoch.
        score: Gives the number that chooses the best epoch, from the epoch's
            validation metrics, without their prefix "val_"; higher is better.
        patience: Epochs without a better score before training stops, or `None`.
        save_seconds: Seconds between two saves in mid-epoch.
    """

    def __init__(
        self,
        workdir: Workdir,
        score: Callable[[Logs], float],
        patience: int | None = None,
        save_seconds: float = 60.0,
    ) -> None:
        super().__init__()
        self.folder = workdir / "checkpoints"
        self.history = workdir / "logs" / "history.csv"
        self.score, self.patience, self.save_seconds = score, patience, save_seconds
        self.progress = Progress()
        self._manager: Any = None

    @property
    def best_path(self) -> pathlib.Path:
        """Path of the best model so far."""
        return self.folder / "best.keras"

    def fit(
        self,
        model: keras.Model,
        batches: Callable[[int], tf.data.Dataset],
        epochs: int,
        steps_per_epoch: int,
        **kwargs: Any,
    ) -> None:
        """Trains a model from wherever the saved state is to the last epoch.

        Args:
            model: A compiled model.
            batches: From the number of a step to an endless dataset that starts there.
            epochs: Number of the last epoch.
            steps_per_epoch: Steps an epoch.
            **kwargs: Arguments of `model.fit`; `callbacks` come after this one.

        Raises:
            ValueError: An epoch is not a whole number of executions, or a loss is
                not finite.
        """
        if steps_per_epoch % model.steps_per_execution:
            raise ValueError(
                "`steps_per_epoch` must be a multiple of `steps_per_execution`. "
                f"Received: steps_per_epoch={steps_per_epoch}, "
                f"steps_per_execution={model.steps_per_execution}"
            )
        self._restore(model)
        if self.progress.metrics:
            _build_metrics(model, batches(self.progress.step))
        callbacks = [self, *kwargs.pop("callbacks", ())]
        while (
            self.progress.step < epochs * steps_per_epoch and not self.progress.stopped
        ):
            epoch, offset = divmod(self.progress.step, steps_per_epoch)
            model.fit(
                batches(self.progress.step),
                initial_epoch=epoch,
                # Only the first epoch after a restart is a partial one.
                epochs=epoch + 1 if offset else epochs,
                steps_per_epoch=steps_per_epoch - offset,
                callbacks=callbacks,
                **kwargs,
            )
            # `fit` ends by putting the moving averages in the weights' place.
            self._restore(model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Takes up the metrics of an epoch that was interrupted."""
        self._started = self._saved = time.monotonic()
        self._spent = 0.0
        self._first = self.progress.step
        if self.progress.metrics:
            self._spent = self.progress.metrics[0]
            for variable, value in zip(
                self._metric_variables(), self.progress.metrics[1], strict=True
            ):
                variable.assign(value)
            self.progress.metrics = []

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Saves when it is time, but for the last step: the epoch's end saves that."""
        self.progress.step = self._first + batch + 1
        now = time.monotonic()
        last = batch + 1 >= self.params["steps"]
        if now - self._saved > self.save_seconds and not last:
            if not math.isfinite((logs or {}).get("loss", 0.0)):
                return
            values = [v.numpy().tolist() for v in self._metric_variables()]
            self.progress.metrics = [now - self._started + self._spent, values]
            self._manager.save()
            self.progress.metrics = []
            self._saved = now

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Scores the epoch, keeps the best model, decides, logs and saves."""
        logs = {} if logs is None else logs
        if not math.isfinite(logs["loss"]):
            raise ValueError(
                f"The loss of epoch {epoch + 1} is {logs['loss']}. The state before it "
                f"is kept in {self.folder}; try a lower learning rate or clip_norm=1."
            )
        progress = self.progress
        seconds = time.monotonic() - self._started + self._spent
        progress.seconds += seconds
        held_out = {k[4:]: v for k, v in logs.items() if k.startswith("val_")}
        score = logs["val_skill"] = self.score(held_out)
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        best = -math.inf if progress.best is None else progress.best
        if score > best or not math.isfinite(best):
            progress.best, progress.best_epoch = score, epoch + 1
            with averaged_weights(self.model):
                _save_atomically(self.model, self.best_path)
        waited = epoch + 1 - progress.best_epoch
        if self.patience is not None and waited >= self.patience:
            progress.stopped = self.model.stop_training = True
        row = {"epoch": epoch + 1, "seconds": seconds, **logs}
        progress.history.append({k: float(v) for k, v in row.items()})
        self._write_history()
        self._manager.save()

    def _restore(self, model: keras.Model) -> None:
        if not model.optimizer.built:
            with model.distribute_strategy.scope():
                model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        variables += model.weighting_variables
        unique = {id(v): v.value for v in variables}
        checkpoint = tf.train.Checkpoint(
            progress=self.progress, variables=list(unique.values())
        )
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(self.folder / "state"), max_to_keep=2
        )
        if self._manager.latest_checkpoint:
            checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()

    def _metric_variables(self) -> list[Any]:
        return [v for metric in self.model.metrics for v in metric.variables]

    def _write_history(self) -> None:
        self.history.parent.mkdir(parents=True, exist_ok=True)
        partial = self.history.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            # What no step of the first epoch could measure comes later.
            names = dict.fromkeys(k for row in self.progress.history for k in row)
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            writer.writerows(self.progress.history)
        partial.replace(self.history)


def _build_metrics(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Makes the variables of the metrics, which are to be restored.

    Under a strategy Keras does so before the first epoch begins; without one, not
    before the first step.
    """
    inside = tf.distribute.has_strategy()
    if model.distribute_strategy is tf.distribute.get_strategy() and not inside:
        x, y, sample_weight = next(iter(batches))
        model.compute_metrics(x, y, model(x, training=False), sample_weight)


def _save_atomically(model: keras.Model, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial_{path.name}")
    model.save(partial)
    partial.replace(path)
