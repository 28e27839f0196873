"""Mean average precision of a detector, over a dataset and for one image."""

from typing import Any

import numpy as np


class CocoEvaluator:
    """COCO's average precision and recall, computed by faster-coco-eval.

    Labels are `(batch, max_boxes, 5)`, xyxy and class, as `Detection` gives them;
    fields are what it decodes.

    Args:
        num_classes: Number of classes.
        max_detections: Number of detections of an image that count, best first.

    Reference:
        Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.
    """

    def __init__(self, num_classes: int, max_detections: int = 100) -> None:
        self.num_classes = num_classes
        self.max_detections = max_detections
        self.images = 0
        #: Why `result()` has no numbers, or `None` where it has.
        self.reason: str | None = None
        self._truth: list[np.ndarray] = []
        self._found: list[np.ndarray] = []

    def update(
        self, label: np.ndarray, weight: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Adds a batch; images of weight 0 are left out.

        Args:
            label: `(batch, max_boxes, 5)`.
            weight: `(batch,)`.
            fields: `boxes` `(batch, detections, 4)`, `scores` and `classes` `(batch,
                detections)`.
        """
        label, weight = np.asarray(label), np.asarray(weight)
        fields = {name: np.asarray(field) for name, field in fields.items()}
        for i in np.flatnonzero(weight > 0):
            self.images += 1
            truth = label[i][label[i, :, 4] >= 0]
            some = fields["classes"][i] >= 0
            found = np.column_stack(
                [fields[name][i][some] for name in ("boxes", "classes", "scores")]
            )
            self._truth.append(_with_id(self.images, truth))
            self._found.append(_with_id(self.images, found))

    def result(self) -> dict[str, float | None]:
        """Computes the metrics of all images so far.

        Returns:
            `map`, the mean over classes and over the IoUs .5, .55, … .95 of the
            average precision; `map50`, the same at IoU .5 alone; and `recall`, the
            mean over classes of the part of the objects found at IoU .5 with
            `max_detections` detections an image. Classes without an object do not
            count. All are `None`, and `reason` says why, where no image was
            labelled or no labelled image holds an object.

        Raises:
            ImportError: faster-coco-eval is not installed.
        """
        names = ("map", "map50", "recall")
        truth = np.concatenate([*self._truth, np.zeros((0, 6))])
        found = np.concatenate([*self._found, np.zeros((0, 7))])
        self.reason = None
        if not len(truth):
            self.reason = (
                "no labelled image holds an object" if self.images else "no labels"
            )
            return dict.fromkeys(names)
        if not len(found):
            return dict.fromkeys(names, 0.0)
        precision, recall = self._evaluate(truth, found)
        values = (_mean(precision), _mean(precision[0]), _mean(recall[0]))
        return dict(zip(names, values, strict=True))

    def _evaluate(
        self, truth: np.ndarray, found: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns precision `(ious, recalls, classes)` and recall `(ious, classes)`."""
        try:
            from faster_coco_eval import COCO, COCOeval_faster
        except ImportError as error:
            raise ImportError(
                "The mean average precision needs the package faster-coco-eval: "
                "`pip install faster-coco-eval`."
            ) from error

        def quiet(*args: Any, **kwargs: Any) -> None:
            """Prints nothing."""

        data = {
            "info": {},
            "images": [{"id": i + 1} for i in range(self.images)],
            "categories": [{"id": i, "name": str(i)} for i in range(self.num_classes)],
            "annotations": _annotations(truth),
        }
        real = COCO(data, print_function=quiet)
        results = real.loadRes(_annotations(found))
        judge = COCOeval_faster(real, results, "bbox", print_function=quiet)
        judge.params.maxDets = [self.max_detections]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
        return judge.eval["precision"][..., 0, 0], judge.eval["recall"][..., 0, 0]


def image_average_precision(
    label: np.ndarray, fields: dict[str, np.ndarray], iou: float = 0.5
) -> np.ndarray:
    """Computes the average precision of each image by itself.

    All classes are pooled, but a detection must have its object's class. The average
    precision is the area under the curve of precision, made monotonic, against
    recall. An image without objects scores 1 if no detection has a score above 0.5,
    and else 0.

    Args:
        label: `(batch, max_boxes, 5)`.
        fields: `boxes`, `scores` and `classes`.
        iou: IoU from which a detection counts.

    Returns:
        `(batch,)`, between 0 and 1.
    """
    scores = []
    for i, rows in enumerate(label):
        rows = rows[rows[:, 4] >= 0]
        some = fields["classes"][i] >= 0
        confidence = fields["scores"][i][some]
        if not len(rows):
            scores.append(float(not (confidence > 0.5).any()))
            continue
        order = np.argsort(-confidence, kind="stable")
        boxes = fields["boxes"][i][some][order]
        classes = fields["classes"][i][some][order]
        overlaps = _iou(boxes, rows[:, :4])
        overlaps[classes[:, None] != rows[:, 4].astype("int32")] = 0
        hits = _greedy(overlaps, iou)
        precision = np.cumsum(hits) / (np.arange(len(hits)) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        scores.append(float((precision * hits).sum() / len(rows)))
    return np.array(scores, "float64")


def _greedy(overlaps: np.ndarray, iou: float) -> np.ndarray:
    """Gives each detection in turn the free object that it overlaps most."""
    overlaps, hits = overlaps.copy(), np.zeros(len(overlaps))
    for row, overlap in enumerate(overlaps):
        best = overlap.argmax()
        if overlap[best] >= iou:
            hits[row] = 1
            overlaps[:, best] = 0
    return hits


def _iou(boxes1: np.ndarray, boxes2: np.ndarray) -> np.ndarray:
    """Returns the IoU of each pair, `(boxes1, boxes2)`."""
    boxes1, boxes2 = boxes1[:, None], boxes2[None]
    low = np.maximum(boxes1[..., :2], boxes2[..., :2])
    high = np.minimum(boxes1[..., 2:], boxes2[..., 2:])
    both = np.maximum(high - low, 0).prod(-1)
    area1 = (boxes1[..., 2:] - boxes1[..., :2]).prod(-1)
    area2 = (boxes2[..., 2:] - boxes2[..., :2]).prod(-1)
    union = area1 + area2 - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def _with_id(image: int, rows: np.ndarray) -> np.ndarray:
    return np.column_stack([np.full(len(rows), image), rows])


def _annotations(rows: np.ndarray) -> list[dict[str, Any]]:
    """Returns rows of image, xyxy, class and perhaps score in COCO's form."""
    annotations = []
    for number, (image, x1, y1, x2, y2, kind, *score) in enumerate(rows.tolist()):
        annotation = {
            "id": number + 1,
            "image_id": int(image),
            "category_id": int(kind),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        if score:
            annotation["score"] = score[0]
        annotations.append(annotation)
    return annotations


def _mean(values: np.ndarray) -> float:
    """Returns the mean, without the −1 of classes that have no object."""
    return float(values[values > -1].mean())
