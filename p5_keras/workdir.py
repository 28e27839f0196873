"""The folder of a run: what was decided, what came out."""

import json
import math
import os
import pathlib
import platform
import zipfile
from importlib import metadata
from typing import Any

import keras
import tensorflow as tf

from p5_keras.model import MultiTaskModel

Json = dict[str, Any]

#: What may be different when a run goes on.
FREE = {"versions", "save_seconds", "on_nan"}


class Workdir:
    """A folder that belongs to one run, and to no other.

    Args:
        path: The folder; made if it is not there.
        writes: Whether this process writes in it; of several workers one does.
    """

    def __init__(self, path: str | os.PathLike[str], writes: bool = True) -> None:
        self.path, self.writes = pathlib.Path(path), writes

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
            ValueError: Another run was decided differently in this folder, or the
                folder cannot be written.
        """
        decided = json.loads(json.dumps(decided))
        before = self.read("config.json") or {}
        keys = sorted({*before, *decided} - FREE)
        changed = [
            f"{key}: {before.get(key)!r} there, {decided.get(key)!r} now"
            for key in keys
            if before.get(key) != decided.get(key)
        ]
        if not changed:
            return self.read("results.json")
        if (self / "checkpoints").exists() or (self / "results.json").exists():
            raise ValueError(
                f"The run in {self.path} was started differently; give the same "
                f"arguments, or another --workdir. {'; '.join(changed)}"
            )
        if not self.writes:
            return None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.write("config.json", {**decided, "versions": versions()})
        except OSError as error:
            raise ValueError(
                f"`workdir` must be a folder that can be written. Received: "
                f"workdir={str(self.path)!r} ({error.strerror})"
            ) from error
        return None

    def read(self, name: str) -> Json | None:
        """Returns a JSON file of the folder, or `None` if there is none."""
        path = self.path / name
        return json.loads(path.read_text()) if path.exists() else None

    def write(self, name: str, value: Json) -> None:
        """Writes a JSON file whole or not at all; NaN becomes null."""
        if not self.writes:
            return
        partial = self.path / f"partial_{name}"
        partial.write_text(json.dumps(_plain(value), indent=1) + "\n")
        partial.replace(self.path / name)

    def best_model(self) -> MultiTaskModel:
        """Loads the best model of the run.

        Raises:
            ValueError: There is none.
        """
        path = self.path / "checkpoints" / "best.keras"
        if not path.exists():
            raise ValueError(
                "`workdir` must hold a trained model; train one with --mode=train. "
                f"Received: workdir={str(self.path)!r}"
            )
        if not zipfile.is_zipfile(path):
            raise ValueError(
                "The best model is not whole; delete it and train again. "
                f"Received: {path}"
            )
        return keras.saving.load_model(path)


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


def _plain(value: Any) -> Any:
    """Replaces NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
