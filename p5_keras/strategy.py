"""Which devices a run trains on, and what its processes agree on."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from p5_keras.naming import did_you_mean

#: Seconds without a sign of life after which a worker counts as lost. TensorFlow's own
#: 10 are too few for a machine that is busy. One that was killed is noticed at once.
SILENCE_SECONDS = 60

NAMES = ("auto", "none", "cpu", "mirrored", "multiworker", "tpu")


def get(
    name: str = "auto", tpu: str | None = None, batch_size: int | None = None
) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy; build and compile models in its scope.

    Several workers must be asked for before TensorFlow computes anything.

    Args:
        name: "auto" (a TPU if an address is given, several workers if `TF_CONFIG`
            names them, several GPUs if there are any, else one device), "none" (one
            device), "cpu" (GPUs are left to others), "mirrored", "multiworker" or
            "tpu".
        tpu: Address of the TPU; "local" on a TPU host and in Colab.
        batch_size: Global batch size, checked against the number of replicas.

    Raises:
        ValueError: The name is unknown or not supported, `TF_CONFIG` is wrong, or the
            batch does not divide into equal shares.
    """
    strategy = _make(name, tpu)
    if batch_size is not None:
        _check_batch_size(strategy, batch_size)
    return strategy


def _make(name: str, tpu: str | None) -> tf.distribute.Strategy:
    workers = sum(map(len, _cluster(os.environ.get("TF_CONFIG")).values()))
    if name == "auto" and (tpu or workers > 1):
        name = "tpu" if tpu else "multiworker"
    if name == "auto":
        gpus = len(tf.config.list_logical_devices("GPU"))
        name = "mirrored" if gpus > 1 else "none"
    if name == "cpu":
        tf.config.set_visible_devices([], "GPU")
    if name in ("none", "cpu"):
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multiworker":
        if not workers:
            raise ValueError(
                "`strategy='multiworker'` needs the addresses of the workers in "
                "TF_CONFIG, as a cluster manager sets it; on one machine start it by "
                "python -m p5_keras.supervise --workers=2 -- python train.py ... "
                "Received: no TF_CONFIG"
            )
        # One worker is no cluster, and has no other to wait for.
        if workers == 1:
            return tf.distribute.MirroredStrategy()
        with _patient():
            return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    if name in ("parameter_server", "ps"):
        raise ValueError(
            "Parameter servers are not supported: Keras 3 cannot train with them. Use "
            "strategy='multiworker', in which every worker holds all weights. "
            f"Received: strategy={name!r}"
        )
    raise ValueError(
        f"`strategy` must be one of {', '.join(NAMES)}.{did_you_mean(name, NAMES)} "
        f"Received: strategy={name!r}"
    )


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Lets workers be silent for longer; TensorFlow has no public setting of that."""
    from tensorflow.python.eager import context

    shared = context.context()
    shared.configure_coordination_service = functools.partial(
        shared.configure_coordination_service,
        heartbeat_timeout_in_ms=1000 * SILENCE_SECONDS,
    )
    try:
        yield
    finally:
        del shared.configure_coordination_service


def in_cluster() -> bool:
    """Whether `TF_CONFIG` names several workers."""
    try:
        return sum(map(len, _cluster(os.environ.get("TF_CONFIG")).values())) > 1
    except ValueError:  # which `get` says, where it is needed
        return False


def _cluster(config: str | None) -> Mapping[str, Sequence[str]]:
    """Reads the addresses in `TF_CONFIG`, by job.

    Raises:
        ValueError: It is no JSON, or has jobs that do not train.
    """
    try:
        found = json.loads(config or "{}")
        cluster = {job: list(tasks) for job, tasks in found.get("cluster", {}).items()}
        if cluster:
            cluster[found["task"]["type"]][int(found["task"]["index"])]
    except (
        *(ValueError, TypeError, AttributeError, LookupError, RecursionError),
    ) as error:
        raise ValueError(
            "TF_CONFIG must be JSON such as {'cluster': {'worker': ['host:port', …]}, "
            "'task': {'type': 'worker', 'index': 0}}, the task one of the cluster. "
            f"Received: TF_CONFIG={config}"
        ) from error
    if others := sorted(set(cluster) - {"chief", "worker"}):
        raise ValueError(
            "TF_CONFIG may have the jobs 'chief' and 'worker': there are no parameter "
            "servers in Keras 3, and every run evaluates by itself. "
            f"Received: {others} in TF_CONFIG"
        )
    return cluster


def _check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Checks that a global batch divides into equal shares.

    Raises:
        ValueError: It does not.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(
            "`batch_size` is global and must be a multiple of the number of replicas. "
            f"Received: batch_size={batch_size} for {replicas} replicas"
        )


def check_model(model: Any, optimizer: Any, steps_per_execution: int) -> None:
    """Refuses what a strategy cannot do, when a model is compiled.

    Raises:
        ValueError: The model was built outside of the scope, or what is asked for does
            not work with the strategy.
    """
    strategy = model.distribute_strategy
    inside = strategy.extended.variable_created_in_scope
    if tf.distribute.has_strategy() and not all(inside(v.value) for v in model.weights):
        raise ValueError(
            "A model must be built in the scope that it is compiled in: "
            "with strategy.scope(): model = ...; model.compile(...). "
            f"Received: a model built outside of a {type(strategy).__name__}"
        )
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        _make("parameter_server", None)
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return
    if getattr(optimizer, "gradient_accumulation_steps", None):
        raise ValueError(
            "Gradients cannot be accumulated under several replicas: Keras does so in "
            "a branch, where replicas cannot reduce. Each replica holds a share of the "
            "batch already: leave it out, or add replicas. Received: "
            f"gradient_accumulation_steps={optimizer.gradient_accumulation_steps} "
            f"for {replicas} replicas"
        )
    cpus = [d for d in strategy.extended.worker_devices if ":CPU:" in d.upper()]
    if steps_per_execution != 1 and (len(cpus) > 1 or _addresses(strategy)):
        raise ValueError(
            "`steps_per_execution` must be 1 with several workers, or several CPU "
            "replicas in a process: Keras' loop over steps cannot feed them. Use 1, or "
            "one process; a CPU uses all its cores as one replica. Received: "
            f"steps_per_execution={steps_per_execution} for {replicas} replicas"
        )


def shard(
    strategy: tf.distribute.Strategy, batch_size: int | None = None
) -> tuple[int, int]:
    """Returns `(worker, workers)`, the share of this process in each global batch.

    Args:
        strategy: The strategy.
        batch_size: Global batch size, to be checked.

    Raises:
        ValueError: The batch does not divide into equal shares.
    """
    if batch_size is not None:
        _check_batch_size(strategy, batch_size)
    addresses = _addresses(strategy)
    if len(addresses) < 2:
        return 0, 1
    resolver = strategy.cluster_resolver
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", ()))
    first = chiefs if resolver.task_type == "worker" else 0
    return first + resolver.task_id, len(addresses)


def others(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the addresses of the other workers."""
    own = shard(strategy)[0]
    return [a for i, a in enumerate(_addresses(strategy)) if i != own]


def _addresses(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the addresses of all workers, the chief's first; none on one machine."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return []
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    return [a for job in ("chief", "worker") for a in cluster.get(job, ())]


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    return shard(strategy)[0] == 0


def total(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """Sums numbers over the workers; each must call it at the same point.

    Args:
        strategy: The strategy.
        values: This worker's numbers.

    Returns:
        Their sums, float64, the same on every worker.
    """
    if shard(strategy)[1] == 1:
        return np.array(values, "float64")
    numbers = tf.constant(values, "float64") / len(strategy.extended.worker_devices)
    return np.array(_summing(strategy)(numbers))


@functools.lru_cache(maxsize=1)
def _summing(strategy: tf.distribute.Strategy) -> Any:
    """Returns a function that sums a tensor over the replicas; it is traced once."""

    def local(numbers: tf.Tensor) -> Any:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(numbers))

    @tf.function
    def summed(numbers: tf.Tensor) -> Any:
        sums = strategy.run(local, (numbers,))
        return strategy.experimental_local_results(sums)[0]

    return summed


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Lets the other workers do something after the chief: prepare data on a disk."""
    if not is_chief(strategy):
        total(strategy, [0.0])
    yield
    if is_chief(strategy):
        total(strategy, [0.0])


def distribute(
    strategy: tf.distribute.Strategy, dataset: tf.data.Dataset
) -> tuple[Any, int | None]:
    """Gives a dataset to the replicas.

    Args:
        strategy: The strategy.
        dataset: Global batches; or, of several workers, this one's share of them, as
            `shard=` makes it, which is known by auto-sharding being off.

    Returns:
        Batches for Keras or a loop, and the number to stop after, if they do not stop
        by themselves.

    Raises:
        ValueError: Several workers cannot know where the dataset ends.
    """
    if shard(strategy)[1] == 1:
        return strategy.experimental_distribute_dataset(dataset), None
    # Workers that ask each other at every batch whether there is another one wait for
    # ever in Keras' loop: the dataset is endless, and the number of steps known.
    steps = int(dataset.cardinality())
    if steps == tf.data.UNKNOWN_CARDINALITY:
        raise ValueError(
            "A dataset for several workers must know its cardinality; give it by "
            "dataset.apply(tf.data.experimental.assert_cardinality(batches)). "
            "Received: a dataset of unknown cardinality"
        )
    policy = dataset.options().experimental_distribute.auto_shard_policy
    dataset = dataset.repeat()
    known = steps if steps >= 0 else None
    if policy != tf.data.experimental.AutoShardPolicy.OFF:
        return strategy.experimental_distribute_dataset(dataset), known
    replicas = len(strategy.extended.worker_devices)
    if replicas > 1:
        own = int(tf.nest.flatten(dataset.element_spec)[0].shape[0])
        dataset = dataset.rebatch(own // replicas)
    return strategy.distribute_datasets_from_function(lambda context: dataset), known
