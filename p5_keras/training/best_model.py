"""The file of the best model: written whole, of one run, checked before it is used."""

import json
import os
import pathlib
import zipfile

import keras

from p5_keras import atomic
from p5_keras.model import MultiTaskModel
from p5_keras.training import keras_file, zip_file

#: The part of the file that holds the number of its run.
_RUN = "run.json"

#: What to do about one that is damaged or of another run.
ADVICE = (
    "Delete it, then give the command that trained the run again: it is made anew from "
    "the saved states"
)


def save(model: keras.Model, path: pathlib.Path, run: str) -> None:
    """Saves a model whole or not at all.

    Args:
        model: The model.
        path: The file.
        run: Number of the run, or "" for none.
    """
    with atomic.whole(path) as partial:
        model.save(partial)
        if run:
            with zipfile.ZipFile(partial, "a") as file:
                file.writestr(_RUN, json.dumps({"run": run}))


def run_of(path: pathlib.Path) -> str:
    """Returns the number of the run that a model is of, "" for none.

    Raises:
        ValueError: The file is damaged.
    """
    if problem := zip_file.damage(path):
        raise ValueError(f"The best model {path} is damaged: {problem}. {ADVICE}")
    with zipfile.ZipFile(path) as file:
        if _RUN not in file.namelist():
            return ""
        return str(json.loads(file.read(_RUN))["run"])


def load(path: str | os.PathLike[str]) -> MultiTaskModel:
    """Loads a model.

    Raises:
        ValueError: Keras cannot load it; in one line.
    """
    try:
        found: MultiTaskModel = keras_file.load(path)
        return found
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[0] if lines else type(error).__name__
        raise ValueError(
            f"The best model {path} cannot be loaded: {why[:300]}. If that is a class "
            f"of a recipe, give its --recipe; if not: {ADVICE[0].lower()}{ADVICE[1:]}"
        ) from error
