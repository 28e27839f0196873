"""What Keras leaves to be done for several replicas, in one process or in many."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras import strategy

Tensor = Any

#: Between the seeds of one replica's dropout and the next one's.
SEED_STRIDE = 100_003


def step_logs(model: Any, logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the logs of a step in a form that Keras can reduce.

    Over workers it reduces each log by itself, and none that is a scalar: there only
    the loss is logged at each step, all else at the end of the epoch.
    """
    if strategy.shard(model.distribute_strategy)[1] == 1:
        return logs
    return {"loss": tf.reshape(logs["loss"], [1])}


def local_batch(model: Any, iterator: Any) -> Any:
    """Returns one replica's share of a batch; Keras needs its shapes.

    Keras itself would take the mean over all replicas, which workers cannot.
    """
    local = model.distribute_strategy.experimental_local_results
    for _, _, batches in iterator:
        return tf.nest.map_structure(lambda part: local(part)[0], next(batches))
    return None


def distributed(
    model: Any, data: Any, kwargs: dict[str, Any], steps: str
) -> tuple[Any, dict[str, Any]]:
    """Gives a dataset to the workers, if there are several.

    Args:
        model: The model.
        data: A dataset; anything else is left as it is.
        kwargs: Arguments of `fit` or `evaluate`.
        steps: Name of the argument that says how many batches there are.

    Returns:
        What to use in place of `data` and `kwargs`.
    """
    several = strategy.shard(model.distribute_strategy)[1] > 1
    if several and isinstance(data, tf.data.Dataset):
        data, known = strategy.distribute(model.distribute_strategy, data)
        kwargs = {steps: known, **kwargs} if known else kwargs
    return data, kwargs


@contextlib.contextmanager
def own_seeds(model: Any) -> Iterator[None]:
    """Lets dropout draw differently on every replica for a while.

    Otherwise all replicas drop the same units. The first keeps its seeds, which are
    those that a run saves.
    """
    replicas = model.distribute_strategy.num_replicas_in_sync
    states = [v for v in model.non_trainable_variables if _is_seed(v)]
    if replicas == 1 or not states:
        yield
        return

    @tf.function
    def move(sign: Tensor) -> None:
        context = tf.distribute.get_replica_context()
        place = tf.cast(context.replica_id_in_sync_group, states[0].value.dtype)
        stride = tf.stack([sign * place * SEED_STRIDE, tf.zeros_like(place)])
        for state in states:
            state.assign(state.value + stride)

    one = tf.constant(1, states[0].value.dtype)
    model.distribute_strategy.run(move, (one,))
    try:
        yield
    finally:
        model.distribute_strategy.run(move, (-one,))


def _is_seed(variable: keras.Variable) -> bool:
    return variable.name == "seed_generator_state"


def from_all_workers(values: Any) -> Any:
    """Puts the rows of all workers together, in a replica; alone it does nothing."""
    if strategy.shard(tf.distribute.get_strategy())[1] == 1:
        return values
    context = tf.distribute.get_replica_context()
    gathers = (tf.float32, tf.float64, tf.int32, tf.int64)

    def whole(value: Tensor) -> Tensor:
        sent = value if value.dtype in gathers else tf.cast(value, tf.int32)
        # Made here, and so on the replica's device: where to gather is read off it.
        sent = tf.identity(sent)
        return tf.cast(context.all_gather(sent, axis=0), value.dtype)

    return tf.nest.map_structure(whole, values)


def local_values(own: tf.distribute.Strategy, value: Any) -> np.ndarray:
    """Returns the rows of a tensor that `from_all_workers` gave, or of all replicas."""
    parts = own.experimental_local_results(value)
    if strategy.shard(own)[1] > 1:
        parts = parts[:1]  # each has them all
    return np.concatenate([part.numpy() for part in parts])


def restore_sums(model: Any, pairs: Iterable[tuple[keras.Variable, Any]]) -> None:
    """Sets variables of metrics, which are sums over the replicas.

    Args:
        model: The model.
        pairs: Variables, and the sum that each is to hold.
    """
    pairs = list(pairs)

    @tf.function
    def assign(values: list[Tensor]) -> None:
        context = tf.distribute.get_replica_context()
        first = tf.equal(tf.cast(context.replica_id_in_sync_group, tf.int32), 0)
        for (variable, _), value in zip(pairs, values, strict=True):
            variable.assign(tf.where(first, value, tf.zeros_like(value)))

    values = [tf.constant(value, v.value.dtype) for v, value in pairs]
    model.distribute_strategy.run(assign, (values,))
