"""Which devices a run trains on."""

import tensorflow as tf


def get(
    name: str = "auto", tpu: str | None = None, batch_size: int | None = None
) -> tf.distribute.Strategy:
    """Returns a `tf.distribute` strategy; build and compile models in its scope.

    Args:
        name: "auto" (a TPU if an address is given, several GPUs if there are any,
            else one device), "none", "mirrored" or "tpu".
        tpu: Address of the TPU; "local" on a TPU host and in Colab.
        batch_size: Global batch size, checked against the number of replicas.

    Raises:
        ValueError: The name is unknown, or the batch does not divide into equal
            shares.
    """
    strategy = _make(name, tpu)
    replicas = strategy.num_replicas_in_sync
    if batch_size is not None and (batch_size < 1 or batch_size % replicas):
        raise ValueError(
            "`batch_size` is global and must be a multiple of the number of replicas. "
            f"Received: batch_size={batch_size} for {replicas} replicas"
        )
    return strategy


def _make(name: str, tpu: str | None) -> tf.distribute.Strategy:
    gpus = len(tf.config.list_logical_devices("GPU"))
    if name == "auto":
        name = "tpu" if tpu else "mirrored" if gpus > 1 else "none"
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    raise ValueError(
        "`strategy` must be 'auto', 'none', 'mirrored' or 'tpu'. "
        f"Received: strategy={name!r}"
    )
