"""Losses of Keras for tasks: label and output as each of them expects these.

A head gives logits, standardised values or logarithms, and a label may be missing. So
a loss of Keras is given both in one space, where training is well conditioned, and a
metric of Keras (`p5_keras/metrics/decoded.py`) both in the user's: probabilities, and
values in their unit.

What a task is compared by is `Task.compares`:

- "classes": labels are class ids, the raw output has one logit for each class. Losses
  and metrics called "sparse" see ids, those that compare element by element one-hot
  rows, and the rest of Keras' own what the class documents. A loss sees probabilities,
  or logits with `from_logits=True`.
- "labels": labels are 0 or 1 one by one, the raw output is a logit each.
- "values": a loss sees standardised labels and outputs, a metric decoded ones.
- "": labels and outputs have different forms; only a `MeanLoss` and metrics of the
  package can compare them.
- "raw": a kind of the user's own; everything as it is.
"""

import inspect
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from p5_keras.losses.base import MeanLoss, Wrapped
from p5_keras.naming import did_you_mean

Tensor = Any

#: Losses that want scores, not probabilities.
_SCORES = ("hinge",)
#: Losses and metrics that see an example's values together, not one by one.
_TOGETHER = ("dice", "tversky", "cosine", "categorical", "kl", "kullback", "circle")
#: By how a task is compared: losses and metrics of Keras that have no meaning there,
#: and the reason. Keras would give a number all the same.
_MEANINGLESS = {
    "labels": (
        ("categorical", "circle"),
        "compare one class of many, where labels are yes or no one by one; the binary "
        "ones do that",
    ),
    "values": (
        *(("crossentropy", "categorical", "hinge", "dice", "tversky", "circle"),),
        "compare classes, where labels are values",
    ),
}
#: Losses of values above 0, which standardised ones and logarithms are not.
_POSITIVE = ("poisson", "logarithmic", "percentage", "kl", "kullback")
#: Metrics of decisions, which values are not.
_DECISIONS = (
    "accuracy auc precision recall iou sensitivity positives negatives fbeta f1"
)


def as_loss(loss: Any, task: Any) -> MeanLoss:
    """Makes a `MeanLoss` of a Keras loss for a task.

    Args:
        loss: A `MeanLoss`, which is returned; a Keras loss, its name, or a function
            `(y_true, y_pred) -> values`.
        task: The task.

    Raises:
        ValueError: There is no such loss, or none of Keras' can measure the task.
    """
    if isinstance(loss, MeanLoss):
        return loss
    if task.compares == "":
        raise ValueError(
            f"The `loss` of task {task.name!r} must be a p5_keras.losses.MeanLoss: "
            f"labels and outputs of its kind, {task.kind}, differ in form. "
            f"Received: loss={shown(loss)}"
        )
    given, loss = loss, known("loss", loss)
    if inspect.isclass(loss):
        loss = loss()
    check_meaning("loss", loss, given, task)
    return Wrapped(loss, view=_LossView(task))


def check_meaning(what: str, measure: Any, given: Any, task: Any) -> None:
    """Checks that a task can be measured by a loss or metric of Keras.

    Args:
        what: "loss" or "metrics".
        measure: The loss or metric.
        given: What the user gave for it.
        task: The task.

    Raises:
        ValueError: It would give a number without a meaning.
    """
    if not of_keras(measure):
        return
    words, why = _MEANINGLESS.get(task.compares, ((), ""))
    if task.compares == "values" and what == "metrics":
        words = (*words, *_DECISIONS.split())
    if any(word in _words(measure) for word in words):
        raise ValueError(
            f"The `{what}` of task {task.name!r}, a {task.kind}, must not be one of "
            f"those that {why}. Received: {shown(given)}"
        )
    if "correlation" in _words(measure):
        raise ValueError(
            f"The `{what}` of task {task.name!r} must be a mean over examples, to "
            "leave those without a label out; a correlation is one of each batch. "
            f"Received: {shown(given)}"
        )
    positive = any(word in _words(measure) for word in _POSITIVE)
    if task.compares == "values" and what == "loss" and positive:
        raise ValueError(
            f"The `loss` of task {task.name!r} must take values below 0, since it "
            "compares standardised values or logarithms; as one of the `metrics` it "
            f"would see values in their unit. Received: {shown(given)}"
        )


class _LossView:
    """Labels and outputs of a task as a loss sees them.

    Args:
        task: The task.
    """

    def __init__(self, task: Any) -> None:
        self.task = task

    def __call__(self, loss: Any, y_true: Tensor, y_pred: Tensor) -> tuple[Any, Any]:
        task, own = self.task, of_keras(loss)
        if task.compares == "raw":
            return ops.cast(y_true, y_pred.dtype), y_pred
        if task.compares == "values":
            y_true = task.standardized(y_true)
            return (
                (y_true[..., None], y_pred[..., None])
                if _one_by_one(loss)
                else (
                    y_true,
                    y_pred,
                )
            )
        logits = task.logits(y_pred)
        scores = not own or getattr(loss, "from_logits", False)
        scores = scores or any(word in _words(loss) for word in _SCORES)
        if task.compares == "labels":
            y_pred = logits if scores else ops.sigmoid(logits)
            y_true = ops.cast(y_true, y_pred.dtype)
            if _one_by_one(loss):
                y_true, y_pred = y_true[..., None], y_pred[..., None]
            return y_true, y_pred
        # A copy: Keras would take its softmax for a sigmoid of the logits that it has
        # noted with it, in losses that compare element by element.
        p = ops.softmax(logits, axis=-1)
        y_pred = logits if scores else p if "categorical" in _words(loss) else plain(p)
        if len(y_true.shape) < len(y_pred.shape):
            # Classes that are too high are counted, and refused after the step.
            y_true = ops.minimum(y_true, y_pred.shape[-1] - 1)
        if not own or is_sparse(loss) or len(y_true.shape) == len(y_pred.shape):
            return y_true, y_pred
        return ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype), y_pred


def plain(probabilities: Tensor) -> Tensor:
    """Returns probabilities of which Keras does not know the logits."""
    return tf.identity(probabilities)


def known(what: str, given: Any) -> Any:
    """Returns what Keras knows by a name.

    Raises:
        ValueError: It knows none.
    """
    module = keras.losses if what == "loss" else keras.metrics
    if isinstance(given, str) and not callable(given):
        try:
            return module.get(given)
        except ValueError:
            near = did_you_mean(given, [n for n in dir(module) if n[0] != "_"])
            raise ValueError(
                f"Keras must know the {what}.{near} Received: {given!r}"
            ) from None
    return module.get(given)


def _function(given: Any) -> Any:
    return getattr(given, "_fn", None) or getattr(given, "fn", None) or given


def of_keras(given: Any) -> bool:
    """Whether a loss or metric is one of Keras' own, and not a user's."""
    function = _function(given)
    home = function if inspect.isfunction(function) else type(given)
    return home.__module__.partition(".")[0] == "keras"


def _words(given: Any) -> str:
    """Returns the names of a loss or metric, to see what it is."""
    function = _function(given)
    name = getattr(function, "__name__", "")
    return f"{type(given).__name__} {name}".lower()


def is_sparse(given: Any) -> bool:
    """Whether a loss or metric takes class ids, not rows of classes."""
    return "sparse" in _words(given)


def _one_by_one(loss: Any) -> bool:
    """Whether a loss takes each value by itself, and only then their mean."""
    return of_keras(loss) and not any(word in _words(loss) for word in _TOGETHER)


def shown(given: Any) -> str:
    """Returns a loss or metric for an error."""
    return repr(given) if isinstance(given, str) else type(given).__name__
