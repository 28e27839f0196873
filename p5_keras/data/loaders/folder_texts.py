"""Texts of a folder, a file each."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from p5_keras.data.importers import reading as readings
from p5_keras.data.loaders import table_inputs
from p5_keras.data.records import Records

#: Extensions of files that are read.
EXTENSIONS = (".txt",)


def read_text(file: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """Reads a file of text.

    Args:
        file: The file.
        encoding: Its encoding; a byte order mark of UTF-8 is left out.

    Raises:
        ValueError: It cannot be read, or holds nothing; the message is a reason.
    """
    try:
        with open(file, "rb") as content:
            text = content.read().decode(encoding).removeprefix("\ufeff").strip()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except (LookupError, UnicodeError) as error:
        raise ValueError(
            f"it is no text in {encoding}; say its `encoding`, such as cp1252"
        ) from error
    if not text:
        raise ValueError("it holds no text")
    return text


def written(records: Records, files: Sequence[str], encoding: str) -> Records:
    """Returns records of texts, without those that are at fault.

    Args:
        records: Their labels.
        files: Their paths.
        encoding: Of all of them.

    Raises:
        ValueError: None is left to train on.
    """
    texts = np.full(len(files), "", object)
    for i, file in enumerate(files):
        try:
            texts[i] = read_text(file, encoding)
        except ValueError as error:
            records.problems.bad(file, str(error))
    good = texts != ""
    known = records.reading.get("encoders", {}).get("text")
    training = good & ((records.splits == "train") | (known is not None))
    if not training.any():
        raise ValueError(
            "Texts that can be read must be left to train on. "
            f"Received: {len(files)} files, none in training"
        )
    if known is None:
        encoder = table_inputs.text("text", texts[training])
    else:
        encoder = readings.as_input(known)
    table_inputs.note_cut_off(texts[good], encoder, records.problems)
    return replace(
        records.take(good),
        images=None,
        inputs={"text": texts[good]},
        encoders={"text": encoder},
        names=np.array(files)[good],
    )
