"""Predictions for a folder of images."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from p5_keras import report
from p5_keras.data.image_file import EXTENSIONS, list_images, read_image
from p5_keras.model import MultiTaskModel
from p5_keras.naming import printable
from p5_keras.report import Fields
from p5_keras.task import Task
from p5_keras.tasks import SequenceTask

#: Longest side in pixels of a drawn picture; larger images are shrunk to it.
MAX_SIDE = 1024

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class _Image:
    path: pathlib.Path
    size: Size  # height and width of the file's image
    pixels: np.ndarray  # what the model sees
    shown: np.ndarray  # what predictions are drawn on


def predict_folder(
    model: MultiTaskModel,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    batch_size: int = 32,
) -> tuple[int, int]:
    """Predicts every image that lies directly in a folder.

    Images are read by content (see `read_image`), their values as those of the training
    were, and resized to the model's input.
    What cannot be read is left out, with a warning of one line that says why.

    An image "a.jpg" gives "a.png", with the predictions drawn over it, and a line of
    "predictions.jsonl" with the fields of every task, boxes in pixels of the image. A
    map goes to a file of its own, "a_<task>.png", of the image's size: class numbers
    under a palette, or values in 16 bits, from "low" (0) to "high" (65535) of the
    line. A second image of the same stem becomes "a-2".

    Args:
        model: A model with one image as input.
        folder: Folder with the images. Hidden files are left out.
        out: Folder for the predictions; made if it is not there.
        batch_size: Number of images that go through the model at once.

    Returns:
        How many images were predicted, and how many could not be read.

    Raises:
        ValueError: The folder is missing, holds no image or is `out` too, or the
            model does not read images.
    """
    if batch_size < 1:
        raise ValueError(
            f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
        )
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(
            "`model` must read images, (batch, height, width, 1 or 3). "
            f"Received: a model with input_shape={shape}"
        )
    files = list_images(folder)
    out = make(out, folder)
    rule = getattr(model, "reading", {}).get("images")
    done = 0
    taken: set[str] = set()
    lines = out / "predictions.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        for batch in _batches(_readable(files, shape[1:], rule), batch_size):
            found = _fields(model, batch, batch_size)
            for image, fields in zip(batch, found, strict=True):
                maps = _maps(fields, shape[1:3])
                stem = _free_stem(image.path.stem, maps.values(), taken)
                line = _write(model, image, fields, maps, out / stem)
                file.write(json.dumps(line, allow_nan=False) + "\n")
                done += 1
    return done, len(files) - done


def make(out: str | os.PathLike[str], folder: str | os.PathLike[str]) -> pathlib.Path:
    """Makes the folder for the predictions.

    Raises:
        ValueError: It cannot be written, or is where the inputs are.
    """
    path = pathlib.Path(out)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            "`out` must be a folder that can be written. "
            f"Received: out={str(path)!r} ({error.strerror})"
        ) from error
    where = pathlib.Path(folder)
    if path.samefile(where if where.is_dir() else where.parent):
        raise ValueError(
            "`out` must not be the folder of the inputs, which it would overwrite. "
            f"Received: out={str(path)!r}"
        )
    return path


def _readable(
    files: Iterable[pathlib.Path], shape: Any, rule: Mapping[str, Any] | None
) -> Iterator[_Image]:
    """Reads what can be read, and says what cannot."""
    height, width, channels = shape
    for path in files:
        try:
            image, kind = read_image(path, rule)
        except ValueError as error:
            logging.warning(
                "%s is left out: %s", printable(path.name), printable(error)
            )
            continue
        if path.suffix.lower() not in EXTENSIONS[kind]:
            name = printable(path.name)
            logging.warning("%s is used, though it is a %s file", name, kind)
        rows, columns = image.shape[:2]
        scale = min(MAX_SIDE / max(rows, columns), 1.0)
        small = (max(round(rows * scale), 1), max(round(columns * scale), 1))
        x = tf.image.rgb_to_grayscale(image) if channels == 1 else image
        pixels = _resize(x, (height, width))
        yield _Image(path, (rows, columns), pixels, _resize(image, small))


def _resize(image: Any, size: Size) -> np.ndarray:
    """Resizes as `data.from_tfds` does."""
    return tf.round(tf.image.resize(image, size, antialias=True)).numpy()


def _batches(images: Iterable[_Image], size: int) -> Iterator[list[_Image]]:
    batch: list[_Image] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _fields(model: MultiTaskModel, images: list[_Image], size: int) -> list[Fields]:
    """Predicts a batch, filled up so that its shape is always the same."""
    x = np.zeros((size, *images[0].pixels.shape), "float32")
    x[: len(images)] = [image.pixels for image in images]
    batches = model.predictions(tf.data.Dataset.from_tensors((x, {})))
    (found,) = (batch["fields"] for batch in batches)
    return [
        {task: {k: v[i] for k, v in fields.items()} for task, fields in found.items()}
        for i in range(len(images))
    ]


def _maps(fields: Fields, size: Size) -> dict[tuple[str, str], str]:
    """Returns, by task and field, what maps add to the stem of their file."""
    found = {}
    for task, own in fields.items():
        keys = [key for key, values in own.items() if _is_map(values, size)]
        for key in keys:
            found[task, key] = f"_{task}" if len(keys) == 1 else f"_{task}_{key}"
    return found


def _free_stem(stem: str, suffixes: Iterable[str], taken: set[str]) -> str:
    """Finds a stem none of whose files is there yet, and takes it."""
    count, name = 1, stem
    while True:
        # Some file systems take "A.png" and "a.png" for the same file.
        files = {f"{name}{suffix}".casefold() for suffix in ("", *suffixes)}
        if not files & taken:
            taken |= files
            return name
        count += 1
        name = f"{stem}-{count}"


def _write(
    model: MultiTaskModel,
    image: _Image,
    fields: Fields,
    maps: dict[tuple[str, str], str],
    base: pathlib.Path,
) -> dict[str, Any]:
    """Writes the files of an image, and returns its line."""
    seen = model.input_shape[1:3]
    shown = _scaled(fields, seen, image.shown.shape[:2])
    report.picture(model.tasks, image.shown, shown, f"{base}.png")
    exact = _scaled(fields, seen, image.size)
    saved = {
        (task, key): _save_map(exact[task].pop(key), f"{base}{suffix}.png")
        for (task, key), suffix in maps.items()
    }
    predictions = {task.name: plain(task, exact[task.name]) for task in model.tasks}
    for (name, key), entry in saved.items():
        predictions[name][key] = entry
    height, width = image.size
    return {
        "file": image.path.name,
        "width": width,
        "height": height,
        "picture": f"{base.name}.png",
        "predictions": predictions,
    }


def _is_map(values: np.ndarray, size: Size) -> bool:
    return values.ndim == 2 and values.shape == size


def _scaled(fields: Fields, old: Size, new: Size) -> Fields:
    """Brings boxes and maps from one size of the image to another."""
    rows, columns = (
        ((np.arange(to) + 0.5) * was / to).astype(int)
        for was, to in zip(old, new, strict=True)
    )
    factor = np.array([new[1] / old[1], new[0] / old[0]] * 2, "float32")
    scaled: Fields = {}
    for task, own in fields.items():
        scaled[task] = dict(own)
        for key, values in own.items():
            if key == "boxes":
                scaled[task][key] = values * factor
            elif _is_map(values, old):
                scaled[task][key] = values[rows[:, None], columns]
    return scaled


def plain(task: Task, fields: dict[str, np.ndarray]) -> dict[str, Any]:
    """Turns fields into what JSON can hold, with the names of classes."""
    count = int(fields["count"]) if "count" in fields else None
    found: dict[str, Any] = {
        key: _exact(value[:count] if value.ndim else value)
        for key, value in fields.items()
    }
    names: list[str] = getattr(task, "class_names", [])
    label = found.get("label")
    if isinstance(task, SequenceTask):
        found["text"] = task.text(fields["label"])
    elif isinstance(label, list) and task.kind == "tagging":
        found["names"] = [names[tag] for tag in label]
    elif isinstance(label, list):
        on = zip(names, label, strict=True)
        found["names"] = [name for name, value in on if value > 0]
    elif label is not None and names:
        found["name"] = names[label]
    if "boxes" in found and names:
        found["names"] = [names[c] for c in found["classes"]]
    return found


def _exact(value: Any) -> Any:
    """Returns numbers as JSON can hold them: the shortest that are read as the same."""
    values = np.asarray(value)
    if values.dtype.kind in "iubSUO":
        return values.tolist()
    if values.dtype.itemsize < 8:  # 0.1 of float32 is 0.10000000149 of float64
        values = values.astype("float32").astype(str).astype("float64")
    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return found.tolist()


def _save_map(values: np.ndarray, path: str) -> dict[str, Any]:
    """Saves a map of classes or values, and returns what to know about it."""
    from matplotlib import colormaps
    from PIL import Image

    name = os.path.basename(path)
    if values.dtype.kind in "iub" and values.max() < 256:
        image = Image.fromarray(values.astype("uint8")).convert("P")
        colors = [(0, 0, 0), *(colormaps["tab10"](i % 10)[:3] for i in range(1, 256))]
        image.putpalette((np.array(colors) * 255).round().astype("uint8").tobytes())
        image.save(path)
        return {"file": name}
    values = values.astype("float64")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    scaled = (values - low) / max(high - low, 1e-12) * 65535
    Image.fromarray(np.nan_to_num(scaled).round().astype("uint16")).save(path)
    return {"file": name, "low": _exact(low), "high": _exact(high)}
