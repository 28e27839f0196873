"""A SavedModel with decoded, named outputs."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from p5_keras.atomic import whole
from p5_keras.export.entries import OF_TENSORS, Entry, files, of_tensors, raw
from p5_keras.export.image_bytes import decode_images
from p5_keras.export.image_limits import MAX_PIXELS
from p5_keras.export.warm_up import write_warm_up
from p5_keras.export.wav_bytes import decode_wavs
from p5_keras.inputs import Waveform
from p5_keras.model import MultiTaskModel

Tensor = Any


def saved_model(
    model: MultiTaskModel,
    path: str | os.PathLike[str],
    image_range: tuple[float, float] | None = None,
    max_pixels: int = MAX_PIXELS,
    looks: bool = True,
) -> None:
    """Exports a SavedModel that needs nothing of this package.

    It has these signatures over a batch of inputs, `(batch, height, width, channels)`
    float32 from 0 to 255 for images, and raw values for all that is read by an
    `p5_keras.inputs.Input`: strings, samples, columns of a table by their names.

    - `serving_default`: what `Task.decode` gives, keyed `<task>_<field>`: labels and
      probabilities, boxes in pixels of the input after non-maximum suppression, class
      maps, values in the user's units.
    - `raw`: the raw head outputs, keyed by task.
    - `serve_image_bytes`, for a model of images: the same as the first from
      `image_bytes`, `(batch,)` strings that hold JPEG, PNG, GIF or BMP files of any
      size. Boxes are in pixels of each file's image. `ok` is false for a file that
      cannot be read; its other outputs mean nothing, and those of the other files
      are not touched.
    - `serve_wav_bytes`, for a model of sound alone: the same from `wav_bytes`, WAV
      files of 16 bits at the model's rate, of which the first channel is read.
    - `serve_tensors`, where the first takes raw values: the same from what these
      become, as the model itself takes it.

    A request is looked at first (`p5_keras.export.checks`): one of another rank or
    size, or with a number out of range, is an INVALID_ARGUMENT error that says so; one
    of no example has an answer of none. Images have a range, 0 to 255, if the network
    begins by scaling it; samples must be within ±2; all else within ±1e30. A column of
    a table may hold NaN where a number is missing; elsewhere NaN is refused.

    A request for each is written for TensorFlow Serving to warm up with.

    Args:
        model: The model.
        path: Folder to write; whatever it held is replaced.
        image_range: The least and the largest number of an image; `None` for 0 and 255
            if the network begins by scaling these, and for any if not.
        max_pixels: The largest image that `serve_image_bytes` decodes; a larger one
            has `ok` false.
        looks: Whether requests are looked at; not where the SavedModel is a step to
            another format, which has no such operations.

    Raises:
        ValueError: The keys of two tasks clash.
    """
    zeros = {t.name: tf.zeros([1, *_raw_shape(model, t.name)]) for t in model.tasks}
    keys = [f"{t}_{f}" for t, fields in model.decode(zeros).items() for f in fields]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(
            "The exported outputs <task>_<field> must have different names: rename a "
            f"task. Received: {twice} more than once"
        )
    shape = tuple(model.inputs[0].shape[1:])

    entry, own = raw(model), of_tensors(model)
    if image_range is not None:
        ranges = {own.specs[0].name: image_range}
        own = dataclasses.replace(own, ranges=ranges)
        entry = entry if model.encoders else own

    def decode(x: Any) -> dict[str, Any]:
        return decoded(model, x)

    def raw_outputs(x: Any) -> dict[str, Any]:
        found = model(x, training=False)
        return {name: tf.identity(y) for name, y in found.items()}

    def from_image_bytes(image_bytes: Tensor) -> dict[str, Any]:
        rule = getattr(model, "reading", {}).get("images")
        x, size, ok = decode_images(image_bytes, shape, max_pixels, rule)
        found = decoded(model, x)
        factor = tf.cast(size, tf.float32) / tf.constant(shape[:2], tf.float32)
        factor = tf.gather(factor, [1, 0, 1, 0], axis=1)[:, None]
        for key in _boxes(model):
            found[key] *= factor
        return found | {"ok": ok}

    def from_wav_bytes(wav_bytes: Tensor) -> dict[str, Any]:
        x, ok = decode_wavs(wav_bytes, rate, shape[0])
        return decoded(model, x) | {"ok": ok}

    archive = keras.export.ExportArchive()
    archive.track(model)
    sample = entry.sample()
    entry.read(*sample.values())  # layers must be built to be tracked
    for layer in [x for e in model.encoders.values() for x in e.layers()]:
        archive.track(layer)

    def add(name: str, way: Entry, answer: Callable[[Any], dict[str, Any]]) -> None:
        archive.add_endpoint(name, way.serve(answer, looks), way.specs)

    add("serving_default", entry, decode)
    add("raw", entry, raw_outputs)
    requests: dict[str, dict[str, Any]] = {"serving_default": sample, "raw": sample}
    if model.encoders:
        add(OF_TENSORS, own, decode)
        requests[OF_TENSORS] = own.sample()
    sound = next(iter(model.encoders.values()), None)
    if isinstance(sound, Waveform) and len(model.encoders) == 1:
        add("serve_wav_bytes", files("wav_bytes"), from_wav_bytes)
        rate = sound.rate
        silence = tf.audio.encode_wav(tf.zeros([shape[0], 1]), rate).numpy()
        requests["serve_wav_bytes"] = {"wav_bytes": [silence]}
    if reads_images(model):
        add("serve_image_bytes", files("image_bytes"), from_image_bytes)
        picture = tf.io.encode_png(tf.zeros(shape, tf.uint8)).numpy()
        requests["serve_image_bytes"] = {"image_bytes": [picture]}
    with whole(path) as partial:
        archive.write_out(os.fspath(partial), verbose=False)
        write_warm_up(partial, requests)
        _write_tasks(model, pathlib.Path(partial) / "assets.extra")


def _write_tasks(model: MultiTaskModel, folder: pathlib.Path) -> None:
    """Writes the kind of each task, and the names of its classes in their order."""
    tasks = {
        task.name: {
            "kind": task.kind,
            "class_names": list(getattr(task, "class_names", ())),
        }
        for task in model.tasks
    }
    folder.mkdir(exist_ok=True)
    (folder / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n")


def decoded(model: MultiTaskModel, x: Tensor) -> dict[str, Tensor]:
    """Returns the outputs for a batch of inputs, decoded, keyed `<task>_<field>`."""
    fields = model.decode(model(x, training=False))
    return {f"{t}_{f}": value for t in fields for f, value in fields[t].items()}


def reads_images(model: MultiTaskModel) -> bool:
    """Whether the model has one input, an image of 1 or 3 channels."""
    shape = model.inputs[0].shape
    return len(model.inputs) == 1 and len(shape) == 4 and shape[-1] in (1, 3)


def _boxes(model: MultiTaskModel) -> list[str]:
    """Returns the keys of outputs that are boxes in pixels."""
    return [f"{t.name}_boxes" for t in model.tasks if t.follows == "boxes"]


def _raw_shape(model: MultiTaskModel, task: str) -> tuple[int, ...]:
    """Returns the shape of a task's raw output, without the batch axis."""
    return tuple(model.get_layer(task).output.shape[1:])
