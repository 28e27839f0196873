"""Anchor boxes of a detector: where they lie, and which object each stands for."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

#: Deltas of log width and height are held within this: a factor of 62.5 (1000 / 16).
MAX_LOG_SCALE = 4.135


@keras.saving.register_keras_serializable("p5_keras")
class Anchors:
    """The anchor boxes of all levels of a pyramid.

    Around the centre `((column + 0.5) * stride, (row + 0.5) * stride)` of each cell
    lies one anchor for each pair of a scale and a ratio, of area
    `(size * stride * scale)^2`. Boxes are ordered by level, row, column, scale and
    ratio. All boxes here are in pixels of the model input, xyxy.

    Args:
        levels: `[stride, rows, columns]` of each level.
        scales: Factors of the side of the basic anchor.
        ratios: Heights divided by widths.
        size: Side of the basic anchor, as a multiple of the stride.

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, ICCV 2017.
    """

    def __init__(
        self,
        levels: list[list[int]],
        scales: list[float],
        ratios: list[float],
        size: float,
    ) -> None:
        self.levels = [[int(n) for n in level] for level in levels]
        self.scales, self.ratios = list(scales), list(ratios)
        self.size = size
        self.boxes = np.concatenate([self._level(*level) for level in self.levels])

    def _level(self, stride: int, rows: int, columns: int) -> np.ndarray:
        sides = self.size * stride * np.repeat(self.scales, len(self.ratios))
        roots = np.sqrt(np.tile(self.ratios, len(self.scales)))
        half = np.stack([sides / roots, sides * roots], -1) / 2
        y, x = np.mgrid[:rows, :columns] + 0.5
        centre = np.stack([x, y], -1)[:, :, None] * stride
        boxes = np.concatenate([centre - half, centre + half], -1)
        return boxes.reshape(-1, 4).astype("float32")

    def match(
        self, boxes: Tensor, positive: float = 0.5, negative: float = 0.4
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Finds the object that each anchor stands for.

        An anchor stands for the object that it overlaps most, if their IoU is at
        least `positive`; below `negative` it is background. Besides, every object
        claims the anchors with which its IoU is highest, however low. Where two
        objects claim the same anchor, it goes to the one with the higher IoU.

        Args:
            boxes: `(batch, objects, 4)`. Padding has no area, and matches nothing.
            positive: Lowest IoU of an anchor that stands for an object.
            negative: IoU below which an anchor is background.

        Returns:
            Three tensors `(batch, anchors)`: the index of the object, int32; whether
            the anchor stands for it; and whether the anchor is background. An
            anchor that is neither has no part in the classes' loss.
        """
        iou = keras.utils.bounding_boxes.compute_iou(boxes, self.boxes, "xyxy")
        best = ops.max(iou, axis=-1, keepdims=True)
        claimed = ops.logical_and(iou >= best, best > 0)
        # Above any IoU, so that a claim wins over a mere overlap.
        rank = ops.where(claimed, iou + 2.0, iou)
        top = ops.max(rank, axis=1)
        index = ops.cast(ops.argmax(rank, axis=1), "int32")
        return index, top >= positive, top < negative

    def encode(self, boxes: Tensor) -> Tensor:
        """Turns one box an anchor, `(..., anchors, 4)`, into deltas of that shape.

        Deltas are the shift of the centre in widths and heights of the anchor, and
        the logarithms of the factors of width and height.
        """
        return keras.utils.bounding_boxes.encode_box_to_deltas(
            self.boxes, boxes, "xyxy", "xyxy", encoding_format="center_xywh"
        )

    def decode(self, deltas: Tensor, anchors: Tensor | None = None) -> Tensor:
        """Turns deltas `(..., anchors, 4)` into boxes of that shape.

        Args:
            deltas: As `encode` gives them.
            anchors: The boxes that the deltas belong to, if they are not all in
                order.
        """
        # Coordinate by coordinate, which is twice as fast as Keras' function.
        x1, y1, x2, y2 = ops.unstack(
            ops.convert_to_tensor(self.boxes if anchors is None else anchors),
            4,
            axis=-1,
        )
        dx, dy, dw, dh = ops.unstack(deltas, 4, axis=-1)
        wide, high = x2 - x1, y2 - y1
        x, y = (x1 + x2) / 2 + dx * wide, (y1 + y2) / 2 + dy * high
        wide = wide * ops.exp(ops.clip(dw, -MAX_LOG_SCALE, MAX_LOG_SCALE)) / 2
        high = high * ops.exp(ops.clip(dh, -MAX_LOG_SCALE, MAX_LOG_SCALE)) / 2
        return ops.stack([x - wide, y - high, x + wide, y + high], axis=-1)

    def frequencies(self, label: np.ndarray, classes: int) -> np.ndarray:
        """Returns the raw output that knows the labels and no image.

        Args:
            label: `(images, max_boxes, 5)`, as `Detection.target` gives them.
            classes: Number of classes.

        Returns:
            `(anchors, 4 + classes)`: the mean deltas of the objects that each anchor
            stood for, 0 for none, and the log-odds of its standing for each class,
            of a rate between 1e-4 and 1 - 1e-4.
        """
        deltas, counts = np.zeros_like(self.boxes), np.zeros((len(self.boxes), classes))
        for start in range(0, len(label), 64):
            rows = label[start : start + 64]
            boxes = np.where(rows[..., 4:] >= 0, rows[..., :4], np.float32(0))
            index, positive, _ = (np.array(x) for x in self.match(boxes))
            matched = np.take_along_axis(rows, index[..., None], axis=1)
            encoded = np.array(self.encode(matched[..., :4]))
            deltas += np.where(positive[..., None], encoded, 0).sum(0)
            image, anchor = np.nonzero(positive)
            np.add.at(counts, (anchor, matched[image, anchor, 4].astype(int)), 1)
        deltas /= np.maximum(counts.sum(-1, keepdims=True), 1)
        rate = np.clip(counts / max(len(label), 1), 1e-4, 1 - 1e-4)
        return np.concatenate([deltas, np.log(rate / (1 - rate))], -1, dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "levels": self.levels,
            "scales": self.scales,
            "ratios": self.ratios,
            "size": self.size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Anchors":
        """Makes the anchors of `get_config()` again."""
        return cls(**config)
