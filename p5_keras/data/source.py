"""A source: examples by number, which is what lets training start at any step."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from p5_keras import catalog
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
    """

    size: int
    read: Callable[[tf.Tensor, tf.Tensor], Example]
    transform: Callable[[Example], Example] | None = None
    augment: Callable[[Example, tf.Tensor], Example] | None = None
    load: Callable[[Example], Example] | None = None
    augment_batch: Callable[[Batch, tf.Tensor], Batch] | None = None

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
        if self.transform is not None:
            example = self.transform(example)
        x = tf.cast(example["image" if "image" in example else "input"], tf.float32)
        labels, weights = {}, {}
        for task in tasks:
            labels[task.name], weights[task.name] = task.target(example)
        return x, labels, weights


def shuffled(index: Any, size: int, seed: Any, epoch: Any) -> tf.Tensor:
    """Returns where a number in 0..size-1 goes in the order of an epoch."""
    order = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.index_shuffle(index, seed=order, max_index=size - 1)


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
        found = module.Builder(**kwargs)
    else:
        try:
            found = tfds.builder(name, **kwargs)
        except tfds.core.DatasetNotFoundError as error:
            known = [*catalog.names("datasets"), *tfds.list_builders()]
            raise ValueError(
                f"There is no data set of that name.{did_you_mean(name, known)} "
                f"Received: name={name!r}"
            ) from error
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    found.download_and_prepare(download_config=config)
    return found


def from_tfds(
    builder: Any,
    split: str,
    image_size: int | tuple[int, int] | None = None,
    maps: Iterable[str] = (),
    **kwargs: Any,
) -> Source:
    """Reads a TFDS split into memory, decoded and resized.

    Args:
        builder: A prepared TFDS builder.
        split: Name of the split, slices included.
        image_size: Size of the images, `(height, width)` or one number for both. If
            left out, the data set must declare one size for all.
        maps: Fields that are label maps, resized without mixing labels.
        **kwargs: `transform`, `augment` and `augment_batch` of the source.

    Returns:
        A source; boxes are padded with label −1 to the most that an image has.

    Raises:
        ValueError: The split is empty, or images of several sizes have no
            `image_size`.
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

    if builder.info.splits[split].num_examples < 1:
        raise ValueError(f"A split must hold an example. Received: split={split!r}")
    dataset = builder.as_dataset(split=split, shuffle_files=False)
    image = dataset.element_spec.get("image")
    if size is None and image is not None and None in tuple(image.shape):
        raise ValueError(
            "`image_size` must be given, since the images of this data set differ in "
            f"size. Received: image_size=None for {builder.name}"
        )
    dataset = dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)
    count = int(dataset.cardinality())
    padding = _padding(dataset.element_spec)
    batch = dataset.padded_batch(count, padding_values=padding).get_single_element()

    def read(indices: tf.Tensor, epochs: tf.Tensor) -> Example:
        del epochs
        return tf.nest.map_structure(lambda t: tf.gather(t, indices), batch)

    return Source(count, read, **kwargs)


def _padding(spec: Any, name: str = "") -> Any:
    """Returns what fills up ragged fields: −1 for labels, 0 or "" for the rest."""
    if isinstance(spec, dict):
        return {key: _padding(value, key) for key, value in spec.items()}
    if spec.dtype == tf.string:
        return tf.constant("")
    return tf.constant(-1 if name == "label" else 0, spec.dtype)
