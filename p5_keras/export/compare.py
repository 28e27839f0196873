"""Whether an exported file says what the model says."""

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.export.entries import tensors_signature
from p5_keras.model import MultiTaskModel

Outputs = dict[str, np.ndarray]


def compare(
    model: MultiTaskModel,
    path: str | os.PathLike[str],
    dataset: tf.data.Dataset,
    examples: int = 100,
) -> dict[str, dict[str, float]]:
    """Runs an exported model beside the one it was made of.

    Args:
        model: The model.
        path: Folder of a SavedModel, or a file `.tflite` or `.onnx`.
        dataset: Batches `(x, y, sample_weight)`, as `data.evaluation` makes them, or
            with empty dicts in place of labels and weights, which give no scores.
        examples: How many to look at, at least, if there are so many.

    Returns:
        By output `<task>_<field>`: "difference", the largest of the values that are
        numbers, or the part of those that differ where they are classes or counts.
        By task: "score" and "exported", the mean of its score of each labelled example
        (`Task.score_name`) for the model and for what was exported.

    Raises:
        ValueError: What reads such a file is not installed.
    """
    names = [x.name for x in model.inputs]
    run = runner(pathlib.Path(path), names, tensors_signature(model))
    differences: dict[str, list[float]] = {}
    scores: dict[str, list[np.ndarray]] = {t.name: [] for t in model.tasks}
    seen = 0
    for batch in model.predictions(dataset):
        found = run(batch["x"])
        weights = list(batch["weight"].values())
        count = len(next(iter(found.values())))
        real = np.max(weights, axis=0) > 0 if weights else np.ones(count, bool)
        for task in model.tasks:
            own = batch["fields"][task.name]
            theirs = {key: found[f"{task.name}_{key}"] for key in own}
            for key, value in own.items():
                name = f"{task.name}_{key}"
                differences.setdefault(name, []).append(
                    _difference(value[real], theirs[key][real])
                )
            if not weights:
                continue
            present = batch["weight"][task.name] > 0
            label = batch["label"][task.name]
            pair = [task.example_scores(label, f)[present] for f in (own, theirs)]
            scores[task.name].append(np.stack(pair))
        seen += int(real.sum())
        if seen >= examples:
            break
    result: dict[str, dict[str, float]] = {
        name: {"difference": float(np.max(values))}
        for name, values in differences.items()
    }
    for name, pairs in scores.items():
        if pairs and (both := np.concatenate(pairs, axis=1)).size:
            mine, other = both.mean(axis=1)
            result[name] = {"score": float(mine), "exported": float(other)}
    return result


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    if not one.size:
        return 0.0
    if one.dtype.kind == "f":
        return float(np.abs(one.astype("float64") - other).max())
    return float((one != other).mean())


def runner(
    path: pathlib.Path, names: Sequence[str], signature: str = "serving_default"
) -> Callable[[Any], Outputs]:
    """Returns what runs the decoded signature of a file.

    Args:
        path: Folder of a SavedModel, or a file `.tflite` or `.onnx`.
        names: Names of the model's inputs.
        signature: The one that takes them, in a SavedModel.

    Returns:
        A function of what the model takes: an array, or of several inputs a dict.
    """

    def fed(x: Any) -> dict[str, np.ndarray]:
        given = x if isinstance(x, dict) else {names[0]: x}
        return {
            name: np.asarray(v, "int32" if v.dtype.kind in "iu" else "float32")
            for name, v in given.items()
        }

    if path.suffix == ".tflite":
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ValueError(
                "LiteRT files need ai-edge-litert: pip install p5_keras[litert]. "
                f"Received: {path}"
            ) from error
        lite = Interpreter(str(path)).get_signature_runner()
        return lambda x: dict(lite(**fed(x)))
    if path.suffix == ".onnx":
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(
                "ONNX files need onnxruntime: pip install p5_keras[onnx]. "
                f"Received: {path}"
            ) from error
        session = onnxruntime.InferenceSession(str(path))
        outputs = [output.name for output in session.get_outputs()]
        return lambda x: dict(zip(outputs, session.run(outputs, fed(x)), strict=True))
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[signature]

    def run(x: Any, keep: Any = loaded) -> Outputs:
        given = {name: tf.constant(value) for name, value in fed(x).items()}
        return {k: v.numpy() for k, v in serve(**given).items()}

    return run
