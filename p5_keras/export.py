"""Out to where models are served: a SavedModel with decoded, named outputs."""

import os
from typing import Any

import keras
import tensorflow as tf

from p5_keras.model import MultiTaskModel


def saved_model(model: MultiTaskModel, path: str | os.PathLike[str]) -> None:
    """Exports a SavedModel that needs nothing of this package.

    It has two signatures over a batch of inputs, `(batch, height, width, channels)`
    float32 from 0 to 255 for images:

    - `serving_default`: what `Task.decode` gives, keyed `<task>_<field>`: labels and
      probabilities, boxes in pixels of the input after non-maximum suppression, class
      maps, values in the user's units.
    - `raw`: the raw head outputs, keyed by task.

    Args:
        model: The model.
        path: Folder to write; whatever it held is replaced.

    Raises:
        ValueError: The keys of two tasks clash.
    """
    sample = {t.name: tf.zeros([1, *_raw_shape(model, t.name)]) for t in model.tasks}
    keys = [f"{t}_{f}" for t, fields in model.decode(sample).items() for f in fields]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(
            "The exported outputs <task>_<field> must have different names: rename a "
            f"task. Received: {twice} more than once"
        )

    def serve(x: Any) -> dict[str, Any]:
        fields = model.decode(model(x, training=False))
        return {f"{t}_{f}": value for t in fields for f, value in fields[t].items()}

    def raw(x: Any) -> dict[str, Any]:
        return {name: tf.identity(y) for name, y in model(x, training=False).items()}

    source = model.inputs[0]
    signature = [tf.TensorSpec([None, *source.shape[1:]], tf.float32, source.name)]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=signature)
    archive.add_endpoint("raw", raw, input_signature=signature)
    archive.write_out(os.fspath(path), verbose=False)


def _raw_shape(model: MultiTaskModel, task: str) -> tuple[int, ...]:
    """Returns the shape of a task's raw output, without the batch axis."""
    return tuple(model.get_layer(task).output.shape[1:])
