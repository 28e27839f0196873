"""Exports in several forms, each compared with the model it was made of."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from p5_keras.export.compare import compare
from p5_keras.export.converted import litert, onnx
from p5_keras.export.entries import of_tensors
from p5_keras.export.signatures import saved_model
from p5_keras.export.submodel import submodel
from p5_keras.model import MultiTaskModel
from p5_keras.naming import did_you_mean, printable

#: Names of forms, and what each is called in the folder of a run.
FILES = {
    "saved_model": "export",
    "litert": "model.tflite",
    "litert_dynamic": "model_dynamic.tflite",
    "litert_int8": "model_int8.tflite",
    "onnx": "model.onnx",
}


def write(
    model: MultiTaskModel,
    folder: str | os.PathLike[str],
    forms: Sequence[str],
    dataset: tf.data.Dataset | None,
    tasks: Sequence[str] | None = None,
) -> None:
    """Exports a model, and prints how far what was exported differs from it.

    Args:
        model: The model.
        folder: Folder to write to.
        forms: Keys of `FILES`.
        dataset: Batches `(x, y, sample_weight)` of the validation split, to calibrate
            and compare with; `None` compares on made-up inputs, and cannot calibrate.
        tasks: Names of the tasks to keep; `None` keeps all.

    Raises:
        ValueError: A form or a task is unknown, or needs what is not installed.
    """
    for form in forms:
        if form not in FILES:
            raise ValueError(
                f"`--export` must be of {list(FILES)}."
                f"{did_you_mean(form, list(FILES))} Received: {form!r}"
            )
    model = submodel(model, tasks) if tasks else model
    made_up = "" if dataset is not None else " on made-up inputs"
    if dataset is None and "litert_int8" in forms:
        raise ValueError(
            "`--export=litert_int8` is calibrated with data: give --recipe, or "
            "--dataset. Received: neither"
        )
    if dataset is None:
        dataset = tf.data.Dataset.from_tensors((of_tensors(model).made_up(16), {}, {}))
    images = dataset.map(lambda x, y, weight: x)
    makers: dict[str, Callable[[Any], None]] = {
        "saved_model": lambda path: saved_model(model, path),
        "litert": lambda path: litert(model, path),
        "litert_dynamic": lambda path: litert(model, path, "dynamic"),
        "litert_int8": lambda path: litert(model, path, "int8", images),
        "onnx": lambda path: onnx(model, path),
    }
    for form in forms:
        path = pathlib.Path(folder) / FILES[form]
        makers[form](path)
        found = _line(compare(model, path, dataset))
        print(f"{printable(path)}: {found}{made_up}")


def _line(found: dict[str, dict[str, float]]) -> str:
    far = {k: v["difference"] for k, v in found.items() if "difference" in v}
    name = max(far, key=lambda key: far[key])
    text = f"differs by {far[name]:.1e} at most ({name})"
    for task, pair in found.items():
        if "score" in pair and pair["score"] != pair["exported"]:
            text += f", {task} {pair['score']:.4f} -> {pair['exported']:.4f}"
    return text
