"""Predictions for what is no image: rows of a table, sounds or texts of a folder."""

import csv
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from p5_keras.data.records import Problems
from p5_keras.data.sound_file import list_sounds, read_sound
from p5_keras.inputs import Table, Text, Waveform, encode
from p5_keras.model import MultiTaskModel
from p5_keras.naming import printable, spreadsheet_cell
from p5_keras.predict import make, plain, predict_folder

#: Names of files or numbers of rows, and raw values by column.
Batch = tuple[list[Any], dict[str, np.ndarray]]


def predict_input(
    model: MultiTaskModel,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: Sequence[str] = (),
    batch_size: int = 32,
) -> tuple[int, int]:
    """Predicts what the model reads: images, sounds, texts or rows of a table.

    For images see `predict_folder`. Sounds are the WAV files that lie directly in a
    folder, and so may texts be, as .txt. Rows are those of a table with the columns
    that the model reads, by name; it may have others. A category that training has not
    seen counts as none, and an empty cell as missing. Cells are read as those of the
    training data were, by `model.reading`. A file or a row that cannot be read is left
    out, with a warning of one line that says why.

    Each example is a line of "predictions.jsonl", with the fields of every task, and a
    row of "predictions.csv", with a column for each task and for the probability of a
    class. A text that a spreadsheet would run as a formula has an apostrophe before it
    there; see `naming.spreadsheet_cell`.

    Args:
        model: The model.
        path: A folder, or a table.
        out: Folder for the predictions; made if it is not there.
        options: `dataset_options` of the run; those on how a table is read hold here.
        batch_size: Number of examples that go through the model at once.

    Returns:
        How many examples were predicted, and how many could not be read.

    Raises:
        ValueError: The input is missing or not what the model reads.
    """
    if not model.encoders:
        return predict_folder(model, path, out, batch_size)
    problems = Problems("skip")
    sounds = [e for e in model.encoders.values() if isinstance(e, Waveform)]
    if sounds and len(model.encoders) > 1:
        raise ValueError(
            "`model` must read sounds alone, or a table. "
            f"Received: a model with inputs {list(model.encoders)}"
        )
    given = dict(option.partition("=")[::2] for option in options)
    files = _texts(model, path)
    key = "file" if sounds or files else "row"
    if sounds:
        rule = getattr(model, "reading", {}).get("sounds")
        batches = _sounds(list_sounds(path), sounds[0], problems, batch_size, rule)
    elif files:
        encoding = given.get("encoding", "utf-8")
        batches = _written(model, files, encoding, problems, batch_size)
    else:
        batches = _rows(model, os.fspath(path), given, problems, batch_size)
    folder = make(out, path)
    done = 0
    with (
        (folder / "predictions.jsonl").open("w", encoding="utf-8") as lines,
        (folder / "predictions.csv").open(
            "w", encoding="utf-8", errors="backslashreplace", newline=""
        ) as file,
    ):
        for names, raw in batches:
            found = _predict(model, raw, len(names))
            rows = [_short(predictions) for predictions in found]
            table = csv.DictWriter(file, [key, *rows[0]])
            if not done:
                table.writeheader()
            for name, row, predictions in zip(names, rows, found, strict=True):
                line = {key: name, "predictions": predictions}
                lines.write(json.dumps(line, allow_nan=False) + "\n")
                cells = {key: name, **row}
                table.writerow({k: spreadsheet_cell(v) for k, v in cells.items()})
            done += len(names)
    for where, reason in problems.dropped:
        logging.warning("%s is left out: %s", printable(where), printable(reason))
    for note, count in problems.notes.items():
        logging.warning("%s (%d times)", printable(note), count)
    return done, len(problems.dropped)


def _sounds(
    files: Sequence[pathlib.Path],
    sound: Waveform,
    problems: Problems,
    size: int,
    rule: Mapping[str, Any] | None,
) -> Iterator[Batch]:
    (samples,) = sound.shape
    for start in range(0, len(files), size):
        names, rows = [], []
        for file in files[start : start + size]:
            try:
                x = read_sound(file, sound.rate, sound.seconds, problems.note, rule)
            except ValueError as error:
                problems.bad(file.name, str(error))
                continue
            rows.append(np.pad(x, (0, samples - len(x))))
            names.append(file.name)
        if names:
            yield names, {sound.column: np.stack(rows)}


def _texts(model: MultiTaskModel, path: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Returns the files of text of a folder without a table, for a model of text."""
    from p5_keras.data.loaders import folder_texts, table_file

    folder, inputs = pathlib.Path(path), list(model.encoders.values())
    if not folder.is_dir() or len(inputs) > 1 or not isinstance(inputs[0], Text):
        return []
    files = sorted(f for f in folder.iterdir() if f.name[0] != ".")
    if any(f.suffix.lower() in table_file.EXTENSIONS[0] for f in files):
        return []
    return [f for f in files if f.suffix.lower() in folder_texts.EXTENSIONS]


def _written(
    model: MultiTaskModel,
    files: Sequence[pathlib.Path],
    encoding: str,
    problems: Problems,
    size: int,
) -> Iterator[Batch]:
    from p5_keras.data.loaders import folder_texts

    (column,) = next(iter(model.encoders.values())).specs()
    for start in range(0, len(files), size):
        found = {}
        for file in files[start : start + size]:
            try:
                found[file.name] = folder_texts.read_text(file, encoding)
            except ValueError as error:
                problems.bad(file.name, str(error))
        if found:
            yield list(found), {column: np.array(list(found.values()), object)}


def _rows(
    model: MultiTaskModel,
    path: str,
    given: Mapping[str, str],
    problems: Problems,
    size: int,
) -> Iterator[Batch]:
    # Not where the package is imported: these bring pyarrow.
    from p5_keras.data.importers.table import reading as reader
    from p5_keras.data.loaders import table_columns, table_file

    specs = {n: s for e in model.encoders.values() for n, s in e.specs().items()}
    file = table_file.find(path)
    known = reader.reading(getattr(model, "reading", {}))
    stored = known is not None
    if known is not None:
        table = known.read(file, specs, problems)
    else:
        table, known = reader.guessed(
            file,
            [n for n, s in specs.items() if s.dtype != tf.string],
            [n for n, s in specs.items() if s.dtype == tf.string],
            given,
            problems,
        )
    raw: dict[str, np.ndarray] = {}
    bad: dict[int, str] = {}
    for name, spec in specs.items():
        read = table_columns.apply_stored if stored else table_columns.apply
        raw[name], faults = read(
            known.rules[name], table.columns[name], name, known.missing
        )
        bad = faults | bad
        if spec.dtype == tf.string and len(specs) == 1:
            empty = map(int, np.flatnonzero(raw[name] == ""))
            bad = dict.fromkeys(empty, f"column {name!r} is empty") | bad
    for row in sorted(bad):
        problems.bad(table.where(row), bad[row])
    _note_unseen(model, raw, problems)
    keep = [row for row in range(len(table)) if row not in bad]
    if not keep:
        raise ValueError(
            "`input` must have a row that can be used. "
            f"Received: {table.file}, with {len(bad)} rows at fault: {bad[min(bad)]}"
        )

    def batches() -> Iterator[Batch]:
        for start in range(0, len(keep), size):
            own = keep[start : start + size]
            names = [int(table.rows[row]) for row in own]
            yield names, {name: values[own] for name, values in raw.items()}

    return batches()


def _note_unseen(
    model: MultiTaskModel, raw: dict[str, np.ndarray], problems: Problems
) -> None:
    """Notes categories that training has not seen."""
    for one in model.encoders.values():
        learned = (one.learned or {}) if isinstance(one, Table) else {}
        for name, known in learned.items():
            if "categories" in known:
                seen = np.isin(raw[name], ["", *known["categories"]])
                note = f"values of column {name!r} that training has not seen"
                problems.note(note, int((~seen).sum()))


def _predict(
    model: MultiTaskModel, raw: dict[str, np.ndarray], count: int
) -> list[dict[str, Any]]:
    """Returns what is predicted for each example of a batch, as JSON can hold it."""
    columns = {name: tf.convert_to_tensor(values) for name, values in raw.items()}
    x = encode(model.encoders, columns)
    (batch,) = model.predictions(tf.data.Dataset.from_tensors((x, {})))
    return [
        {
            task.name: plain(
                task, {k: v[i] for k, v in batch["fields"][task.name].items()}
            )
            for task in model.tasks
        }
        for i in range(count)
    ]


def _short(predictions: dict[str, Any]) -> dict[str, Any]:
    """Returns one cell for each task, and one for the probability of its class."""
    row: dict[str, Any] = {}
    for task, found in predictions.items():
        keys = ("text", "name", "names", "value", "label")
        known = [found[k] for k in keys if k in found]
        value = known[0] if known else next(iter(found.values()), "")
        row[task] = "|".join(map(str, value)) if isinstance(value, list) else value
        if isinstance(found.get("probabilities"), list):
            row[f"{task}_probability"] = max(found["probabilities"])
    return row
