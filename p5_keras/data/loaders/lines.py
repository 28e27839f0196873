"""A text a line, without any labels."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from p5_keras.data.importers import reading as readings
from p5_keras.data.importers.splits import cut
from p5_keras.data.loaders.table_csv import utf8
from p5_keras.data.loaders.table_inputs import text
from p5_keras.data.records import Problems, Records


def load(
    path: str,
    problems: Problems,
    *,
    encoding: str = "utf-8",
    reading: Mapping[str, Any] | None = None,
) -> Records:
    """Reads `lines:PATH`: every line of a text file that is not empty.

    Args:
        path: The file.
        problems: Takes what is wrong with the set.
        encoding: That of the file.
        reading: How a model's training data were read, where these are others; see
            `Records`.

    Returns:
        The texts, with no field; a twentieth each is for validation and test.

    Raises:
        ValueError: The file cannot be read, or there are fewer than three texts.
    """
    file = pathlib.Path(os.path.abspath(os.path.expanduser(path)))
    if not file.is_file():
        raise ValueError(
            f"`path` must be a file with a text a line. Received: path={path!r}"
        )
    lines = [line.strip() for line in utf8(file, encoding).decode("utf-8").split("\n")]
    texts = np.array([line for line in lines if line], object)
    problems.note("lines left out: they are empty", len(lines) - len(texts))
    if len(texts) < 3:
        raise ValueError(
            "`path` must hold three texts at least, one for each split. "
            f"Received: path={path!r} with {len(texts)}"
        )
    # The same text twice must not be in two splits.
    own, place = np.unique(texts, return_inverse=True)
    splits, rule = cut(own.tolist(), None, None, (0.9, 0.05, 0.05), problems, reading)
    splits = splits[place]
    if known := (reading or {}).get("encoders", {}).get("text"):
        encoder = readings.as_input(known)
    else:
        encoder = text("text", texts[splits == "train"])
    return Records(
        file.stem,
        splits,
        {},
        {},
        inputs={"text": texts},
        encoders={"text": encoder},
        reading={**(reading or {}), "splits": rule},
        problems=problems,
    )
