"""From records to a source: pictures decoded, labels in the form that tasks read."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data import cache as store
from p5_keras.data.decoding import decode_mask, decode_picture
from p5_keras.data.importers import digest
from p5_keras.data.importers.watched import (
    Watched,
    fetch,
    named_faults,
    without_labels,
)
from p5_keras.data.records import Field, Records
from p5_keras.data.source import Example, Source

# Part of the key of decoded files; to be raised when decoding changes.
_VERSION = 1


def from_records(
    records: Records,
    split: str,
    image_size: int | tuple[int, int] | None = None,
    cache: str = "auto",
    channels: int | None = None,
    transform: Callable[[Example], Example] | None = None,
    augment: Callable[[Example, tf.Tensor], Example] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Source:
    """Makes a source of one split of records.

    An example has an "image" `(height, width, channels)` uint8, or an "input" of raw
    values by column, and for each field, by its kind:

    - "class": int64 `()`, negative where missing.
    - "tags": int64 `(length,)`, negative where there is none.
    - "labels": float32 `(classes,)`, NaN where missing.
    - "number": float32 `(size,)`, NaN where missing.
    - "boxes": `{"bbox": (n, 4) float32 as y1, x1, y2, x2 in 0..1, "label": (n,) int64}`
      with n the most of any split, filled up with label −1. Where boxes are missing
      one has a label and is NaN, which is how `Detection` knows.
    - "mask": `(height, width, 1)` uint8, 255 where a pixel has no label.

    Args:
        records: Records whose pictures `inspect` has seen.
        split: "train", "validation" or "test".
        image_size: Size of the images, `(height, width)` or one number for both. If
            left out, all pictures must have one size.
        cache: Where decoded pictures are kept: "memory", "disk", "none", or "auto" for
            the first in which all splits fit; see `p5_keras.data.cache`. Unless it is
            "none", each picture is decoded once.
        channels: 1 or 3. If left out, 1 if every picture is grey.
        transform: See `Source`.
        augment: See `Source`.
        cache_dir: Folder for files of decoded pictures; see `inspect`.

    Returns:
        The source, in the order of the records.

    Raises:
        ValueError: The split is empty, the pictures have not been inspected, differ in
            size without an `image_size`, or an argument is out of range.
    """
    rows = _unchanged(records, np.flatnonzero(records.splits == split))
    if not len(rows):
        raise ValueError(
            "`split` must have an example. "
            f"Received: split={split!r}, splits={sorted(set(records.splits.tolist()))}"
        )
    own = records.take(rows)
    masks = [name for name, f in records.fields.items() if f.kind == "mask"]
    columns = label_columns(records, rows)
    made = functools.partial(
        Source,
        len(rows),
        transform=transform,
        augment=augment,
        groups=own.groups,
        reading=records.reading,
        digests=digest.of_splits(records),
    )
    if records.images is None:
        columns["input"] = own.inputs
        return made(reader(columns), encoders=records.encoders)
    size = _size(records, image_size)
    channels = _channels(records, channels)
    files = {"image": _strings(own.images), "turn": _shapes(own)[:, 3]}
    files |= {name: _strings(own.columns[name]) for name in masks}
    files["stored"] = _stored(own)
    tables = {name: value_table(records.fields[name], name) for name in masks}
    turned = bool((files["turn"] > 1).any())
    resized = bool((_shapes(own)[:, :2] != size).any())

    def load(example: Example) -> Example:
        example = dict(example)
        turn, stored = example.pop("turn"), example.pop("stored")
        row = example.pop("row", None)
        good = tf.constant(True)
        for name in ("image", *tables):
            example[name], whole = fetch(example[name], watched.get(name), row)
            good &= whole
        example["image"] = decode_picture(
            example["image"],
            turn if turned else None,
            size,
            channels,
            resized or row is not None,
            None if row is not None else stored,
        )
        for name, table in tables.items():
            example[name] = decode_mask(example[name], table, size)
        if row is not None:
            example = without_labels(example, records.fields, good)
        return example

    watched = _watched(own, masks)
    places = len(records) * size[0] * size[1] * (channels + len(masks))
    place = store.choose_place(cache, places, cache_dir)
    if place == "none":
        if watched and records.problems.on_bad_example == "skip":
            files["row"] = np.arange(len(rows))
        return made(reader(columns | files), load=load)
    names = ["image", *masks]
    depths = [channels, *(1 for _ in masks)]
    shapes = [(len(rows), *size, depth) for depth in depths]
    folder = None
    if place == "disk":
        paths = [path for name in names for path in files[name] if path]
        keys = [store.file_key(os.fsdecode(path)) for path in paths]
        parts = (
            keys,
            [[bool(path) for path in files[name]] for name in names],
            files["turn"].tolist(),
            {name: table.tolist() for name, table in tables.items()},
        )
        key = store.content_key(_VERSION, size, channels, *parts)
        folder = store.cache_folder(cache_dir) / "decoded" / key
    kept = store.keep(
        _decoded(files, load, names), shapes, [tf.uint8] * len(names), folder
    )
    pixels = dict(zip(names, kept, strict=True))
    return made(reader(columns | pixels))


def label_columns(records: Records, rows: np.ndarray) -> dict[str, Any]:
    """Returns the labels of some examples, but for masks, as examples hold them.

    Args:
        records: The records.
        rows: Numbers of the examples.
    """
    own = records.take(rows)
    return {
        name: _column(f, own.columns[name], records.columns[name])
        for name, f in records.fields.items()
        if f.kind != "mask"
    }


def value_table(field: Field, name: str = "") -> np.ndarray:
    """Returns the class of each pixel value of a mask, `(256,)` uint8.

    Args:
        field: A field of kind "mask".
        name: Its name.

    Returns:
        Classes by pixel value, 255 for values without one.

    Raises:
        ValueError: There are more classes than a byte can tell.
    """
    values = field.values or range(len(field.class_names) or 255)
    if len(values) > 255 or min(values) < 0 or max(values) > 255:
        raise ValueError(
            "A mask must have at most 255 classes, with pixel values in 0..255. "
            f"Received: {len(values)} classes of values up to {max(values)} for "
            f"{name!r}"
        )
    table = np.full(256, 255, "uint8")
    table[list(values)] = np.arange(len(values))
    return table


def _strings(paths: Any) -> np.ndarray:
    # As bytes, so that names survive that are no valid UTF-8.
    return np.array([os.fsencode(str(path)) for path in paths], object)


def _shapes(records: Records) -> np.ndarray:
    if records.shapes is None:
        raise ValueError(
            "`records` must come from `inspect`, which checks their pictures. "
            f"Received: {records.name!r} with shapes=None"
        )
    return records.shapes


def _size(
    records: Records, image_size: int | tuple[int, int] | None
) -> tuple[int, int]:
    if image_size is not None:
        pair = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
        if len(pair) != 2 or min(pair) < 1:
            raise ValueError(
                "`image_size` must be a number of pixels, or two, above 0. "
                f"Received: image_size={image_size}"
            )
        return int(pair[0]), int(pair[1])
    low, high = (f(_shapes(records)[:, :2], axis=0) for f in (np.min, np.max))
    if (low != high).any():
        raise ValueError(
            "`image_size` must be given, since the pictures differ in size. Received: "
            f"image_size=None for {records.name!r}, heights {low[0]} to {high[0]}, "
            f"widths {low[1]} to {high[1]}"
        )
    return int(low[0]), int(low[1])


def _channels(records: Records, channels: int | None) -> int:
    if channels is None:
        known = records.reading.get("channels")
        return int(known or _shapes(records)[:, 2].max())
    if channels not in (1, 3):
        raise ValueError(f"`channels` must be 1 or 3. Received: channels={channels}")
    return channels


def _column(field: Field, column: Any, whole: Any) -> Any:
    """Returns the labels of a split, `(n, ...)` each; `whole` is that of all splits."""
    if field.kind in ("class", "tags"):
        return np.asarray(column, "int64")
    if field.kind == "labels":
        return np.asarray(column, "float32")
    if field.kind == "number":
        return np.asarray(column, "float32").reshape(len(column), -1)
    most = max([1, *(len(entry[1]) for entry in whole if entry is not None)])
    bbox = np.zeros((len(column), most, 4), "float32")
    label = np.full((len(column), most), -1, "int64")
    for i, entry in enumerate(column):
        if entry is None:
            bbox[i, 0], label[i, 0] = np.nan, 0
        else:
            boxes, ids = entry
            bbox[i, : len(ids)], label[i, : len(ids)] = boxes, ids
    return {"bbox": bbox, "label": label}


def reader(columns: dict[str, Any]) -> Callable[[tf.Tensor, tf.Tensor], Example]:
    """Returns a function from indices and epochs to rows of columns, as in `Source`."""
    with tf.device("CPU:0"):
        tensors = tf.nest.map_structure(tf.convert_to_tensor, columns)

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        del epochs
        return tf.nest.map_structure(lambda t: tf.gather(t, indices), tensors)

    return read


def _decoded(
    files: dict[str, np.ndarray], load: Callable[[Example], Example], names: list[str]
) -> Iterator[list[np.ndarray]]:
    dataset = tf.data.Dataset.from_tensor_slices(
        {name: tf.convert_to_tensor(column) for name, column in files.items()}
    )
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32)
    with named_faults():
        for batch in dataset.prefetch(2).as_numpy_iterator():
            yield [batch[name] for name in names]


def _stored(records: Records) -> np.ndarray:
    """Returns height and width of the images as they are stored, `(n, 2)` int32."""
    shapes = _shapes(records)
    turned = (shapes[:, 3] >= 5)[:, None]
    return np.where(turned, shapes[:, 1::-1], shapes[:, :2]).astype("int32")


def _watched(records: Records, masks: Sequence[str]) -> dict[str, Watched]:
    """Returns the files that training reads, as they were, if that is known."""
    if not records.stamps or records.images is None:
        return {}
    found = {}
    for name in (*masks, "image"):  # the last one is the first to be blamed
        paths = records.images if name == "image" else records.columns[name]
        sizes = _stored(records) if name == "image" else None
        stamps = records.stamps[name]
        found[name] = Watched(list(map(str, paths)), stamps, sizes, records.problems)
    return found


def _unchanged(records: Records, rows: np.ndarray) -> np.ndarray:
    """Returns the rows whose files are as `inspect` found them; reports the others."""
    own = records.take(rows)
    masks = [name for name, f in records.fields.items() if f.kind == "mask"]
    keep = np.ones(len(rows), bool)
    for watched in _watched(own, masks).values():
        for i in np.flatnonzero(keep):
            if reason := watched.fault(int(i)):
                records.problems.bad(watched.paths[i], reason)
                keep[i] = False
    return rows[keep]
