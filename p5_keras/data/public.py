"""Public data sets of TFDS: which fields are labels, and of which kind."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.from_records import label_columns, reader, value_table
from p5_keras.data.importers import digest
from p5_keras.data.infer import labelled
from p5_keras.data.loaders.folder import SPLITS
from p5_keras.data.public_features import Label, labels_of
from p5_keras.data.records import Problems, Records
from p5_keras.data.source import Example, Source, builder, from_tfds

#: Share of the training examples that validate where a set has no split for that.
VALIDATION_SHARE = 0.1


def public_data(
    name: str, problems: Problems, data_dir: str | None = None
) -> tuple[Records, Callable[..., Source]]:
    """Reads the labels of a public data set, and says how to read its examples.

    Splits without any label are left out. A missing validation split is cut from the
    end of the training split; where there is no test split, the validation split is
    tested on, and validation is cut from training.

    Args:
        name: The name, as `tfds.load` takes it.
        problems: Takes what is left out.
        data_dir: Folder with a local copy of what would be downloaded.

    Returns:
        The labels of all examples, as `labels_of` finds them, and a function from
        records (whose fields are to be read), a split, an image size and an
        augmentation to a source.

    Raises:
        ValueError: There is no such set, it has no images, or no training split.
    """
    found = builder(name, data_dir)
    labels = labels_of(found, problems)
    slices = _slices(found, labels, problems)
    parts = [_read_labels(found, own, labels) for own in slices.values()]
    columns = {
        key: [entry for part in parts for entry in part[key]]
        if isinstance(parts[0][key], list)
        else np.concatenate([part[key] for part in parts])
        for key in labels
    }
    fields = {}
    for key, label in labels.items():
        fields[key] = label.field
        if label.field.kind == "mask" and not label.field.class_names:
            values = sorted(set().union(*(part[f"{key} values"] for part in parts)))
            named = tuple(str(value) for value in values)
            fields[key] = dataclasses.replace(
                label.field, class_names=named, values=tuple(values)
            )
    sizes = [len(part["shapes"]) for part in parts]
    records = Records(
        name=found.info.full_name,
        splits=np.repeat(np.array(list(slices), "U16"), sizes),
        fields=fields,
        columns=columns,
        shapes=np.concatenate([part["shapes"] for part in parts]),
        problems=problems,
    )

    def read(
        records: Records, split: str, size: Any = None, augment: Any = None
    ) -> Source:
        return _source(found, slices[split], split, records, size, augment)

    return records, read


def _slices(found: Any, labels: dict[str, Label], problems: Problems) -> dict[str, str]:
    """Returns what TFDS calls the training, validation and test split."""
    named = {SPLITS[s]: s for s in found.info.splits if s in SPLITS}
    if "train" not in named:
        raise ValueError(
            "A public data set must have a training split. "
            f"Received: {found.info.full_name!r} with {list(found.info.splits)}"
        )
    for split in ("validation", "test"):
        if split in named:
            head = _read_labels(found, named[split], labels, 100)
            if not any(_known(label, head[key]) for key, label in labels.items()):
                problems.note(f"split {named.pop(split)!r} has no label, left out")
    train = named["train"]
    count = found.info.splits[train].num_examples
    whole = {"train": train, **named}
    if "validation" in named and "test" not in named:
        problems.note(f"no test split: {named['validation']!r} is tested on")
        whole["test"] = whole.pop("validation")
    start = count
    for split in ("validation", "test"):
        if split not in whole:
            end = start
            start -= max(1, round(VALIDATION_SHARE * count))
            whole[split] = f"{train}[{start}:{end}]"
            problems.note(f"no {split} split: the last examples of {train!r} serve")
    if start < count:
        whole["train"] = f"{train}[:{start}]"
    return {split: whole[split] for split in ("train", "validation", "test")}


def _known(label: Label, column: Any) -> bool:
    if label.field.kind == "boxes":
        return any(entry is not None and len(entry[1]) for entry in column)
    if label.field.kind == "labels":
        return bool(np.nansum(column) > 0)
    return bool(labelled(label.field, column).any())


def _read_labels(
    found: Any, split: str, labels: dict[str, Label], limit: int = -1
) -> dict[str, Any]:
    """Reads labels without decoding images.

    Returns:
        A column for each label, as `Field` describes it, with the name of its own
        field for masks; "<mask> values", the values of its pixels where its classes
        are unknown; and "shapes", as in `Records`.
    """
    from PIL import Image
    from tensorflow_datasets import decode
    from tensorflow_datasets import features as tfds

    features = found.info.features
    images = [k for k, part in features.items() if isinstance(part, tfds.Image)]
    masks = [key for key, label in labels.items() if label.field.kind == "mask"]
    dataset = found.as_dataset(
        split=split,
        shuffle_files=False,
        decoders={key: decode.SkipDecoding() for key in images},
    ).take(limit)
    unknown = [key for key in masks if not labels[key].field.class_names]

    def small(example: Example) -> Example:
        kept = {key: label.read(example) for key, label in labels.items()}
        return {**kept, "image": example["image"]}

    columns: dict[str, Any] = {key: [] for key in labels}
    values: dict[str, set[int]] = {key: set() for key in unknown}
    shapes = []
    grey = features["image"].shape[-1] == 1
    for example in dataset.map(small).as_numpy_iterator():
        width, height = Image.open(io.BytesIO(example["image"])).size
        shapes.append((height, width, 1 if grey else 3, 1))
        for key in unknown:
            mask = np.asarray(Image.open(io.BytesIO(example[key])))
            values[key] |= {int(v) for v in np.unique(mask) if v != 255}
        for key, label in labels.items():
            value = key if label.field.kind == "mask" else example[key]
            columns[key].append(_entry(label.field.kind, value))
    for key, label in labels.items():
        if label.field.kind not in ("boxes", "mask"):
            columns[key] = np.array(columns[key])
    found_shapes = np.array(shapes, "int32").reshape(-1, 4)
    values_by_name = {f"{key} values": found for key, found in values.items()}
    return {**columns, **values_by_name, "shapes": found_shapes}


def _entry(kind: str, value: Any) -> Any:
    if kind == "boxes":
        missing = np.isnan(value["bbox"]).any()
        return None if missing else (value["bbox"], value["label"])
    return value


def _source(
    found: Any, own: str, split: str, records: Records, size: Any, augment: Any
) -> Source:
    """Makes a source of pictures and masks from TFDS and labels from the records."""
    masks = {
        name: records.columns[name][0]
        for name, field in records.fields.items()
        if field.kind == "mask"
    }
    tables = {name: value_table(records.fields[name], name) for name in masks}
    origins = list(masks.values())
    pictures = from_tfds(found, own, size, origins, fields=["image", *origins])
    rows = np.flatnonzero(records.splits == split)
    labels = reader(label_columns(records, rows))

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        raw = pictures.read(indices, epochs)
        example = {"image": raw["image"], **labels(indices, epochs)}
        for name, table in tables.items():
            values = tf.cast(raw[masks[name]], tf.int32)
            example[name] = tf.gather(tf.constant(table), values)
        return example

    digests = digest.of_splits(records)
    return Source(
        len(rows), read, augment=augment, reading=records.reading, digests=digests
    )
