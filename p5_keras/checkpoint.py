"""Everything a killed run needs to go on as if nothing had happened."""

import math
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from p5_keras import not_finite
from p5_keras.averaging import averaged_weights
from p5_keras.faults import farewell, workers_watched
from p5_keras.meeting import Meeting
from p5_keras.not_finite import Blame, NotFinite
from p5_keras.replicas import restore_sums
from p5_keras.state_files import Progress, StateFiles, writing
from p5_keras.strategy import is_chief, others, shard, total
from p5_keras.training import best_model, shutdown
from p5_keras.training.logs import Logs
from p5_keras.workdir import Workdir


class Checkpoints(keras.callbacks.Callback):
    """Saves the whole training state, keeps the best model and stops early.

    `fit` in Keras starts at the beginning of an epoch. `fit()` here starts at any
    step: the state is saved every `save_seconds` and at the end of each epoch, and
    holds weights, optimizer, seeds of dropout, metrics of the unfinished epoch,
    history, best score and patience. With batches that are a function of the step
    (`data.training`), a run that was killed ends with the weights of one that was
    not. On SIGTERM and SIGHUP it saves and raises `SystemExit` with a code of
    `shutdown.CODES`, on SIGINT `KeyboardInterrupt`.

    Of several workers all take part, in one folder that all can read, and the chief
    writes.

    Args:
        workdir: Folder of the run: `checkpoints/` gets the last two states and
            `best.keras`, `logs/` what each epoch gave, as a table and for TensorBoard,
            `not_finite/` each batch whose step was not finite.
        score: Gives the number that chooses the best epoch, from the epoch's
            validation metrics, without their prefix "val_"; higher is better.
        patience: Epochs without a better score before training stops, or `None`.
        save_seconds: Seconds between two saves in mid-epoch.
        on_nan: What to do where a loss is not finite: "stop", or "skip": go back to the
            last state, and take another batch in the place of that one.

    Raises:
        ValueError: `on_nan` is neither.
    """

    def __init__(
        self,
        workdir: Workdir,
        score: Callable[[dict[str, float]], float],
        patience: int | None = None,
        save_seconds: float = 60.0,
        on_nan: str = "stop",
    ) -> None:
        super().__init__()
        if on_nan not in ("stop", "skip"):
            raise ValueError(
                f"`on_nan` must be 'stop' or 'skip'. Received: on_nan={on_nan!r}"
            )
        self.workdir, self.folder = workdir, workdir / "checkpoints"
        self._logs = Logs(workdir / "logs")
        self.bad_batches = workdir / "not_finite"
        self.score, self.patience, self.save_seconds = score, patience, save_seconds
        self.on_nan = on_nan
        self.progress = Progress()
        self._files: Any = None
        self._meeting: Any = None
        self._blame = Blame()
        self._signals: list[int] = []
        self._validation = 0.0

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
            **kwargs: Arguments of `model.fit`; `callbacks` come after this one,
                unless it is among them.

        Raises:
            ValueError: An epoch is not a whole number of executions, a loss is not
                finite, or the state is not of this model, cannot be read or written.
            SystemExit: SIGTERM or SIGHUP came.
            KeyboardInterrupt: SIGINT came.
        """
        if steps_per_epoch % model.steps_per_execution:
            raise ValueError(
                "`steps_per_epoch` must be a multiple of `steps_per_execution`. "
                f"Received: steps_per_epoch={steps_per_epoch}, "
                f"steps_per_execution={model.steps_per_execution}"
            )
        progress, steps = self.progress, epochs * steps_per_epoch
        if is_chief(model.distribute_strategy):
            self.workdir.open()
        if not self._restore(model):
            self._save(model)
        self._remake_best(model)
        if self._writes:
            self._write_logs()
        pause = min(1.0, self.save_seconds)
        self._meeting = Meeting(model.distribute_strategy, pause)
        if progress.metrics:
            _build_metrics(model, batches(progress.step))
        callbacks = list(kwargs.pop("callbacks", ()))
        if self not in callbacks:
            callbacks = [self, *callbacks]
        watch = workers_watched(others(model.distribute_strategy))
        with watch, shutdown.noted() as self._signals:
            while progress.step < steps and not progress.stopped:
                epoch, offset = divmod(progress.step, steps_per_epoch)
                try:
                    model.fit(
                        not_finite.without(
                            batches, progress.step, progress.skipped, steps
                        ),
                        initial_epoch=epoch,
                        # Only the first epoch after a restart is a partial one.
                        epochs=epoch + 1 if offset else epochs,
                        steps_per_epoch=steps_per_epoch - offset,
                        callbacks=callbacks,
                        **kwargs,
                    )
                except NotFinite as found:
                    self._skip(model, batches, found.step, steps_per_epoch)
                else:
                    # `fit` ends by putting the moving averages in the weights' place.
                    self._restore(model)
            farewell(self._strategy)
        self._logs.close()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Takes up the metrics of an epoch that was interrupted."""
        self._started = self._saved = time.monotonic()
        self._spent = 0.0
        self._first = self.progress.step
        if self.progress.metrics:
            self._spent, values = self.progress.metrics
            restore_sums(self.model, zip(self._metric_variables(), values, strict=True))
            self.progress.metrics = []

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Saves when it is time, but for the last step: the epoch's end saves that."""
        self.progress.step = step = self._first + batch + 1
        not_finite.check((logs or {}).get("loss", 0.0), step - 1)
        if self._blame.careful(step - 1):
            not_finite.check_weights(self.model, step - 1)
        if batch + 1 >= self.params["steps"]:
            return
        ends = bool(self._signals)
        if not self._meeting.due(step) and not (ends and self._meeting.alone):
            return
        now = time.monotonic()
        ends, saves = self._meeting.agree(
            step, ends, now - self._saved > self.save_seconds
        )
        if ends or saves:
            not_finite.check_weights(self.model, step - 1)
            values = [v.numpy().tolist() for v in self._metric_variables()]
            self.progress.metrics = [now - self._started + self._spent, values]
            self._save(self.model)
            self.progress.metrics = []
            self._saved = time.monotonic()
        if ends:
            self._end()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Looks at the clock."""
        self._validation = time.monotonic()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Measures how long validation took."""
        self._validation = time.monotonic() - self._validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores the epoch, keeps the best model, decides, logs and saves."""
        logs = {} if logs is None else logs
        progress = self.progress
        not_finite.check_weights(self.model, progress.step - 1)
        seconds = time.monotonic() - self._started + self._spent
        progress.seconds += seconds
        held_out = {k[4:]: v for k, v in logs.items() if k.startswith("val_")}
        score = logs["val_skill"] = self.score(held_out)
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        best = -math.inf if progress.best is None else progress.best
        if score > best or not math.isfinite(best):
            progress.best, progress.best_epoch = score, epoch + 1
            if self._writes:
                self._save_best(self.model)
        waited = epoch + 1 - progress.best_epoch
        if self.patience is not None and waited >= self.patience:
            progress.stopped = self.model.stop_training = True
        times = {"seconds": seconds, "val_seconds": self._validation}
        row = {"epoch": epoch + 1, **times, **logs}
        progress.history.append({k: float(v) for k, v in row.items()})
        if self._writes:
            self._write_logs()
        self._save(self.model)
        (ends,) = self._meeting.agree(progress.step, bool(self._signals))
        if ends:
            self._end()

    @property
    def _writes(self) -> bool:
        return is_chief(self._strategy)

    def _end(self) -> None:
        farewell(self._strategy)
        number = [*self._signals, signal.SIGTERM][0]  # of another worker, if of none
        shutdown.tell(number, f"saved at step {self.progress.step}.")
        raise shutdown.ending(number)

    def _save(self, model: keras.Model) -> None:
        if self._writes:
            self.workdir.still_there()
            self._files.save()
        total(self._strategy, [0.0])  # no one goes on before there is a state

    def _restore(self, model: Any) -> bool:
        """Restores the last state; returns whether there was one."""
        self._strategy = model.distribute_strategy
        if not model.optimizer.built:
            with self._strategy.scope():
                model.optimizer.build(model.trainable_variables)
        variables = [*model.variables, *model.optimizer.variables]
        variables += model.weighting_variables
        unique = {id(v): v for v in variables}
        self.progress.run = self.workdir.run()
        self._files = StateFiles(
            self.folder / "state", self.progress, list(unique.values())
        )
        found = self._files.restore()
        steps = total(self._strategy, [self.progress.step])[0]
        if steps != self.progress.step * shard(self._strategy)[1]:
            raise ValueError(
                "`workdir` must be one folder that all workers can read. "
                f"Received: {str(self.folder)!r}, where this worker is at step "
                f"{self.progress.step} and others are not"
            )
        return found

    def _save_best(self, model: Any) -> None:
        self.workdir.still_there()
        with averaged_weights(model), writing(self.best_path):
            best_model.save(model, self.best_path, self.progress.run or "")

    def _remake_best(self, model: Any) -> None:
        """Makes a best model that is missing anew, of the states that end an epoch."""
        progress = self.progress
        gone = self._writes and progress.best_epoch and not self.best_path.exists()
        if not total(self._strategy, [float(bool(gone))])[0]:
            return
        lost, found = progress.best_epoch, self._files.best()
        line = f"{self.best_path} is missing: "
        if found is None:
            progress.best, progress.best_epoch = None, 0
            line += "the next epoch makes it anew"
        else:
            path, row = found
            if self._writes:
                self._files.read(path)
                self._save_best(model)
            self._files.restore()
            progress.best, progress.best_epoch = row["val_skill"], int(row["epoch"])
            line += f"made anew from {path}, which is epoch {progress.best_epoch}"
        if progress.best_epoch != lost:
            line += f"; the best, epoch {lost}, is in no saved state"
        if self._writes:
            print(line, flush=True)

    def _skip(
        self,
        model: Any,
        batches: Callable[[int], tf.data.Dataset],
        last: int,
        steps_per_epoch: int,
    ) -> None:
        """Writes the batches of a step that was not finite; stops, or does without.

        Raises:
            ValueError: It stops.
        """
        bad = range(last - model.steps_per_execution + 1, last + 1)
        paths = {k: self.bad_batches / f"step_{k:010d}.npz" for k in bad}
        for k, path in paths.items():
            with writing(path):
                not_finite.write_batch(model, batches(k), k, path, self._writes)
        before = self.progress.skipped
        skipped = self._blame.skip(bad, before, steps_per_epoch)
        where = f"batch {last}, which is in {paths[last]}"
        if self.on_nan == "stop":
            raise ValueError(
                f"The loss, or a weight, is not finite after {where}. The last state "
                f"before it is kept in {self.folder}. Try a lower learning rate, "
                "clip_norm=1, or on_nan=skip to find the batch and go on without it"
            )
        if not skipped:
            raise ValueError(
                f"The loss, or a weight, is not finite after {where}, and to skip "
                f"batches does not help: {len(before)} were. Try a lower learning rate "
                "or clip_norm=1"
            )
        self._restore(model)
        self.progress.skipped = skipped
        if self._writes:
            self._write_logs()
            for k in set(before) - set(skipped):  # suspected, and found sound
                (self.bad_batches / f"step_{k:010d}.npz").unlink(missing_ok=True)
            print(f"Not finite after {where}; skipped so far: {skipped}", flush=True)

    def _metric_variables(self) -> list[Any]:
        return [v for metric in self.model.metrics for v in metric.variables]

    def _write_logs(self) -> None:
        self.workdir.still_there()
        with writing(self._logs.folder):
            self._logs.follow(self.progress.history)


def _build_metrics(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Makes the variables of the metrics, which are to be restored.

    Under a strategy Keras does so before the first epoch begins; without one, not
    before the first step.
    """
    inside = tf.distribute.has_strategy()
    if model.distribute_strategy is tf.distribute.get_strategy() and not inside:
        x, y, sample_weight = next(iter(batches))
        model.compute_metrics(x, y, model(x, training=False), sample_weight)
