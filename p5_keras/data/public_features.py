"""Features of public data sets as labels that tasks can read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.data.public_fixes import FIXES, Fix
from p5_keras.data.records import Field, Problems
from p5_keras.data.source import Example


@dataclass(frozen=True)
class Label:
    """A label of a public data set.

    Attributes:
        field: What it holds. The classes of a mask may still be unknown.
        read: From an example of the set to the label, without a batch axis, as tasks
            read it.
    """

    field: Field
    read: Callable[[Example], Any]


def labels_of(builder: Any, problems: Problems) -> dict[str, Label]:
    """Finds the labels of a public data set.

    Classes, lists of classes, boxes with or without classes, masks (images of one
    channel beside "image") and floats become labels; other features are left out with
    a note.

    Args:
        builder: A TFDS builder.
        problems: Takes what is left out.

    Raises:
        ValueError: There is no field "image".
    """
    features = builder.info.features
    if not hasattr(features, "keys") or "image" not in features:
        raise ValueError(
            "A public data set must have a field 'image'. "
            f"Received: {builder.info.full_name!r} with {features}"
        )
    fix = FIXES.get(builder.name, Fix())
    found: dict[str, Label] = {}
    for name, feature in features.items():
        if name == "image":
            continue
        label = None
        if name not in fix.drop:
            label = _label(name, feature, fix)
        if label is None:
            why = fix.drop.get(name, f"{type(feature).__name__} is no label")
            problems.note(f"{name!r} left out: {why}")
        else:
            found[name] = label
    return found


def _label(name: str, feature: Any, fix: Fix) -> Label | None:
    from tensorflow_datasets import features as tfds

    if isinstance(feature, tfds.Image):
        if feature.shape[-1] != 1 or feature.np_dtype != np.uint8:
            return None
        classes = fix.masks.get(name, dict(enumerate(getattr(feature, "names", ()))))
        field = Field("mask", tuple(classes.values()), tuple(classes))
        return Label(field, lambda example: example[name])
    if isinstance(feature, tfds.ClassLabel):
        return Label(
            Field("class", _names(feature)), lambda e: tf.cast(e[name], tf.int64)
        )
    if isinstance(feature, tfds.BBoxFeature):
        return Label(Field("boxes", (name,)), lambda e: _one_box(e[name]))
    if isinstance(feature, tfds.Sequence):
        return _sequence(name, feature.feature)
    if isinstance(feature, tfds.Text) or not isinstance(feature, tfds.Tensor):
        return None
    shape = tuple(feature.shape)
    if feature.np_dtype == np.bool_ and not shape:
        return Label(
            Field("class", ("no", "yes")), lambda e: tf.cast(e[name], tf.int64)
        )
    if feature.np_dtype in (np.float32, np.float64) and shape in ((), (1,)):
        return Label(
            Field("number"), lambda e: tf.reshape(tf.cast(e[name], tf.float32), [])
        )
    if feature.np_dtype in (np.float32, np.float64) and len(shape) == 1 and shape[0]:
        return Label(Field("number"), lambda e: tf.cast(e[name], tf.float32))
    return None


def _sequence(name: str, inner: Any) -> Label | None:
    from tensorflow_datasets import features as tfds

    if isinstance(inner, tfds.ClassLabel):
        classes = _names(inner)

        def several(example: Example) -> tf.Tensor:
            ids = tf.cast(example[name], tf.int32)[:, None]
            return tf.cast(tf.reduce_any(ids == tf.range(len(classes)), 0), tf.float32)

        return Label(Field("labels", classes), several)
    if isinstance(inner, tfds.BBoxFeature):
        return Label(Field("boxes", (name,)), lambda e: _boxes(e[name], None, None))
    if not hasattr(inner, "items"):
        return None
    box = [key for key, part in inner.items() if isinstance(part, tfds.BBoxFeature)]
    if not box:
        return None
    of_classes = [k for k, part in inner.items() if isinstance(part, tfds.ClassLabel)]
    label = "label" if "label" in of_classes else next(iter(of_classes), None)

    def boxes(example: Example) -> Example:
        value = example[name]
        return _boxes(
            value[box[0]],
            None if label is None else value[label],
            value.get("is_crowd"),
        )

    return Label(Field("boxes", _names(inner[label]) if label else (name,)), boxes)


def _names(feature: Any) -> tuple[str, ...]:
    return tuple(feature.names)


def _one_box(box: tf.Tensor) -> Example:
    """Returns a single box; one without area is a missing label."""
    there = tf.reduce_all(box[2:] > box[:2])
    box = tf.where(there, box, tf.fill([4], np.float32(np.nan)))
    return {"bbox": box[None], "label": tf.zeros([1], tf.int64)}


def _boxes(bbox: tf.Tensor, label: Any, crowd: Any) -> Example:
    """Returns the boxes that have an area and stand for one object each."""
    bbox = tf.reshape(bbox, [-1, 4])
    if label is None:
        label = tf.zeros(tf.shape(bbox)[:1], tf.int64)
    keep = tf.reduce_all(bbox[:, 2:] > bbox[:, :2], axis=-1)
    if crowd is not None:
        keep &= ~crowd
    return {
        "bbox": tf.boolean_mask(bbox, keep),
        "label": tf.boolean_mask(tf.cast(label, tf.int64), keep),
    }
