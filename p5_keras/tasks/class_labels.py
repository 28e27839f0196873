"""Labels that are classes: whole numbers from 0 on, negative where missing."""

import tensorflow as tf

from p5_keras.task import NOT_WHOLE, Task, Tensor

#: What a higher class becomes: too high for any task, and exact in float32.
_HIGH = 2**30


def class_ids(task: Task, label: Tensor) -> Tensor:
    """Returns classes of any type of number as int32, −1 where missing.

    Missing is what is negative or NaN. A number that is not whole becomes `NOT_WHOLE`.

    Raises:
        ValueError: They are no numbers.
    """
    label = task.numbers(label)
    if label.dtype == tf.int32:
        return tf.maximum(label, -1)
    if label.dtype.is_floating:
        label = tf.cast(label, tf.float32)
        missing = tf.math.is_nan(label)
        whole = missing | tf.math.is_finite(label) & (tf.round(label) == label)
        ids = tf.clip_by_value(tf.where(missing, -1.0, label), -1.0, float(_HIGH))
        return tf.where(whole, tf.cast(ids, tf.int32), NOT_WHOLE)
    if not label.dtype.is_bool and label.dtype.max > NOT_WHOLE:
        label = tf.minimum(label, tf.cast(_HIGH, label.dtype))
        if not label.dtype.is_unsigned:
            label = tf.maximum(label, tf.cast(-1, label.dtype))
    return tf.maximum(tf.cast(label, tf.int32), -1)


def present(label: Tensor) -> Tensor:
    """Returns `(batch,)` float32, 1 where a label has any class."""
    known = label >= 0
    if known.shape.rank > 1:
        known = tf.reduce_any(known, axis=list(range(1, known.shape.rank)))
    return tf.cast(known, tf.float32)


def allowed_classes(classes: int, missing: str = "where missing") -> str:
    """Says what classes must be, for `Task.allowed`."""
    return (
        f"whole numbers from 0 to {classes - 1}, since `num_classes` is {classes}, or "
        f"negative {missing}"
    )
