"""Passes over whole data sets, beyond what Keras' metrics can add up."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from p5_keras.batch import normalized
from p5_keras.replicas import from_all_workers, local_values
from p5_keras.strategy import distribute

Tensor = Any


def predictions(
    model: Any, dataset: Any, inputs: bool = True
) -> Iterator[dict[str, Any]]:
    """Yields what `MultiTaskModel.predictions` says, from all replicas.

    Args:
        model: A multi-task model.
        dataset: Batches.
        inputs: Whether to yield `x` too, which workers would have to send.
    """
    strategy = model.distribute_strategy
    if getattr(model, "_decode_function", None) is None:

        def decode(found: dict[str, Any], x: Tensor) -> Any:
            fields = model.decode(model(x, training=False))
            labels: dict[str, Tensor] = {}
            weights: dict[str, Tensor] = {}
            there = not isinstance(found["label"], dict) or len(found["label"]) > 0
            if there:  # to predict there are none
                given = found["label"], found.get("weight")
                labels, weights, _ = normalized(model.tasks, *given)
            found = {**found, "label": labels, "weight": weights, "fields": fields}
            return from_all_workers(found)

        @tf.function(reduce_retracing=True)
        def decode_all(*args: Any) -> Any:
            return strategy.run(decode, args)

        model._decode_function = decode_all
    steps = None
    if isinstance(dataset, tf.data.Dataset):
        dataset, steps = distribute(strategy, dataset)

    whole = functools.partial(local_values, strategy)
    for data in itertools.islice(dataset, steps):
        x, label, weight = keras.utils.unpack_x_y_sample_weight(data)
        if label is None:
            raise ValueError(
                "Each batch must hold labels too, (x, y) or (x, y, sample_weight); "
                "without them use model.decode(model.predict(x)). Received: x alone"
            )
        found = {"label": label}
        if weight is not None:
            found["weight"] = weight
        if inputs:
            found["x"] = x
        found = model._decode_function(found, x)
        found = tf.nest.map_structure(whole, found)
        for task in model.tasks if found["label"] else ():
            task.check(found["label"][task.name], found["weight"][task.name])
        yield found


def whole_set_metrics(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Returns the metrics of the tasks' evaluators, NaN where nothing was labelled.

    Args:
        model: A multi-task model.
        x: A dataset, or inputs with `y`, as in `evaluate`.
        y: Labels by task.
        sample_weight: Weights by task.
        batch_size: Size of the batches of arrays.
        steps: Number of batches to stop at.
        **kwargs: Further arguments of `evaluate`, which do not matter here.
    """
    evaluators = {t.name: t.evaluator() for t in model.tasks}
    evaluators = {name: e for name, e in evaluators.items() if e is not None}
    if not evaluators:
        return {}
    if y is not None:
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        x = tf.data.Dataset.from_tensor_slices(data).batch(batch_size or 32)
    for batch in itertools.islice(predictions(model, x, inputs=False), steps):
        for name, evaluator in evaluators.items():
            parts = (batch[part][name] for part in ("label", "weight", "fields"))
            evaluator.update(*parts)
    return {
        f"{name}_{key}": float("nan") if value is None else value
        for name, evaluator in evaluators.items()
        for key, value in evaluator.result().items()
    }
