"""Labels of a detector: reading, checking and drawing boxes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.task import Tensor
from p5_keras.tasks.classification import check_classes, example_weight

#: Added to the class of the last row where an image has more objects than rows.
OVERFLOW = 0.5


def read_boxes(task: Any, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Reads a batch of boxes, as the docstring of `Detection` describes them.

    Returns:
        Rows `(batch, max_boxes, 5)`, objects first, and the weight `(batch,)`.
    """
    boxes, ids = _fields(task, example)
    valid = ids >= 0
    unknown = tf.reduce_all(tf.math.is_nan(boxes), axis=-1)
    # Where every object is NaN the whole label is missing.
    missing = tf.reduce_any(valid, -1) & tf.reduce_all(~valid | unknown, -1)
    valid &= ~missing[:, None]
    height, width = _size(task, example)
    boxes = keras.utils.bounding_boxes.convert_format(
        boxes, source="rel_yxyx", target="xyxy", height=height, width=width
    )
    padding = tf.constant([0.0, 0.0, 0.0, 0.0, -1.0])
    rows = tf.concat([boxes, tf.cast(ids, tf.float32)[..., None]], axis=-1)
    rows = tf.where(valid[..., None], rows, padding)
    order = tf.argsort(tf.cast(valid, tf.int32), 1, "DESCENDING", stable=True)
    rows = tf.gather(rows, order, batch_dims=1)
    room = tf.tile(padding[None, None], [tf.shape(rows)[0], task.max_boxes, 1])
    rows = tf.concat([rows, room], axis=1)[:, : task.max_boxes]
    rows = tf.ensure_shape(rows, [None, task.max_boxes, 5])
    mark = np.zeros((task.max_boxes, 5), "float32")
    mark[-1, 4] = OVERFLOW
    full = tf.reduce_sum(tf.cast(valid, tf.int32), 1) > task.max_boxes
    rows += tf.cast(full, tf.float32)[:, None, None] * mark
    weight = tf.cast(~missing, tf.float32)
    return rows, weight * example_weight(task, example, weight)


def check_boxes(task: Any, label: np.ndarray, weight: np.ndarray) -> None:
    """Checks the boxes of the labelled images of a batch.

    Raises:
        ValueError: A class is too high, a box is NaN, empty or more than a pixel
            outside of the image, or an image has more objects than rows.
    """
    label = np.where(weight[:, None, None] > 0, label, -1.0)
    ids = np.nan_to_num(label[..., 4]).astype("int64")
    check_classes(task, ids, len(task.class_names))
    x1, y1, x2, y2, kind = np.moveaxis(label, -1, 0)
    valid = ~(kind < 0)
    finite = np.isfinite(label).all(-1)
    _refuse(task, label, valid & ~finite, "must be finite")
    _refuse(task, label, valid & ~((x2 > x1) & (y2 > y1)), "must have x2 > x1, y2 > y1")
    if task.image_size is not None:
        height, width = task.image_size
        outside = (x1 < -1) | (y1 < -1) | (x2 > width + 1) | (y2 > height + 1)
        reason = f"must lie within the {height}x{width} pixels of the image"
        _refuse(task, label, valid & outside, reason)
    full = valid[:, -1] & (kind[:, -1] % 1 == OVERFLOW)
    if full.any():
        raise ValueError(
            f"`max_boxes` of task {task.name!r} must be at least the number of objects "
            f"of any image, and example {int(full.argmax())} has more. "
            f"Received: max_boxes={task.max_boxes}"
        )


def draw_boxes(
    axes: Any,
    fields: dict[str, np.ndarray],
    class_names: list[str],
    threshold: float = 0.3,
) -> None:
    """Draws one image's boxes of at least a score, with class and score below 1."""
    from matplotlib.patches import Rectangle

    rows = (fields[name] for name in ("boxes", "scores", "classes"))
    for (x1, y1, x2, y2), score, kind in zip(*rows, strict=True):
        if kind < 0 or score < threshold:
            continue
        color, text = f"C{int(kind) % 10}", class_names[int(kind)]
        text += "" if score == 1 else f" {score:.2f}"
        # Pixel 0 of a picture is drawn from -0.5 to 0.5.
        corner = (x1 - 0.5, y1 - 0.5)
        axes.add_patch(Rectangle(corner, x2 - x1, y2 - y1, fill=False, ec=color))
        axes.text(*corner, text, color=color, fontsize=6, va="bottom", parse_math=False)


def _refuse(task: Any, label: np.ndarray, bad: np.ndarray, reason: str) -> None:
    if bad.any():
        example, row = (int(n) for n in np.argwhere(bad)[0])
        box = [round(float(n), 2) for n in label[example, row, :4]]
        raise ValueError(
            f"The boxes of task {task.name!r} {reason}. Received: box {row} of example "
            f"{example} is {box} (x1, y1, x2, y2 in pixels)"
        )


def _fields(task: Any, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Returns boxes `(batch, n, 4)` and classes `(batch, n)`, −1 for padding."""
    value = task.field(example, task.label)
    named = isinstance(value, dict)
    boxes = task.field(example, f"{task.label}/bbox") if named else value
    boxes = tf.cast(boxes, tf.float32)
    if boxes.shape.rank == 2:
        boxes = boxes[:, None]
    if (named and "label" in value) or len(task.class_names) > 1:
        return boxes, tf.cast(task.field(example, f"{task.label}/label"), tf.int32)
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes, tf.where(tf.reduce_any(sides == 0, -1), -1, 0)


def _size(task: Any, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Returns height and width of the model input in pixels."""
    known = task.image_size
    if known is None or "image" in example:
        image = tf.convert_to_tensor(task.field(example, "image"))
        static = image.shape[-3:-1].as_list()
        if known is None and None in static:
            size = tf.shape(image)
            return size[-3], size[-2]
        if known is None:
            # Labels are checked against the image before the head is built.
            known = task.image_size = static
        if None not in static and static != known:
            raise ValueError(
                f"The images of the examples must have the size of task {task.name!r}, "
                f"for its labels are in pixels. Received: height and width {static}; "
                f"image_size={known}"
            )
    return known[0], known[1]
