"""Labels of a detector: reading, checking and drawing boxes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.naming import check_keys
from p5_keras.task import Tensor, said
from p5_keras.tasks.class_labels import class_ids

#: Added to the class of the last row where an image has more objects than rows.
OVERFLOW = 0.5


def box_rows(task: Any, label: Any, size: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    """Makes rows of boxes and classes, as the docstring of `Detection` describes them.

    Args:
        task: The task.
        label: A dict of boxes and classes, boxes alone, or rows already.
        size: Height and width of the model input in pixels.

    Returns:
        Rows `(batch, max_boxes, 5)`, objects first, and `(batch,)`, 0 where missing.
    """
    boxes, ids, overflow = _fields(task, label, size)
    valid = ids >= 0
    unknown = tf.reduce_all(tf.math.is_nan(boxes), axis=-1)
    # Where every object is NaN the whole label is missing.
    missing = tf.reduce_any(valid, -1) & tf.reduce_all(~valid | unknown, -1)
    valid &= ~missing[:, None]
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
    rows += tf.cast(full | overflow, tf.float32)[:, None, None] * mark
    return rows, tf.cast(~missing, tf.float32)


def wrong_boxes(task: Any, label: Tensor) -> list[tuple[Tensor, str]]:
    """Returns which rows of labels are wrong, `(batch, max_boxes)`, and what they must.

    A box must have a class, be finite, not empty, not more than a pixel outside of the
    image, and not within its first pixel, where shares of the image would lie.
    """
    x1, y1, x2, y2, kind = tf.unstack(tf.convert_to_tensor(label), axis=-1)
    valid = ~(kind < 0)
    found = [
        (kind >= len(task.class_names), f"have a class below {len(task.class_names)}"),
        (~tf.reduce_all(tf.math.is_finite(label), axis=-1), "be finite"),
        (~((x2 > x1) & (y2 > y1)), "have x2 > x1, y2 > y1"),
    ]
    if task.image_size is not None:
        height, width = task.image_size
        outside = (x1 < -1) | (y1 < -1) | (x2 > width + 1) | (y2 > height + 1)
        size = f"the {height}x{width} pixels of the image"
        found.append((outside, f"lie within {size}"))
        shares = (x2 <= 1) & (y2 <= 1) & (width > 1) & (height > 1)
        found.append((shares, f"be in pixels, of {size}, not in shares of it"))
    return [(valid & wrong, what) for wrong, what in found]


def check_boxes(task: Any, label: np.ndarray, weight: np.ndarray) -> None:
    """Checks the boxes of the labelled images of a batch.

    Raises:
        ValueError: A box is wrong, or an image has more objects than rows.
    """
    label = np.where(weight[:, None, None] > 0, label, np.float32(-1.0))
    for wrong, what in wrong_boxes(task, label):
        bad = np.asarray(wrong)
        if bad.any():
            example, row = (int(n) for n in np.argwhere(bad)[0])
            box = [round(float(n), 2) for n in label[example, row, :4]]
            kind = said(np.floor(np.nan_to_num(label[example, row, 4])))
            raise ValueError(
                f"The boxes of task {task.name!r} must {what}. Received: box {row} of "
                f"example {example} is {box} (x1, y1, x2, y2 in pixels), class {kind}"
            )
    full = overflows(label)
    if full.any():
        raise ValueError(
            f"`max_boxes` of task {task.name!r} must be at least the number of objects "
            f"of any image, and example {int(full.argmax())} has more. "
            f"Received: max_boxes={task.max_boxes}"
        )


def overflows(label: Any) -> Any:
    """Says which images have more objects than rows, `(batch,)`."""
    return (label[:, -1, 4] >= 0) & (label[:, -1, 4] % 1 == OVERFLOW)


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


def _fields(
    task: Any, label: Any, size: tuple[Any, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns boxes in pixels, classes, −1 for padding, and which had too many."""
    named = isinstance(label, dict)
    if named:
        check_keys(f"labels of {task.name}", {**label, "label": 0}, ("bbox", "label"))
    boxes = task.numbers(label["bbox"] if named else label)
    boxes = tf.cast(boxes, tf.float32)
    if boxes.shape.rank == 2:
        boxes = boxes[:, None]
    if boxes.shape.rank != 3 or boxes.shape[-1] not in ((4,) if named else (4, 5)):
        raise ValueError(
            f"The labels of task {task.name!r} must be a dict of 'bbox', "
            "(batch, n, 4), and 'label', (batch, n), or (batch, n, 5): x1, y1, x2, y2 "
            f"in pixels, and the class. Received: {tuple(boxes.shape)}"
        )
    none = tf.zeros(tf.shape(boxes)[:1], tf.bool)
    if boxes.shape[-1] == 5:
        # A row of NaN is an object of which nothing is known, not padding.
        nothing = tf.reduce_all(tf.math.is_nan(boxes), axis=-1)
        kind = tf.where(nothing, 0.0, boxes[..., 4])
        if boxes.shape[1] == task.max_boxes:
            none = overflows(boxes)
            mark = tf.one_hot(task.max_boxes - 1, task.max_boxes) * OVERFLOW
            kind -= tf.cast(none, tf.float32)[:, None] * mark
        return boxes[..., :4], class_ids(task, kind), none
    if named and "label" in label:
        ids = class_ids(task, label["label"])
    elif len(task.class_names) > 1:
        raise ValueError(
            f"The labels of task {task.name!r} must be a dict of 'bbox' and 'label', "
            f"since it has {len(task.class_names)} classes. Received: boxes alone"
        )
    else:
        sides = boxes[..., 2:] - boxes[..., :2]
        ids = tf.where(tf.reduce_any(sides == 0, -1), -1, 0)
    boxes = keras.utils.bounding_boxes.convert_format(
        boxes, source="rel_yxyx", target="xyxy", height=size[0], width=size[1]
    )
    return boxes, ids, none


def image_size(task: Any, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
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
