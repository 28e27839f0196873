"""How a data set is read: decided on the training data, kept with run and model."""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from p5_keras import json_file
from p5_keras.data import infer
from p5_keras.data.importers import image_values, sound_values
from p5_keras.data.records import Field, Records
from p5_keras.inputs import Input

Reading = Mapping[str, Any]

#: The file of a run's folder with the readings of its data, and what these held.
FILE = "reading.json"
#: What a run of an earlier version had decided, which did not write it down.
EARLIER: Reading = {
    "splits": {"rule": "rank"},
    "images": image_values.EARLIER,
    "sounds": sound_values.EARLIER,
}


def load(reading: str | os.PathLike[str] | Reading, dataset: str = "") -> Reading:
    """Returns how data were read.

    Args:
        reading: The folder of a run; or a reading, which is returned as it is.
        dataset: Which data, where the run has read several.

    Raises:
        ValueError: There is no such run, or it has read several others.
    """
    if isinstance(reading, Mapping):
        return reading
    folder = pathlib.Path(reading)
    file = folder / FILE
    if not file.is_file() and not (folder / "config.json").is_file():
        raise ValueError(
            "`reading` must be the folder of a run, or `reading` of records or of a "
            f"model. Received: reading={str(reading)!r}, without a config.json"
        )
    if not file.exists():
        return EARLIER
    found = json_file.read(file, {"readings": [dict]})["readings"]
    own = [one for one in found if one.get("dataset") == dataset] or found
    if len(own) > 1:
        known = [one.get("dataset") for one in found]
        raise ValueError(
            f"`reading` must be a run with these data, or with one data set. Received: "
            f"reading={str(reading)!r}, which has read {known}; dataset={dataset!r}"
        )
    return own[0] if own else {}


def field(reading: Reading | None, source: str) -> Field | None:
    """Returns what a field of labels was found to hold, if there is a reading.

    Args:
        reading: The reading, or `None`.
        source: What the loader calls the field.
    """
    for stored in (reading or {}).get("fields", {}).values():
        if stored["source"] == source:
            return as_field(stored)
    return None


def as_field(stored: Mapping[str, Any]) -> Field:
    """Returns a stored field as one of records."""
    return Field(
        stored["kind"],
        tuple(stored["class_names"]),
        tuple(stored["values"]),
        stored["encoding"],
    )


def as_input(stored: Mapping[str, Any]) -> Any:
    """Returns a stored input, of a class that is known: nothing is imported for it.

    Raises:
        ValueError: It is none.
    """
    kind = keras.saving.get_registered_object(stored["registered_name"])
    if not (isinstance(kind, type) and issubclass(kind, Input)):
        raise ValueError(
            "An input must be of `p5_keras.inputs`, or registered with Keras. "
            f"Received: {stored['registered_name']!r}"
        )
    return kind.from_config(dict(stored["config"]))


def kept(records: Records) -> Records:
    """Returns records whose `reading` holds their fields and inputs.

    Args:
        records: Records with the fields that tasks are made of, before `inspect`.
    """
    known = records.reading.get("fields", {})
    reading = dict(records.reading)
    reading["fields"] = {
        name: {
            "source": known.get(name, {}).get("source", name),
            "kind": one.kind,
            "class_names": list(one.class_names),
            "values": [int(value) for value in one.values],
            "encoding": one.encoding,
        }
        for name, one in records.fields.items()
    }
    reading["encoders"] = {
        name: keras.saving.serialize_keras_object(one)
        for name, one in records.encoders.items()
    }
    return with_channels(replace(records, reading=reading))


def with_channels(records: Records) -> Records:
    """Returns records whose `reading` holds the channels of images, if it can."""
    if records.shapes is None or "channels" in records.reading:
        return records
    channels = int(records.shapes[:, 2].max())
    return replace(records, reading={**records.reading, "channels": channels})


def as_read(records: Records, reading: Reading, whole: bool = False) -> Records:
    """Returns other data with the fields, classes and inputs of a reading.

    Fields and classes are matched by their names. A field that these data lack has no
    label; a class that they lack does no harm. An example of a class that the reading
    lacks is a bad one.

    Args:
        records: What a loader has found.
        reading: How the training data were read.
        whole: Whether no example can be left out.

    Raises:
        ValueError: An example is of another class, and is not to be skipped; or a
            field holds something else.
    """
    fields: dict[str, Field] = {}
    columns: dict[str, Any] = {}
    bad: dict[int, str] = {}
    for name, stored in reading["fields"].items():
        wanted, source = as_field(stored), stored["source"]
        fields[name] = wanted
        if source not in records.fields:
            records.problems.note(f"{source!r} is not in these data", severity="medium")
            columns[name] = _without_label(wanted, len(records))
            continue
        own, column = infer.converted(
            source, records.fields[source], records.columns[source], wanted.kind
        )
        columns[name], others = _by_name(own, column, wanted)
        if own.kind == "mask" and len(own.class_names) > len(wanted.class_names):
            more = ", ".join(own.class_names[len(wanted.class_names) :])
            records.problems.note(
                f"pixels of classes that the model lacks have no label: {more}",
                severity="medium",
            )
        for class_name, rows in others.items():
            reason = _reason(class_name, name, wanted, len(rows))
            bad = dict.fromkeys(map(int, rows), reason) | bad
    for source in records.fields:
        if all(stored["source"] != source for stored in reading["fields"].values()):
            records.problems.note(f"{source!r} is not what was trained on, left out")
    for row in sorted(bad):
        where, reason = _where(records, row), bad[row]
        if whole:
            raise ValueError(f"{where}: {reason}")
        records.problems.bad(where, reason)
    encoders = {name: as_input(one) for name, one in reading["encoders"].items()}
    keep = np.ones(len(records), bool)
    keep[list(bad)] = False
    found = replace(
        records, fields=fields, columns=columns, encoders=encoders, reading=reading
    )
    return found.take(keep)


def _by_name(
    own: Field, column: Any, wanted: Field
) -> tuple[Any, dict[str, np.ndarray]]:
    """Returns a column with the wanted classes' numbers, and rows of other classes."""
    names = list(wanted.class_names)
    others = [i for i, name in enumerate(own.class_names) if name not in names]
    if own.kind == "mask" and (not others or min(others) >= len(names)):
        return column, {}  # further values have no label
    if own.kind == "number" or own.class_names == wanted.class_names:
        return column, {}
    # The last place is for what is negative.
    place = np.array(
        [names.index(name) if name in names else -1 for name in own.class_names] + [-1],
        "int64",
    )
    rows: dict[str, np.ndarray] = {}
    found: Any
    if own.kind == "mask":
        raise ValueError(
            f"Masks must have classes of the training data, {_few(wanted)}. Received: "
            f"{', '.join(map(repr, own.class_names))}; train anew for them"
        )
    if own.kind == "boxes":
        found = [
            None if entry is None else (entry[0], place[np.asarray(entry[1], int)])
            for entry in column
        ]
        for i in others:
            has = [e is not None and bool((e[1] == i).any()) for e in column]
            rows[own.class_names[i]] = np.flatnonzero(has)
    elif own.kind == "labels":
        values = np.asarray(column, "float32")
        found = np.zeros((len(values), len(names)), "float32")
        known = np.flatnonzero(place[:-1] >= 0)
        found[:, place[known]] = values[:, known]
        found[np.isnan(values).all(axis=1)] = np.nan
        for i in others:
            rows[own.class_names[i]] = np.flatnonzero(values[:, i] == 1)
    else:
        ids = np.asarray(column)
        found = place[np.maximum(ids, -1)]
        for i in others:
            has = (ids == i).reshape(len(ids), -1).any(axis=1)
            rows[own.class_names[i]] = np.flatnonzero(has)
    return found, {name: where for name, where in rows.items() if len(where)}


def _without_label(wanted: Field, count: int) -> Any:
    if wanted.kind == "boxes":
        return [None] * count
    if wanted.kind == "mask":
        return [""] * count
    if wanted.kind == "class":
        return np.full(count, -1, "int64")
    if wanted.kind == "tags":
        return np.full((count, 1), -1, "int64")
    classes = [len(wanted.class_names)] if wanted.kind == "labels" else []
    return np.full((count, *classes), np.nan, "float32")


def _reason(class_name: str, name: str, wanted: Field, count: int) -> str:
    total = f", as of {count} examples in all" if count > 1 else ""
    return (
        f"its class {class_name!r} of {name!r} is none of the model's, "
        f"{_few(wanted)}{total}; train anew for it, with another --workdir"
    )


def _few(wanted: Field, most: int = 8) -> str:
    names = list(wanted.class_names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _where(records: Records, row: int) -> str:
    files = records.images if records.names is None else records.names
    return f"{records.name}, example {row + 1}" if files is None else str(files[row])
