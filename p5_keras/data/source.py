"""A source: examples by number, which is what lets training start at any step."""

import functools
import hashlib
import importlib
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras import catalog
from p5_keras.data import cache as store
from p5_keras.data.class_names import by_name
from p5_keras.data.download import alone
from p5_keras.inputs import Input, encode
from p5_keras.naming import did_you_mean
from p5_keras.task import Task

Example = dict[str, Any]
Batch = tuple[Any, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """Examples by number.

    An example is a dict with an "image" (or "input") and the fields that tasks read
    their labels from; batches of examples have a leading axis everywhere. Boxes are a
    field `{"bbox": (batch, n, 4) in 0..1 as y1, x1, y2, x2, "label": (batch, n)}` in
    which rows with a negative label are padding.

    Attributes:
        size: Examples in one epoch.
        read: From indices `(batch,)` in 0..size-1 and epochs `(batch,)`, both int64,
            to a batch of examples. Most sources ignore the epoch; one that makes its
            examples can make new ones each time.
        transform: From a batch of examples to one, applied always: value fixes, and
            labels derived from others.
        augment: From one example and a seed `(2,)` to one, applied in training.
        load: From one example to one, applied in parallel before `augment`: reads
            what is still in files, such as pictures.
        augment_batch: From a batch `(x, y, sample_weight)` and a seed `(2,)` to one,
            applied last, in training: `MixUp`, `CutMix`.
        ordered: Whether an epoch of training keeps the order of the numbers.
        encoders: What makes the model's inputs of an "input" by column, by name.
        groups: `(size,)`, the group of each example; folds keep groups whole.
        reading: How the data were read, as `Records` has it; the classes of its
            "fields" must be those of the tasks.
        digests: Returns what tells the data set from others, as JSON can hold it: for
            each of its splits the number of "examples" and, where that is known, of
            those of each class, and a digest of the "content".
        together: Whether the examples of a group come in a row in an epoch of training,
            so that they meet in a batch; not where the source is part of a mixture.
    """

    size: int
    read: Callable[[tf.Tensor, tf.Tensor], Example]
    transform: Callable[[Example], Example] | None = None
    augment: Callable[[Example, tf.Tensor], Example] | None = None
    load: Callable[[Example], Example] | None = None
    augment_batch: Callable[[Batch, tf.Tensor], Batch] | None = None
    ordered: bool = False
    encoders: Mapping[str, Input] | None = None
    groups: np.ndarray | None = None
    together: bool = False
    reading: Mapping[str, Any] = field(default_factory=dict)
    digests: Callable[[], dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Checks that there is an example.

        Raises:
            ValueError: There is none.
        """
        if self.size < 1:
            raise ValueError("A source must hold at least one example. Received: 0")

    def first(self, size: int) -> "Source":
        """Returns a source of the first examples only."""
        return replace(self, size=min(self.size, size))

    def batch(self, tasks: list[Task], example: Example) -> Batch:
        """Turns a batch of examples into input, labels and weights.

        Args:
            tasks: The tasks that read labels.
            example: A batch of examples, loaded and augmented.

        Returns:
            `(x, y, sample_weight)`, dicts of labels and weights by task.
        """
        read = example
        if self.transform is not None:
            example = self.transform(example)
        example = by_name(tasks, self.reading, example, read)
        x = example["image" if "image" in example else "input"]
        x = encode(self.encoders, x) if self.encoders else tf.cast(x, tf.float32)
        labels, weights = {}, {}
        for task in tasks:
            labels[task.name], weights[task.name] = task.target(example)
        return x, labels, weights


def shuffled(index: Any, size: int, seed: Any, epoch: Any) -> tf.Tensor:
    """Returns where numbers in 0..size-1 go in the order of an epoch.

    Args:
        index: The numbers, `()` or `(n,)` int64.
        size: How many numbers there are.
        seed: Seed of the order, `()`.
        epoch: The epoch of each number.
    """
    epoch = tf.cast(epoch, tf.int64)
    # As `tf.random.experimental.index_shuffle`, which fills up a row of seeds for
    # each number along the wrong axis.
    order = [tf.fill(tf.shape(epoch), tf.cast(s, tf.int64)) for s in (498247692, seed)]
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=tf.stack([*order, epoch], axis=-1),
        max_index=tf.constant(size - 1, tf.int64),
        rounds=4,
    )


def builder(name: str, manual_dir: str | None = None, **kwargs: Any) -> Any:
    """Returns a prepared TFDS builder, of this package or of TFDS.

    Args:
        name: Name of a folder of `datasets/`, or any name that `tfds.load` takes.
        manual_dir: Folder with a local copy of what would be downloaded.
        **kwargs: Arguments of the builder, such as `data_dir`.

    Raises:
        ValueError: There is no such data set.
    """
    import tensorflow_datasets as tfds

    folder = catalog.folder("datasets")
    if (folder / name / f"{name}_dataset_builder.py").exists():
        # The one way of loading by path that TFDS survives: its own.
        with tfds.core.utils.add_sys_path(folder):
            module = importlib.import_module(f"{name}.{name}_dataset_builder")
        make = module.Builder
    else:
        make = functools.partial(tfds.builder, name)
    try:
        found = make(**kwargs)
        place = pathlib.Path(str(found.data_dir))
        if not place.exists():
            key = hashlib.sha256(str(place).encode()).hexdigest()[:16]
            lock = store.cache_folder() / "locks" / f"{found.name}_{key}"
            with alone(lock, f"the preparation of {name!r}"):
                found = make(**kwargs)  # which another process may have prepared
                _prepare(found, manual_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = [*catalog.names("datasets"), *tfds.list_builders()]
        raise ValueError(
            f"There is no data set of that name.{did_you_mean(name, known)} "
            f"Received: name={name!r}"
        ) from error
    return found


def _prepare(found: Any, manual_dir: str | None) -> None:
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        found.download_and_prepare(download_config=config)
    except ConnectionError as error:
        raise _no_connection(found.name) from error
    except OSError as error:
        where, failed = pathlib.Path(str(found.data_dir)), str(error.filename)
        if str(where).startswith(failed) or failed.startswith(str(where.parent)):
            raise ValueError(
                "The folder of prepared data must be one that can be written; set the "
                "variable TFDS_DATA_DIR to another. Received: "
                f"{str(where)!r} ({error.strerror})"
            ) from error
        # That of requests, which is no ConnectionError of Python's.
        if type(error).__name__ not in ("ConnectionError", "Timeout", "ProxyError"):
            raise
        raise _no_connection(found.name) from error


def _no_connection(name: str) -> ValueError:
    return ValueError(
        "A data set that is not on this machine yet needs a connection to be "
        f"downloaded. Received: name={name!r}, and no connection"
    )


def from_tfds(
    builder: Any,
    split: str,
    image_size: int | tuple[int, int] | None = None,
    maps: Iterable[str] = (),
    cache: str = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    fields: Iterable[str] | None = None,
    **kwargs: Any,
) -> Source:
    """Reads a TFDS split, decoded and resized once, into memory or into files.

    Args:
        builder: A prepared TFDS builder.
        split: Name of the split, slices included.
        image_size: Size of the images, `(height, width)` or one number for both. If
            left out, the data set must declare one size for all.
        maps: Fields that are label maps, resized without mixing labels.
        cache: Where images and maps are kept: "memory", "disk", or "auto" for the
            first in which the split fits; see `p5_keras.data.cache`. Other fields are
            in memory.
        cache_dir: Folder of the files; see `inspect`.
        fields: The fields to read; all of them if left out.
        **kwargs: `transform`, `augment` and `augment_batch` of the source.

    Returns:
        A source; boxes are padded with label −1 to the most that an image has.

    Raises:
        ValueError: The split is empty or fits nowhere, or images of several sizes have
            no `image_size`.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    maps = tuple(maps)

    def resize(example: Example) -> Example:
        example = dict(example)
        if size is not None:
            image = tf.image.resize(example["image"], size, antialias=True)
            example["image"] = tf.cast(tf.round(image), tf.uint8)
            for name in maps:
                example[name] = tf.image.resize(example[name], size, method="nearest")
        return example

    count = builder.info.splits[split].num_examples
    if count < 1:
        raise ValueError(f"A split must hold an example. Received: split={split!r}")
    dataset = builder.as_dataset(split=split, shuffle_files=False)
    wanted = list(dataset.element_spec if fields is None else fields)
    dataset = dataset.map(lambda example: {name: example[name] for name in wanted})
    image = dataset.element_spec.get("image")
    if size is None and image is not None and None in tuple(image.shape):
        raise ValueError(
            "`image_size` must be given, since the images of this data set differ in "
            f"size. Received: image_size=None for {builder.name}"
        )
    dataset = dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)
    arrays = {
        name: spec
        for name, spec in dataset.element_spec.items()
        if isinstance(spec, tf.TensorSpec) and _is_array(spec)
    }
    small = [name for name in wanted if name not in arrays]
    batch = _small_fields(builder, split, count, arrays, small)
    if arrays:
        place = _place(arrays, count, cache, cache_dir, f"{builder.name}, {split!r}")
        folder = None
        if place == "disk":
            data = pathlib.Path(str(builder.data_dir))
            files = [store.file_key(path) for path in sorted(data.glob("*"))]
            known = (builder.info.full_name, split, size, maps, files, arrays)
            key = store.content_key("tfds", *known)
            folder = store.cache_folder(cache_dir) / "decoded" / key
        parts = dataset.map(lambda example: [example[name] for name in arrays])
        kept = store.keep(
            parts.batch(32).prefetch(2).as_numpy_iterator(),
            [(count, *spec.shape) for spec in arrays.values()],
            [spec.dtype for spec in arrays.values()],
            folder,
        )
        batch |= dict(zip(arrays, kept, strict=True))

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        del epochs
        return tf.nest.map_structure(lambda t: tf.gather(t, indices), batch)

    def digests() -> dict[str, Any]:
        info = builder.info.splits[split]
        shards = [int(n) for n in getattr(info, "shard_lengths", ())]
        content = f"{builder.info.full_name} {shards} {builder.info.features}"
        return {split: {"examples": count, "content": content}}

    return Source(
        count,
        read,
        reading={"fields": named_classes(builder)},
        digests=digests,
        **kwargs,
    )


def named_classes(builder: Any) -> dict[str, dict[str, Any]]:
    """Returns the names of the classes of each field of a data set that has names."""
    import tensorflow_datasets as tfds

    found: dict[str, dict[str, Any]] = {}
    for name, feature in getattr(builder.info.features, "items", dict)():
        if isinstance(feature, tfds.features.Sequence):
            feature = feature.feature
        if hasattr(feature, "items"):  # boxes with their classes
            feature = dict(feature.items()).get("label")
        if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes:
            found[name] = {"class_names": list(feature.names)}
    return found


def _is_array(spec: tf.TensorSpec) -> bool:
    """Whether a field is an image or a map, in which the weight of a data set lies."""
    fixed = spec.shape.is_fully_defined() and spec.shape.rank >= 3
    return fixed and spec.dtype != tf.string


def _place(
    arrays: dict[str, tf.TensorSpec],
    count: int,
    cache: str,
    cache_dir: str | os.PathLike[str] | None,
    name: str,
) -> str:
    size = count * sum(s.shape.num_elements() * s.dtype.size for s in arrays.values())
    place = store.choose_place(cache, size, cache_dir)
    if place == "none":
        raise ValueError(
            "A TFDS split must be kept in memory or on disk, decoded and resized. "
            f"Received: cache={cache!r} for {name}, which takes {size / 2**20:.0f} MiB"
        )
    return place


def _small_fields(
    builder: Any, split: str, count: int, arrays: Iterable[str], small: list[str]
) -> Example:
    """Reads the fields that are no arrays into memory."""
    import tensorflow_datasets as tfds

    if not small:
        return {}
    # Images among `arrays` are not decoded just to be left out.
    decoders = {
        name: tfds.decode.SkipDecoding()
        for name in arrays
        if isinstance(builder.info.features[name], tfds.features.Image)
    }
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders)
    dataset = dataset.map(lambda example: {name: example[name] for name in small})
    padding = _padding(dataset.element_spec)
    return dataset.padded_batch(count, padding_values=padding).get_single_element()


def _padding(spec: Any, name: str = "") -> Any:
    """Returns what fills up ragged fields: −1 for labels, 0 or "" for the rest."""
    if isinstance(spec, dict):
        return {key: _padding(value, key) for key, value in spec.items()}
    if spec.dtype == tf.string:
        return tf.constant("")
    return tf.constant(-1 if name == "label" else 0, spec.dtype)
