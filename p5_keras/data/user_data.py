"""A user's own data set, or a public one, by one word: no code."""

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np

from p5_keras.data import infer
from p5_keras.data.from_records import from_records
from p5_keras.data.image_file import allow
from p5_keras.data.importers import image_values
from p5_keras.data.importers import reading as readings
from p5_keras.data.importers.column_names import note_names
from p5_keras.data.importers.label_checks import note_labels
from p5_keras.data.importers.repeats import note_repeats
from p5_keras.data.pictures import inspect
from p5_keras.data.records import Problems, Records
from p5_keras.data.source import Example, Source
from p5_keras.naming import did_you_mean
from p5_keras.task import Task
from p5_keras.values import keywords, typed, unknown

#: The loaders of users' own data, by what stands before the path.
LOADERS = ("folder", "voc", "coco", "table")
#: Those of data without any label.
UNLABELLED = ("pictures", "lines")

Augmentation = Callable[[Example, Any], Example]


@dataclass(frozen=True)
class UserData:
    """A data set that was read, checked, and given names that tasks can have.

    Attributes:
        records: The examples with their labels.
        pictures: One line on the pictures, empty for tables.
        dataset: What the user gave.
        read: Makes a source of a split; see `source`.
    """

    records: Records
    pictures: str
    dataset: str
    read: Callable[[str, tuple[int, int] | None, Augmentation | None], Source]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture without its size: `(channels,)`."""
        return (readings.with_channels(self.records).reading.get("channels", 3),)

    def source(
        self,
        split: str,
        image_size: tuple[int, int] | None = None,
        augment: Augmentation | None = None,
    ) -> Source:
        """Makes a source of one split.

        Args:
            split: "train", "validation" or "test".
            image_size: Height and width of the images, for pictures.
            augment: See `Source`.
        """
        return self.read(split, image_size, augment)

    def tasks(
        self, image_size: tuple[int, int] | None = None, levels: int = 5
    ) -> list[Task]:
        """Makes a task for each thing that is labelled; see `infer.make_tasks`.

        Args:
            image_size: Height and width of the model input in pixels, for pictures.
            levels: The deepest level of the trunk's pyramid, for pictures.
        """
        return infer.make_tasks(self.records, image_size, levels)

    def image_size(self, largest: int) -> tuple[int, int]:
        """Returns height and width that suit the pictures.

        Pictures of one size that are small enough keep it. Others get the median
        height and width, brought down until the longer one is at most `largest`, and
        each to the nearest multiple of 32.

        Args:
            largest: Longest side in pixels.
        """
        shapes = self.records.shapes
        if shapes is None:
            return (largest, largest)
        sides = shapes[:, :2]
        if (sides == sides[0]).all() and sides[0].max() <= largest:
            return int(sides[0][0]), int(sides[0][1])
        median = np.median(sides, axis=0)
        scaled = median * min(1.0, largest / median.max())
        height, width = np.maximum(32, 32 * np.round(scaled / 32)).astype(int)
        return int(height), int(width)

    def why_unmoved(self) -> str:
        """Returns why pictures should be neither mirrored nor zoomed, or nothing.

        Mirrored digits and letters are no digits and letters, left becomes right, and
        a number may be a position, a length or a count. Grey pictures are often of
        such a kind.
        """
        fields = self.records.fields
        if self.shape == (1,):
            return "the pictures are grey, and may show writing"
        for name, field in fields.items():
            if field.kind == "number":
                return f"{name!r} holds numbers, which may be lengths or positions"
            words = {
                w for c in field.class_names for w in re.findall("[a-z]+", c.lower())
            }
            if found := words & {"left", "right"}:
                return f"{name!r} has a class with {sorted(found)[0]!r} in its name"
            if field.kind != "mask" and all(len(c) == 1 for c in field.class_names):
                return f"the classes of {name!r} are single characters"
        return ""


def user_data(
    dataset: str,
    options: Sequence[str] = (),
    on_bad_example: str = "raise",
    data_dir: str | None = None,
    labelled: bool = True,
    reading: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> UserData:
    """Reads a data set without any code.

    Args:
        dataset: "folder:PATH", "voc:PATH", "coco:PATH" or "table:PATH", or the name of
            a public set, as TFDS has it: "mnist", "coco/2017".
        options: "name=value" each: arguments of the loader; "kind.FIELD=KIND" for
            another kind of task than is inferred, one of `infer.KINDS`;
            "ignore=FIELD,FIELD" for fields to leave out; and of pictures
            "image_range=LOW,HIGH" for the values that are black and white, and
            "image_background=white", or black or grey, for what transparency is laid
            on, and "max_pixels=N" for the largest that are decoded.
        on_bad_example: "raise" or "skip".
        data_dir: For public sets, a folder with a local copy of what would be
            downloaded.
        labelled: Whether there must be labels. Else it may also be "pictures:PATH",
            all pictures in a folder, or "lines:PATH", a text a line.
        reading: How a model's training data were read, for other data that it is to be
            used on: the folder of its run, `model.reading`, or `records.reading` of the
            training data. Nothing is guessed then: fields, columns and classes are
            matched by name.

    Raises:
        ValueError: Something is wrong with the arguments or the data.
    """
    given: dict[str, str] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals:
            raise ValueError(
                f"`dataset_options` must be name=value. Received: {option!r}"
            )
        given[name] = text
    kind = {n[5:]: given.pop(n) for n in list(given) if n.startswith("kind.")}
    scheme, colon, path = dataset.partition(":")
    problems = Problems(on_bad_example)
    if reading is not None:
        reading = readings.load(reading, dataset)
    loaders = LOADERS if labelled else (*UNLABELLED, *LOADERS)
    if scheme in loaders and colon:
        if data_dir is not None:
            raise ValueError(
                "`data_dir` is for public data sets and recipes; the path of your own "
                f"stands in `dataset`. Received: data_dir={data_dir!r}, "
                f"dataset={dataset!r}"
            )
        load = importlib.import_module(f"p5_keras.data.loaders.{scheme}").load
        ignore: tuple[str, ...] = ()
        if "ignore" not in signature(load).parameters:
            ignore = _names(given.pop("ignore", ""))
        told = image_values.told(given)
        allow(told.get("max_pixels", 0))
        known = ["ignore", "kind.FIELD", *image_values.OPTIONS]
        arguments = keywords(load, given, known, ["reading"])
        records = load(path, problems, reading=reading, **arguments)
        records = replace(records, reading={"dataset": dataset, **records.reading})
        labelled = scheme in LOADERS
        return of_records(records, dataset, kind, ignore, labelled, told, reading)
    _check_name(dataset, scheme, bool(colon), loaders)
    from p5_keras.data.public import public_data

    ignore = _names(given.pop("ignore", ""))
    for name in given:
        raise ValueError(
            unknown("option of this data set", name, ["ignore", "kind.FIELD"])
        )
    records, read = public_data(dataset, problems, data_dir)
    records = replace(records, reading={"dataset": dataset})
    if reading is not None and "fields" in reading:
        usable = readings.as_read(records, reading, whole=True)
    else:
        usable = readings.kept(infer.usable(records, kind, ignore))
    note_labels(usable)
    return UserData(usable, "", dataset, lambda *a: read(usable, *a))


def of_records(
    records: Records,
    dataset: str = "",
    kind: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    labelled: bool = True,
    told: Mapping[str, Any] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> UserData:
    """Makes a data set of what a loader read, after looking at its pictures.

    Args:
        records: The examples with their labels.
        dataset: What to call it; the name of the records if left out.
        kind: Kinds of task by field, where they are not to be inferred.
        ignore: Fields to leave out.
        labelled: Whether a field must be left that a task can be made of.
        told: How pixels are read, where that is decided; see `inspect`.
        reading: How a model's training data were read; see `user_data`.

    Raises:
        ValueError: A picture is at fault, or an argument is wrong.
    """
    dataset = dataset or records.name
    if reading is not None and "fields" in reading:
        records = readings.as_read(records, reading)
    elif labelled:
        note_names(records)
        records = infer.usable(records, kind or {}, ignore)
    records, pictures = inspect(readings.kept(records), told=told)
    records = readings.with_channels(records)
    note_repeats(records)
    note_labels(records)

    def read(
        split: str, size: tuple[int, int] | None, augment: Augmentation | None
    ) -> Source:
        return from_records(records, split, size, augment=augment)

    line = "" if records.images is None else str(pictures)
    return UserData(records, line, dataset, read)


def _names(text: str) -> tuple[str, ...]:
    names: tuple[str, ...] = typed("ignore", text, tuple[str, ...])
    return names


def _check_name(dataset: str, scheme: str, colon: bool, loaders: Sequence[str]) -> None:
    """Checks that something can be the name of a public set.

    Raises:
        ValueError: It is a path, or what stands before the path is unknown.
    """
    known = re.fullmatch(r"\w+(/[\w.=,-]+)*(:[\d.*]+)?", dataset)
    if not known or os.path.exists(dataset):
        forms = ", ".join(f"{name}:PATH" for name in loaders)
        near = did_you_mean(scheme, loaders) if colon else ""
        raise ValueError(
            f"`dataset` must be {forms}, or the name of a public set.{near} "
            f"Received: dataset={dataset!r}"
        )
