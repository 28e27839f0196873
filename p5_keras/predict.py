"""Predictions for a folder of images."""

import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from p5_keras import report
from p5_keras.model import MultiTaskModel
from p5_keras.report import Fields
from p5_keras.task import Task

#: Shortest side of an image, in pixels, that is worth a prediction.
MIN_SIDE = 8

#: Longest side of a drawn picture, in pixels; larger images are shrunk to it.
MAX_DRAWN = 1024

_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}


def predict_folder(
    model: MultiTaskModel,
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    batch_size: int = 32,
) -> tuple[int, int]:
    """Predicts every image that lies directly in a folder.

    An image is what its content says, whatever its name: JPEG, PNG, GIF or an
    animated PNG (the first frame), BMP, WebP or TIFF; colours, grey, palettes, 16 bits
    and CMYK become the model's channels from 0 to 255, and alpha is dropped. It is
    turned upright as its EXIF data say, and resized to the model's input.

    For each image "a.jpg" it writes "a.png", the predictions drawn over it;
    "a_<task>.png" for a task that answers with a map; and a line of
    "predictions.jsonl" with the fields of each task, boxes in pixels of the upright
    image. A map of classes is a PNG with their numbers, coloured by a palette. A map
    of values is one with 16 bits: 0 is the line's "low", 65535 its "high". A second
    image of the same stem becomes "a-2".

    What cannot be read is left out with a warning that says why.

    Args:
        model: A model with one image input.
        folder: Folder with the images. Hidden files are left out.
        out: Folder for the predictions; made if it is not there.
        batch_size: Number of images that go through the model at once.

    Returns:
        The numbers of images predicted and of images left out.

    Raises:
        ValueError: The folder is missing or holds no image, it is `out` as well, or
            the model does not read images.
    """
    if batch_size < 1:
        raise ValueError(
            f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
        )
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise ValueError(
            "`model` must read images (batch, height, width, 1 or 3). "
            f"Received: a model with inputs {shape}"
        )
    files = _images(folder)
    out = pathlib.Path(out)
    if out.resolve() == pathlib.Path(folder).resolve():
        raise ValueError(
            f"`out` must be another folder than `folder`. Received: out={str(out)!r}"
        )
    out.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    done = 0
    lines = out / "predictions.jsonl"
    with lines.open("w", encoding="utf-8") as file, model.averaged_weights():
        for batch in _batches(_readable(files), batch_size):
            predictions = _predict(model, [image for _, image in batch], batch_size)
            for (path, image), fields in zip(batch, predictions, strict=True):
                stem = _free_stem(path.stem, model.tasks, taken)
                size = image.shape[:2]
                line = {
                    "file": path.name,
                    "height": size[0],
                    "width": size[1],
                    "picture": f"{stem}.png",
                    "predictions": {
                        task.name: _plain(task, fields[task.name], size, out / stem)
                        for task in model.tasks
                    },
                }
                file.write(json.dumps(line, allow_nan=False) + "\n")
                _draw(model, image, fields, out / f"{stem}.png")
                done += 1
    return done, len(files) - done
