"""Passes over whole data sets, beyond what Keras' metrics can add up."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Tensor = Any


def predictions(model: Any, dataset: tf.data.Dataset) -> Iterator[dict[str, Any]]:
    """Yields what `MultiTaskModel.predictions` says, from all replicas."""
    strategy = model.distribute_strategy
    if getattr(model, "_decode_function", None) is None:

        @tf.function(reduce_retracing=True)
        def decode(x: Tensor) -> Any:
            return model.decode(model(x, training=False))

        model._decode_function = decode

    def whole(value: Any) -> np.ndarray:
        parts = strategy.experimental_local_results(value)
        return np.concatenate([part.numpy() for part in parts])

    for data in strategy.experimental_distribute_dataset(dataset):
        fields = strategy.run(model._decode_function, (data[0],))
        data, fields = tf.nest.map_structure(whole, (data, fields))
        x, label, weight = keras.utils.unpack_x_y_sample_weight(data)
        if weight is None:
            weight = {n: np.ones(len(v), "float32") for n, v in label.items()}
        yield {"x": x, "label": label, "weight": weight, "fields": fields}


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
    if not isinstance(x, tf.data.Dataset):
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        x = tf.data.Dataset.from_tensor_slices(data).batch(batch_size or 32)
    for batch in predictions(model, x.take(steps) if steps else x):
        for name, evaluator in evaluators.items():
            parts = (batch[part][name] for part in ("label", "weight", "fields"))
            evaluator.update(*parts)
    return {
        f"{name}_{key}": float("nan") if value is None else value
        for name, evaluator in evaluators.items()
        for key, value in evaluator.result().items()
    }
