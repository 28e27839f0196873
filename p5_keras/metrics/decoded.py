"""Metrics of Keras for tasks, on decoded outputs and labels that are there."""

import inspect
from typing import Any

import keras
from keras import ops

from p5_keras.losses.base import align, present_labels
from p5_keras.losses.of_keras import (
    check_meaning,
    is_sparse,
    known,
    of_keras,
    plain,
    shown,
)

Tensor = Any

#: Metrics of one class against the rest, which of two classes mean the second.
_OF_ONE_CLASS = (
    keras.metrics.AUC,
    keras.metrics.Precision,
    keras.metrics.Recall,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TruePositives,
    keras.metrics.TrueNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.FalseNegatives,
)
#: Metrics that need a row for each example.
_OF_ROWS = (keras.metrics.FBetaScore, keras.metrics.R2Score)


def as_metric(metric: Any, task: Any) -> keras.metrics.Metric:
    """Makes a metric of raw outputs of a Keras metric of decoded ones.

    Args:
        metric: A metric of the package, which is returned; one of Keras, its name, or
            a function `(y_true, y_pred) -> values`.
        task: The task.

    Raises:
        ValueError: There is no such metric, or none of Keras' can measure the task.
    """
    if isinstance(metric, Decoded) or type(metric).__module__.startswith("p5_keras."):
        return metric
    if task.compares == "raw":
        return metric
    if task.compares == "":
        raise ValueError(
            f"The `metrics` of task {task.name!r} must be of p5_keras.metrics: labels "
            f"and outputs of its kind, {task.kind}, differ in form. "
            f"Received: {shown(metric)}"
        )
    given = metric
    if metric in ("accuracy", "acc"):
        if task.compares == "values":
            raise ValueError(
                f"Task {task.name!r} is a {task.kind} and has no accuracy. "
                f"Received: metrics=[{metric!r}]"
            )
        kind = {"classes": keras.metrics.SparseCategoricalAccuracy}
        metric = kind.get(task.compares, keras.metrics.BinaryAccuracy)()
    elif metric in ("crossentropy", "ce") and task.compares != "values":
        kind = {"classes": keras.metrics.SparseCategoricalCrossentropy}
        metric = kind.get(task.compares, keras.metrics.BinaryCrossentropy)()
    metric = known("metric", metric)
    if inspect.isclass(metric):
        metric = metric()
    if not isinstance(metric, keras.metrics.Metric):
        own = getattr(metric, "__name__", "metric")
        metric = keras.metrics.MeanMetricWrapper(metric, name=own)
    parameters = list(inspect.signature(metric.update_state).parameters)
    if parameters[1:2] == ["sample_weight"]:
        raise ValueError(
            f"The `metrics` of task {task.name!r} must compare labels and outputs. "
            f"Received: {shown(given)}, which takes one value"
        )
    check_meaning("metrics", metric, given, task)
    if task.compares == "labels" and getattr(metric, "threshold", 0) is None:
        raise ValueError(
            f"The labels of task {task.name!r} are yes or no one by one: give "
            f"{type(metric).__name__} a threshold, such as threshold=0.5. Received: "
            "threshold=None, which takes the likeliest label for the only one"
        )
    # A metric is called as it was given, as Keras does.
    return Decoded(metric, task, given if isinstance(given, str) else None)


class Decoded(keras.metrics.Metric):
    """A metric of Keras on decoded outputs, over the labels that are there.

    Args:
        metric: The metric.
        task: The task that decodes.
        name: Name, the metric's own if left out.
    """

    def __init__(
        self, metric: keras.metrics.Metric, task: Any, name: str | None = None
    ) -> None:
        super().__init__(name=name or metric.name)
        self.metric, self._task = metric, task
        metric.reset_state()  # another model may have used it

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Adds a batch."""
        y_pred = ops.cast(y_pred, "float32")
        y_true, weight = present_labels(ops.convert_to_tensor(y_true), sample_weight)
        if sample_weight is not None:
            weight *= align(ops.cast(sample_weight, "float32"), y_true)
        y_true, y_pred, weight = self._seen(y_true, y_pred, weight)
        self.metric.update_state(y_true, y_pred, sample_weight=weight)

    def _seen(
        self, y_true: Tensor, y_pred: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns label, prediction and weight, `(n, ...)`, `(n, ...)` and `(n,)`."""
        task, metric = self._task, self.metric
        if task.compares == "values":
            value = task.decode(y_pred)["value"]
            if len(value.shape) > 2:  # maps
                value, y_true = (ops.reshape(a, [-1, 1]) for a in (value, y_true))
            return y_true, value, ops.min(ops.reshape(weight, ops.shape(y_true)), -1)
        if task.compares == "labels":
            logits = task.logits(y_pred)
            p = logits if _of_logits(metric) else ops.sigmoid(logits)
            if _of_rows(metric):
                return y_true, p, ops.min(weight, axis=-1)
            y_true, p = (ops.reshape(a, [-1, 1]) for a in (y_true, p))
            if isinstance(metric, keras.metrics.IoU):
                weight = ops.cast(weight > 0, "int32")
                if not isinstance(metric, keras.metrics.BinaryIoU):
                    p = ops.cast(p > 0.5, "int32")
            return y_true, p, ops.reshape(weight, [-1])
        p = task.logits(y_pred)
        p = p if _of_logits(metric) else plain(ops.softmax(p, axis=-1))
        classes = p.shape[-1]
        if len(y_true.shape) == len(p.shape):  # of mixed examples
            weight, y_true = weight[..., 0], ops.argmax(y_true, axis=-1)
        y_true = ops.minimum(y_true, classes - 1)  # refused after the step if higher
        y_true, weight = (ops.reshape(a, [-1]) for a in (y_true, weight))
        p = ops.reshape(p, [-1, classes])
        if isinstance(metric, keras.metrics.IoU):
            y_true = y_true if metric.sparse_y_true else ops.one_hot(y_true, classes)
            p = ops.argmax(p, axis=-1) if metric.sparse_y_pred else p
            # It counts in whole numbers, and would take a weight of 0.5 for 0.
            weight = ops.cast(weight > 0, "int32")
        elif classes == 2 and isinstance(metric, _OF_ONE_CLASS):
            y_true, p = ops.cast(y_true, "float32")[:, None], p[:, 1:]
        elif of_keras(metric) and not is_sparse(metric):
            y_true = ops.one_hot(y_true, classes)
        return y_true, p, weight

    def result(self) -> Any:
        """Returns what the metric does."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Resets the metric."""
        self.metric.reset_state()


def _of_rows(metric: keras.metrics.Metric) -> bool:
    """Whether a metric sees all labels of an example together."""
    parts = ("multi_label", "class_id", "top_k")
    chosen = any(getattr(metric, part, None) not in (None, False) for part in parts)
    return chosen or isinstance(metric, _OF_ROWS)


def _of_logits(metric: keras.metrics.Metric) -> bool:
    """Whether a metric was made for logits, as those of Keras can be."""
    own = getattr(metric, "from_logits", False) or getattr(
        metric, "_from_logits", False
    )
    kwargs = getattr(metric, "_fn_kwargs", {})
    return bool(own or kwargs.get("from_logits"))
