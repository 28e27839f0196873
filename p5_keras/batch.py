"""The labels and weights of a batch, in the form that tasks, losses and metrics know.

Whatever `fit`, `evaluate`, `train_on_batch`, `test_on_batch` or `predictions` is given
comes through `normalized`, in the graph of the step.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.losses.base import align
from p5_keras.naming import check_keys
from p5_keras.task import Task, said

Tensor = Any


def by_task(what: str, given: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """Returns labels or sample weights as a dict with a key for every task.

    Args:
        what: "labels" or "sample_weight", for errors.
        given: Such a dict; or a list in the order of the tasks; or, of an only task,
            what belongs to it.
        tasks: Names of the tasks.

    Raises:
        ValueError: It is none of these, or keys are unknown or missing.
    """
    if isinstance(given, Mapping):
        check_keys(what, given, tasks)
        return {name: given[name] for name in tasks}
    if isinstance(given, list | tuple) and len(given) == len(tasks):
        ranks = [getattr(part, "shape", np.shape(part)) for part in given]
        if all(rank is None or len(rank) for rank in ranks):
            return dict(zip(tasks, given, strict=True))
    if given is None and what == "labels":
        raise _no_labels("x alone")
    if len(tasks) == 1 and given is not None:
        return {tasks[0]: given}
    raise ValueError(
        f"The {what} must be a dict with a key for every task, {list(tasks)}, or a "
        f"list in their order. Received: {type(given).__name__}"
    )


def as_arrays(what: str, given: Any, tasks: Sequence[str]) -> dict[str, Any]:
    """Returns labels or sample weights, given as arrays, lists or series, by task.

    Raises:
        ValueError: A label is no number, or keys are unknown or missing.
    """
    found = by_task(what, given, tasks)
    return {
        name: {key: _array(what, name, part) for key, part in value.items()}
        if isinstance(value, Mapping)
        else _array(what, name, value)
        for name, value in found.items()
    }


def _array(what: str, task: str, value: Any) -> Any:
    tensors = (tf.Tensor, tf.RaggedTensor, tf.SparseTensor)
    if value is None and what == "labels":
        raise ValueError(
            f"The labels of task {task!r} must be an array, with NaN where a label is "
            "missing. Received: None"
        )
    if value is None or isinstance(value, tensors):
        return value
    try:
        array = np.asarray(value)
        if array.dtype == object and hasattr(value, "to_numpy"):  # pandas, with NA
            array = value.to_numpy("float64", na_value=np.nan)
        elif array.dtype == object:  # numbers and None
            array = array.astype("float64")
    except (TypeError, ValueError):
        array = np.array("")
    if array.dtype.kind not in "biuf":
        example = np.ravel(np.asarray(value, object))[:1].tolist()
        raise ValueError(
            f"The {what} of task {task!r} must be an array of numbers, for classes "
            f"their places in `class_names`, from 0 on. Received: {example}"
        )
    return array


def prepared(
    tasks: Sequence[Task], y: Any, sample_weight: Any, training: bool | None = None
) -> tuple[Any, Any]:
    """Returns labels and sample weights as arrays by task, and checks all of them.

    Args:
        tasks: The tasks.
        y: Labels, in any form of arrays.
        sample_weight: Sample weights likewise, or `None`.
        training: Whether they are trained on; `None` where they are one batch of more.

    Raises:
        ValueError: A key is wrong, a label out of range, or a weight negative.
    """
    names = [task.name for task in tasks]
    labels = as_arrays("labels", y, names)
    weights = {}
    if sample_weight is not None:
        weights = as_arrays("sample_weight", sample_weight, names)
        for name, weight in weights.items():
            if weight is None:
                count = len(tf.nest.flatten(labels[name])[0])
                weights[name] = np.ones(count, "float32")
    for task in tasks:
        label, weight = labels[task.name], weights.get(task.name)
        shape = _check_values(task, label, weight, training)
        # Else a step that has seen both forms knows neither's shape.
        if isinstance(label, np.ndarray) and label[:1].size == np.prod(shape):
            labels[task.name] = label.reshape(len(label), *shape)
    return labels, weights or None


def check_keys_of(dataset: Any, tasks: Sequence[str]) -> None:
    """Checks the keys of labels and sample weights of a `tf.data.Dataset`.

    Raises:
        ValueError: They are not as `by_task` wants them.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        keys = sorted(map(str, spec)) if isinstance(spec, dict) else "x alone"
        raise _no_labels(keys)
    _, y, *weight = spec[:3]
    by_task("labels", y, tasks)
    if weight and weight[0] is not None:
        by_task("sample_weight", weight[0], tasks)


def _no_labels(received: Any) -> ValueError:
    return ValueError(
        "Each batch must hold labels too, (x, y) or (x, y, sample_weight). "
        f"Received: {received}"
    )


def _check_values(
    task: Task, label: Any, weight: Any, training: bool | None = None
) -> tuple[int, ...]:
    """Checks arrays as `prepared` does, and returns the shape of one label."""
    flat = tf.nest.flatten(label)
    if not all(len(part.shape) for part in flat):
        raise task.refusal("a single number")
    if weight is not None and tuple(weight.shape[:1]) != (len(flat[0]),):
        raise ValueError(
            f"The sample weights of task {task.name!r} must be one for each example. "
            f"Received: the shape {tuple(weight.shape)} for {len(flat[0])} labels"
        )
    each = sum(int(np.prod(part.shape[1:])) for part in flat)
    if not min(len(part) for part in flat):
        raise task.refusal("no example")
    rows = max(1, 2**22 // max(each, 1))  # so that maps are not copied as a whole
    tally = np.zeros(task.tallies)
    for start in range(0, min(len(part) for part in flat), rows):
        here = slice(start, start + rows)
        some = tf.nest.map_structure(lambda a, here=here: a[here], label)
        given = None if weight is None else weight[here]
        normal, effective, bad = _normal(task, some, given)
        where = np.argwhere(np.asarray(_wrong(task, normal, effective)))
        if len(where):
            row = int(where[0][0])
            whole = tf.nest.map_structure(lambda a, row=row: a[row], some)
            raise task.refusal(f"{_shown(whole)} in example {start + row}")
        if float(bad):
            raise _bad_weights(task.name, float(bad))
        if task.tallies:
            some = tf.convert_to_tensor(some)
            sums = task.tally(some, normal, align(effective, normal))
            tally += [float(s) for s in sums]
    if training is not None and (doubt := task.doubt(tally.tolist(), training)):
        raise ValueError(doubt)
    return tuple(normal.shape[1:])


def _shown(label: Any) -> str:
    """Returns a label, or what of it fits into a line."""
    flat = [np.asarray(part) for part in tf.nest.flatten(label)]
    if len(flat) == 1 and flat[0].size <= 8:
        return f"{flat[0].item() if flat[0].size == 1 else flat[0].tolist()}"
    values = np.concatenate([np.ravel(part) for part in flat]).astype("float64")
    return f"values from {np.nanmin(values):g} to {np.nanmax(values):g}"


def _normal(task: Task, given: Any, weight: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Returns a task's label, its weight, and how many weights were wrong."""
    label, present = task.normalize(given)
    if weight is None:
        return label, present, tf.zeros(())
    weight = tf.cast(tf.convert_to_tensor(weight), tf.float32)
    if weight.shape.rank is None:
        weight = tf.reshape(weight, [-1])
    while weight.shape.rank > 1 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    good = tf.math.is_finite(weight) & (weight >= 0)
    weight = tf.where(good, weight, 0.0) * align(present, weight)
    return label, weight, tf.reduce_sum(tf.cast(~good, tf.float32))


def _wrong(task: Task, label: Tensor, weight: Tensor) -> Tensor:
    """Says which labels are invalid of those that count."""
    wrong = task.invalid(label)
    while weight.shape.rank > wrong.shape.rank:
        weight = tf.reduce_max(weight, axis=-1)
    return wrong & (align(weight, wrong) > 0)


def _bad_weights(task: str, count: float) -> ValueError:
    return ValueError(
        f"The sample weights of task {task!r} must be finite, and 0 or more. "
        f"Received: {count:.0f} that are negative, infinite or NaN"
    )


def normalized(
    tasks: Sequence[Task], y: Any, sample_weight: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Brings the labels and weights of a batch into the tasks' forms.

    Args:
        tasks: The tasks.
        y: Labels, as `by_task` takes them, each as `Task.normalize` takes it.
        sample_weight: Weights `(batch,)`, `(batch, 1)` or of the labels' shape, or
            `None`.

    Returns:
        By task: labels, weights, which are 0 without a label, and how many of the
        weights were none.
    """
    names = [task.name for task in tasks]
    given, extra = by_task("labels", y, names), {}
    if sample_weight is not None:
        extra = by_task("sample_weight", sample_weight, names)
    parts = {t.name: _normal(t, given[t.name], extra.get(t.name)) for t in tasks}
    labels, weights, bad = ({n: p[i] for n, p in parts.items()} for i in range(3))
    return labels, weights, bad


class LabelCheck:
    """Brings labels into the tasks' forms, and counts those that none can have.

    A step cannot raise an error where it is compiled. So it counts, and `refuse` looks
    at the counts: after the first step, and at the end of each epoch or evaluation.

    Args:
        tasks: The tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tuple(tasks)
        #: Whether what is counted is trained on.
        self.training = False
        own = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.SUM,
        }
        count = sum(2 + task.tallies for task in self.tasks)
        self._sums = tf.Variable(tf.zeros([count]), **own)
        # The largest wrong label of each task; each replica's, since none adds up.
        self._worst = tf.Variable(tf.fill([len(self.tasks)], -np.inf), **own)

    def normalized(
        self, y: Any, sample_weight: Any
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Returns what `normalized` does, and counts what is wrong."""
        labels, weights, bad = normalized(self.tasks, y, sample_weight)
        given = by_task("labels", y, list(labels))
        sums, worst = [], []
        for task in self.tasks:
            label, weight = labels[task.name], weights[task.name]
            wrong = _wrong(task, label, weight)
            sums += [tf.reduce_sum(tf.cast(wrong, tf.float32)), bad[task.name]]
            value = tf.cast(label, tf.float32)
            worst.append(tf.reduce_max(tf.where(align(wrong, value), value, -np.inf)))
            if task.tallies:
                some = tf.convert_to_tensor(given[task.name])
                sums += task.tally(some, label, align(weight, label))
        self._sums.assign_add(tf.stack(sums))
        self._worst.assign(tf.maximum(self._worst, tf.stack(worst)))
        return labels, weights

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        """Counts, for a while, what is not trained on."""
        before, self.training = self.training, False
        try:
            yield
        finally:
            self.training = before

    def reset(self) -> None:
        """Forgets what was counted."""
        self._sums.assign(tf.zeros_like(self._sums))
        self._worst.assign(tf.fill([len(self.tasks)], -np.inf))

    def refuse(self, early: bool = False) -> None:
        """Raises an error if a label was wrong since `reset`.

        Args:
            early: Whether there are more to come.

        Raises:
            ValueError: A label was out of range, or a weight negative or not finite.
        """
        sums = np.asarray(self._sums.read_value()).tolist()
        for i, task in enumerate(self.tasks):
            wrong, bad, *tally = sums[: 2 + task.tallies]
            sums = sums[2 + task.tallies :]
            if wrong:
                worst = self._largest(i)
                raise task.refusal(f"{wrong:.0f} that are not, the largest {worst}")
            if bad:
                raise _bad_weights(task.name, bad)
            if not early and (doubt := task.doubt(tally, self.training)):
                raise ValueError(doubt)

    def _largest(self, place: int) -> str:
        """Returns the largest wrong label of a task, on this machine."""
        parts = getattr(self._worst, "values", (self._worst,))
        return said(max(float(part[place]) for part in parts))


class FitCheck(keras.callbacks.Callback):
    """Ends a training that is in vain: of wrong labels, or of a loss that is no number.

    The counts of labels are looked at after the first step already, not to train an
    epoch for nothing; the loss at the end of each epoch, where it is known anyway.

    Args:
        check: What counts labels, or `None` to leave that to the ends of epochs.
        finite: Whether to look at the loss.
    """

    def __init__(self, check: LabelCheck | None, finite: bool) -> None:
        super().__init__()
        self._check, self._finite = check, finite

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the labels, once."""
        if self._check is not None:
            self._check.refuse(early=True)
            self._check = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the loss.

        Raises:
            ValueError: It is not finite.
        """
        logs = logs or {}
        if not self._finite or np.isfinite(logs.get("loss", 0.0)):
            return
        tasks = [task.name for task in self.model.tasks]
        bad = [n for n in tasks if not np.isfinite(logs.get(f"{n}_loss", 0.0))]
        raise ValueError(
            f"The loss must be finite, and in epoch {epoch + 1} it was not, so the "
            "weights may be lost: load them again, and try a lower learning rate, "
            "`clipnorm=1`, or labels and inputs of a smaller range. "
            f"Received: loss={logs['loss']}, by {', '.join(bad) or 'no task alone'}"
        )


def check_inputs(x: Any) -> None:
    """Checks that inputs given as arrays are numbers.

    Raises:
        ValueError: One is NaN or infinite.
    """
    parts = x.items() if isinstance(x, Mapping) else [("x", x)]
    for name, part in parts:
        kind = getattr(getattr(part, "dtype", None), "kind", "")
        # A sum is NaN or infinite if a part is, and takes no memory.
        if kind == "f" and not np.isfinite(np.sum(part, dtype="float64")):
            raise ValueError(
                f"The inputs must be finite. Received: NaN or infinity in {name!r}"
            )
