"""Object detection: boxes and their classes."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.losses import divergence
from p5_keras.losses.detection import BOX_LOSSES, DetectionLoss
from p5_keras.metrics.detection import CocoEvaluator, image_average_precision
from p5_keras.task import Features, Task, Tensor
from p5_keras.tasks.anchors import Anchors
from p5_keras.tasks.boxes import (
    box_rows,
    check_boxes,
    draw_boxes,
    image_size,
    overflows,
    wrong_boxes,
)
from p5_keras.tasks.detection_head import NORMS, DetectionHead, level
from p5_keras.tasks.suppression import survivors
from p5_keras.tasks.vector_head import class_list


@keras.saving.register_keras_serializable("p5_keras")
class Detection(Task):
    """Boxes of objects and their classes, by anchors on a pyramid of features.

    Label: the field is a dict as TFDS has it, with `bbox` `(batch, n, 4)`, yxyx as
    parts of height and width, and `label` `(batch, n)`, integers, −1 for padding.
    With one class `label` may be left out, or the field be the boxes themselves,
    `(batch, n, 4)` or `(batch, 4)`; then boxes without area are padding. An image
    may have no object; it is unlabelled where its boxes are NaN or its weight is 0.
    The task's own form is `(batch, max_boxes, 5)` float32: x1, y1, x2, y2 in pixels
    of the model input, and the class, −1 for padding.

    Raw output: `(batch, anchors, 4 + classes)`, deltas of the anchors, then logits.
    Decoded: `boxes` `(batch, max_detections, 4)`, xyxy in pixels of the model input,
    `scores`, `classes` int32 (−1 for padding) and `count` `(batch,)`, best first.

    The head brings every feature to one width, adds to each what lies deeper, and
    runs one pair of convolutional towers, shared by all levels.

    Args:
        name: Name of the task.
        num_classes: Number of classes.
        class_names: Their names, in order; enough by themselves.
        max_boxes: Number of objects of an image that labels have room for.
        anchor_size: Side of the basic anchor, as a multiple of a level's stride.
        anchor_scales: Factors of that side.
        anchor_ratios: Heights of anchors divided by their widths.
        width: Channels of the head.
        depth: Number of 3x3 convolutions in each tower before the last.
        top_down: Whether finer levels see the deeper ones.
        norm: "none", "group" or "batch": what follows a tower's convolutions.
        box_loss: "giou", "ciou" or "huber".
        box_loss_weight: Weight of the boxes' loss; that of the classes is 1.
        alpha: Weight of positive labels in the focal loss.
        gamma: Focusing exponent of the focal loss.
        score_threshold: Detections must score more. Mean average precision wants it
            low; who wants few false detections compares `scores` himself.
        nms_iou: Of two detections of a class with a higher IoU the worse is dropped.
        max_detections: Number of detections that an image can have.
        candidates: Number of pairs of an anchor and a class that enter the
            suppression, best first.
        image_size: Height and width of the model input. Building the head sets it.
        levels: `[stride, rows, columns]` of the features. Building the head sets it.
        **kwargs: Arguments of `Task`; `features` default to the levels from "P3" on.

    Example:
        >>> pets = Detection("pet", label="objects", class_names=["cat", "dog"])

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (RetinaNet).
    """

    kind = "detection"
    compares = ""
    better = {"map": "higher", "map50": "higher", "recall": "higher"}
    primary = "map50"
    score_name = "image AP50"
    smallest_difference = {"map": 0.01, "map50": 0.01, "recall": 0.01}
    follows = "boxes"
    refuses = {
        "mixup": "an object that shines through is neither there nor absent",
        "cutmix": "what is left of an object covered in part may be no rectangle",
    }

    def __init__(
        self,
        name: str,
        *,
        num_classes: int | None = None,
        class_names: list[str] | None = None,
        max_boxes: int = 30,
        anchor_size: float = 4.0,
        anchor_scales: list[float] | tuple[float, ...] = (
            1.0,
            2 ** (1 / 3),
            2 ** (2 / 3),
        ),
        anchor_ratios: list[float] | tuple[float, ...] = (0.5, 1.0, 2.0),
        width: int = 64,
        depth: int = 1,
        top_down: bool = True,
        norm: str = "none",
        box_loss: str = "giou",
        box_loss_weight: float = 1.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
        score_threshold: float = 0.01,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        candidates: int = 300,
        image_size: list[int] | tuple[int, int] | None = None,
        levels: list[list[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.class_names = class_list(name, num_classes, class_names)
        self.max_boxes = max_boxes
        self.anchor_size = anchor_size
        self.anchor_scales = list(anchor_scales)
        self.anchor_ratios = list(anchor_ratios)
        self.width, self.depth = width, depth
        self.top_down, self.norm = top_down, norm
        self.box_loss, self.box_loss_weight = box_loss, box_loss_weight
        self.alpha, self.gamma = alpha, gamma
        self.score_threshold, self.nms_iou = score_threshold, nms_iou
        self.max_detections, self.candidates = max_detections, candidates
        self.image_size = None if image_size is None else [int(n) for n in image_size]
        self.levels = levels
        self._check_arguments()

    def _check_arguments(self) -> None:
        for name in ("max_boxes", "max_detections", "candidates", "width"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. "
                    f"Received: {name}={getattr(self, name)} for task {self.name!r}"
                )
        for name, known in (("box_loss", BOX_LOSSES), ("norm", NORMS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {known}. "
                    f"Received: {name}={getattr(self, name)!r} for task {self.name!r}"
                )

    @property
    def anchors(self) -> Anchors:
        """The anchors, in pixels of the model input.

        Raises:
            ValueError: The head is not built, so the sizes of its features are unknown.
        """
        if self.levels is None or self.image_size is None:
            raise ValueError(
                f"The anchors of task {self.name!r} depend on the model: build the "
                "model first, or give `image_size` and `levels`."
            )
        return Anchors(
            self.levels, self.anchor_scales, self.anchor_ratios, self.anchor_size
        )

    def normalize(self, label: Any, size: Any = None) -> tuple[Tensor, Tensor]:
        """Returns `(batch, max_boxes, 5)`, objects first; the first `max_boxes` stay.

        Where there are more, 0.5 is added to the class of the last row, by which
        `check` knows; everything else reads the class as an integer.

        Args:
            label: As the class describes it.
            size: Height and width of the model input; `image_size` if left out.
        """
        height, width = size or self.image_size or (None, None)
        return box_rows(self, label, (height, width))

    def invalid(self, label: Tensor) -> Tensor:
        """Says which rows are no boxes of the image, or stand for more than one."""
        wrong = [mask for mask, _ in wrong_boxes(self, label)]
        more = overflows(tf.convert_to_tensor(label))[:, None]
        return tf.reduce_any(tf.stack(wrong), axis=0) | more

    @property
    def allowed(self) -> str:
        """What labels must be."""
        classes = len(self.class_names)
        return (
            "boxes with x1 < x2 and y1 < y2, in pixels within the image, whose size is "
            f"{self.image_size}, of classes below {classes}, at most {self.max_boxes} "
            "an image"
        )

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Reads boxes and classes; see `normalize`."""
        label = self.field(example, self.label)
        if isinstance(label, dict):
            names = ["bbox"]
            if "label" in label or len(self.class_names) > 1:
                names.append("label")
            label = {n: self.field(example, f"{self.label}/{n}") for n in names}
        label, weight = self.normalize(label, image_size(self, example))
        return label, weight * self.example_weight(example, weight)

    def check(self, label: np.ndarray, weight: np.ndarray) -> None:
        """Checks classes, boxes and their number."""
        check_boxes(self, label, weight)

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns the levels from "P3" on, or the deepest feature."""
        levels = [n for n in features if n[:1] == "P" and n[1:].isdigit()]
        return [n for n in levels if int(n[1:]) >= 3] or features[-1:]

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the head: `(batch, anchors, 4 + classes)`."""
        size = list(input_shape[:2])
        if len(input_shape) != 3 or any(
            len(x.shape) != 4 or None in x.shape[1:] for x in features.values()
        ):
            raise ValueError(
                f"Task {self.name!r} needs a trunk with maps of a fixed size. "
                f"Received: features={ {n: x.shape for n, x in features.items()} }"
            )
        if self.image_size not in (None, size):
            raise ValueError(
                f"The input of the model must have the `image_size` of task "
                f"{self.name!r}, for its labels are in pixels. Received: "
                f"input_shape={input_shape}, image_size={self.image_size}"
            )
        ordered = dict(sorted(features.items(), key=lambda item: -item[1].shape[1]))
        self.image_size = size
        self.levels = [level(name, x, size) for name, x in ordered.items()]
        cell = len(self.anchor_scales) * len(self.anchor_ratios)
        build = DetectionHead(
            self.width,
            self.depth,
            self.top_down,
            self.norm,
            cell,
            len(self.class_names),
        )
        return build(ordered)

    def default_loss(self) -> losses.MeanLoss:
        """Returns the focal loss and the loss of the boxes."""
        return DetectionLoss(
            self.anchors, self.box_loss, self.box_loss_weight, self.alpha, self.gamma
        )

    def default_metrics(self) -> list[keras.Metric]:
        """Returns none: average precision needs whole predictions."""
        return []

    def evaluator(self) -> CocoEvaluator:
        """Returns COCO's average precision and recall."""
        return CocoEvaluator(len(self.class_names), self.max_detections)

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `boxes`, `scores`, `classes` and `count`, after suppression."""
        anchors, output = self.anchors, tf.convert_to_tensor(output)
        classes = len(self.class_names)
        pairs = len(anchors.boxes) * classes
        number = min(self.candidates, pairs)
        logits, place = tf.math.top_k(tf.reshape(output[..., 4:], [-1, pairs]), number)
        index, kind = place // classes, place % classes
        deltas = tf.gather(output[..., :4], index, batch_dims=1)
        # Not `gather`, of which LiteRT's "dynamic" takes the table for weights.
        origin = tf.gather_nd(anchors.boxes, index[..., None])
        boxes = anchors.decode(deltas, origin)
        height, width = self.image_size or (0, 0)
        boxes = tf.clip_by_value(boxes, 0.0, [width, height, width, height])
        scores = tf.sigmoid(logits)
        seen = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
        valid = seen & (scores > self.score_threshold)
        kept = survivors(boxes, kind, valid, self.nms_iou)
        # Those that remain, in order; their rank is one more for each behind.
        rank = tf.where(kept, tf.range(number, 0, -1), 0)
        room = max(self.max_detections - number, 0)
        rank = tf.math.top_k(tf.pad(rank, [[0, 0], [0, room]]), self.max_detections)[0]
        found = rank > 0
        keep = number - tf.maximum(rank, 1)

        def taken(x: Tensor) -> Tensor:
            return tf.gather(x, keep, batch_dims=1)

        return {
            "boxes": tf.where(found[..., None], taken(boxes), 0.0),
            "scores": tf.where(found, taken(scores), 0.0),
            "classes": tf.where(found, taken(kind), -1),
            "count": tf.reduce_sum(tf.cast(found, tf.int32), axis=-1),
        }

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the objects with score 1, `max_boxes` rows of them."""
        label = ops.convert_to_tensor(label)
        valid = label[..., 4] >= 0
        return {
            "boxes": label[..., :4],
            "scores": ops.cast(valid, "float32"),
            "classes": ops.cast(ops.floor(label[..., 4]), "int32"),
            "count": ops.sum(ops.cast(valid, "int32"), axis=-1),
        }

    def difference(self, new: Tensor, old: Tensor) -> Tensor:
        """Returns how far classes, and boxes where objects were, have moved."""
        return divergence.detections(new, old)

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns how often, and with which mean box, each anchor meets each class.

        All log-odds are moved up by as much as brings the best to a score of a half:
        rare anchors keep their rank, which is all that mean average precision sees,
        and pass `score_threshold`.
        """
        prior = self.anchors.frequencies(label[weight > 0], len(self.class_names))
        prior[:, 4:] -= prior[:, 4:].max()
        return prior

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns each image's average precision at IoU .5."""
        return image_average_precision(label, fields)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Draws the boxes that score 0.3 or more."""
        draw_boxes(axes, fields, self.class_names)
        return ""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = (
            "class_names max_boxes anchor_size anchor_scales anchor_ratios width depth"
            " top_down norm box_loss box_loss_weight alpha gamma score_threshold"
            " nms_iou max_detections candidates image_size levels"
        )
        return {**super().get_config(), **{n: getattr(self, n) for n in names.split()}}
