"""The folder of a run: what was decided, what came out."""

import contextlib
import hashlib
import json
import os
import pathlib
import platform
import secrets
import shutil
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras import atomic, json_file, state_files
from p5_keras.model import MultiTaskModel
from p5_keras.paths import absolute
from p5_keras.state_files import writing
from p5_keras.training import best_model, zip_file
from p5_keras.training.lock import Lock, lock

Json = dict[str, Any]

#: What may be different when a run goes on.
FREE = {"versions", "save_seconds", "on_nan", "run"}

_NUMBER = (float, None)
_METRIC: Json = {
    "test?": _NUMBER,
    "val?": _NUMBER,
    "trivial?": _NUMBER,
    "better?": (str, {}),
}
_SCORE = {"difference?": _NUMBER, "interval?": [_NUMBER]}
#: What is used of each file of a folder.
SCHEMAS: Json = {
    "config.json": {"recipe?": str, "seed?": int, "run?": str, "tasks?": ([str], None)},
    "results.json": {
        "recipe?": str,
        "seed?": int,
        "tasks": {
            str: {
                "primary?": (str, None),
                "metrics?": {str: _METRIC},
                "score?": (_SCORE, str, None),
            }
        },
        "train?": {"steps?": int, "val_skill?": _NUMBER, "wall_seconds?": _NUMBER},
        "arms?": {str: dict},
    },
    "progress.json": {
        "spent": float,
        "speeds": {str: dict},
        "share": _NUMBER,
        "steps": {str: dict},
        "chosen": {str: {"models": [dict], "what": str}},
        "same": [str],
        "failed": {str: str},
    },
}
#: What to do about one that is damaged.
ADVICE = (
    "Delete it, then give the command that made it again: what was trained is kept, "
    "and the file is made anew"
)


class Workdir:
    """A folder that belongs to one run, and to no other.

    The run has a number, which stands in `config.json`, in its states and in its best
    model. While one process writes in the folder no other one may.

    Args:
        path: The folder; made if it is not there.
        writes: Whether this process writes in it; of several workers one does.
    """

    def __init__(self, path: str | os.PathLike[str], writes: bool = True) -> None:
        self.path, self.writes = pathlib.Path(path), writes
        self._lock: Lock | None = None

    def __truediv__(self, name: str) -> pathlib.Path:
        """Returns the path of something in the folder."""
        return self.path / name

    def begin(self, decided: Json) -> Json | None:
        """Opens the folder for a run, new or resumed.

        Args:
            decided: All that was decided, by name.

        Returns:
            The results of the run if it has finished, else `None`.

        Raises:
            ValueError: Another run was decided differently in this folder, another
                process writes in it, it cannot be written, or a file in it is damaged.
        """
        decided = json.loads(json.dumps(decided))
        if self.writes:
            self.open()
        before = self.read("config.json")
        results = self.read("results.json")
        self.read("data.json")
        trained = [
            name
            for name in ("checkpoints", "results.json", "progress.json")
            if (self / name).exists()
        ]
        if before is None and trained:
            if not self.writes:
                return None  # the chief says what there is to say
            before = self._config_anew(decided)
        before = before or {}
        changed = [
            f"{key}: {before.get(key)!r} there, {decided.get(key)!r} now"
            for key in sorted({*before, *decided} - FREE)
            if absolute(key, before.get(key)) != absolute(key, decided.get(key))
        ]
        if changed and trained:
            raise ValueError(
                f"The run in {self.path} was started differently; give the same "
                f"arguments, or another --workdir. {'; '.join(changed)}"
            )
        if changed:
            run = f"{secrets.token_hex(4)}-{_digest(decided)}"
            self.write("config.json", {**decided, "run": run, "versions": versions()})
            return None
        again = self._check(before.get("run", ""))
        return None if again else results

    def open(self) -> None:
        """Takes the folder for this process, and removes what a killed one left.

        Raises:
            ValueError: Another process has it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = lock(self.path)
            for folder in (self.path, self / "checkpoints", self / "logs"):
                for partial in folder.glob("partial_*"):
                    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
        except OSError as error:
            if self._lock is None and (self / "results.json").is_file():
                return  # to look at what has finished nothing need be written
            raise ValueError(
                f"`workdir` must be a folder that can be written. Received: "
                f"workdir={str(self.path)!r} ({error.strerror})"
            ) from error

    def still_there(self) -> None:
        """Checks, before something is written, that the folder is the one it was.

        Raises:
            ValueError: It was removed, or there is another one in its place.
        """
        if self._lock is not None and self._lock.lost:
            raise ValueError(
                f"The workdir {self.path} was removed, or another folder was put in "
                "its place, while the run was writing in it. Put it back, or give the "
                "same command again to start anew"
            )

    def run(self) -> str | None:
        """Returns the number of the run, "" if it is of before runs had one.

        Without a `config.json` it is `None`: nothing says whose the files are.
        """
        config = self.read("config.json")
        return None if config is None else str(config.get("run", ""))

    def read(self, name: str) -> Json | None:
        """Returns a JSON file of the folder, or `None` if there is none.

        Raises:
            ValueError: It is damaged.
        """
        path = self.path / name
        if not path.exists():
            return None
        found: Json = json_file.read(path, SCHEMAS.get(name, {}), ADVICE)
        return found

    def results(self) -> Json:
        """Returns the results of a finished run.

        Raises:
            ValueError: There are none, or they are damaged.
        """
        found = self.read("results.json")
        if found is None:
            raise ValueError(f"{self / 'results.json'} is missing. {ADVICE}")
        return found

    def scores(self) -> dict[str, np.ndarray]:
        """Returns the scores of a finished run's test examples, by task.

        Raises:
            ValueError: There are none, or they are damaged.
        """
        path = self / "scores.npz"
        if problem := zip_file.damage(path):
            raise ValueError(
                f"{path} cannot be read: {problem}. Delete it and results.json beside "
                "it, then give the command that made them again"
            )
        with np.load(path) as file:
            return dict(file)

    def write(self, name: str, value: Json) -> None:
        """Writes a JSON file whole or not at all; NaN becomes null.

        Raises:
            ValueError: It cannot be written.
        """
        if self.writes:
            with self.whole(name) as path:
                path.write_text(json_file.dumps(value))

    @contextlib.contextmanager
    def whole(self, name: str) -> Iterator[pathlib.Path]:
        """Lets a file be written whole or not at all.

        Yields:
            The path to write to, which gets the name when it is written.

        Raises:
            ValueError: It cannot be written; what was there before is as it was.
        """
        self.still_there()
        with writing(self.path / name), atomic.whole(self.path / name) as partial:
            yield partial

    def best_model(self) -> MultiTaskModel:
        """Loads the best model of the run.

        Raises:
            ValueError: There is none, it is damaged, or it is of another run.
        """
        path = self._best()
        if not path.exists():
            raise ValueError(
                "`workdir` must hold a trained model; train one with --mode=train. "
                f"Received: workdir={str(self.path)!r}"
            )
        state_files.check_run(path, best_model.run_of(path), self.run(), self.path)
        return best_model.load(path)

    def _best(self) -> pathlib.Path:
        return self / "checkpoints" / "best.keras"

    def _check(self, run: str) -> bool:
        """Checks the files that a run goes on from; returns whether to train again.

        Raises:
            ValueError: The best model or the states are damaged, or of another run.
        """
        best, states = self._best(), self / "checkpoints" / "state"
        if best.exists():
            state_files.check_run(best, best_model.run_of(best), run, self.path)
        there = state_files.check(states, run)
        if best.exists() and not there and not (self / "results.json").exists():
            raise ValueError(
                f"There is a best model in {best.parent} and no saved state to go on "
                f"from. Put {states} back, give another --workdir, or delete the "
                f"folder {best.parent} to start again"
            )
        return there and not best.exists()

    def _config_anew(self, decided: Json) -> Json:
        """Writes a config.json that is missing, if the states are of this command.

        Raises:
            ValueError: They are not, or nothing says so.
        """
        best, told = self._best(), ""
        states = state_files.paths(self / "checkpoints" / "state")
        for path in states:
            with contextlib.suppress(*state_files.UNREADABLE):
                told = told or state_files.look(path)["run"]
        if not told and best.exists():
            told = best_model.run_of(best)
        if not told.endswith(f"-{_digest(decided)}"):
            raise ValueError(
                f"{self / 'config.json'} is missing, and nothing there says that this "
                "command made the run. Put it back, give the command that made it, or "
                "give another --workdir"
            )
        print(f"{self / 'config.json'} was missing, and is made anew.", flush=True)
        found = {**decided, "run": told, "versions": versions()}
        self.write("config.json", found)
        return found


def _digest(decided: Json) -> str:
    """Returns a short checksum of what makes a run the run it is."""
    own = {key: value for key, value in decided.items() if key not in FREE}
    text = json.dumps(own, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def versions() -> dict[str, str]:
    """Returns the versions that numbers depend on."""
    from p5_keras import __version__

    return {
        "p5_keras": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "tensorflow_datasets": metadata.version("tensorflow-datasets"),
        "python": platform.python_version(),
    }
