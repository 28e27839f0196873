"""Heads trained on features that are computed once."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.data.from_records import reader
from p5_keras.data.pipeline import steps_per_epoch
from p5_keras.data.source import Source
from p5_keras.inputs import encode
from p5_keras.model import MultiTaskModel

Tensor = Any


def cached(
    model: MultiTaskModel, sources: Iterable[Source], batch_size: int = 64
) -> tuple[MultiTaskModel, list[Source]]:
    """Computes what a frozen trunk makes of every example, to train the heads alone.

    The model that is returned has the heads of the given one, which so is trained
    with it, and reads the features in place of pictures; what it learns is what the
    whole model would have learned of the same batches. Its sources give the examples
    as they are: there is no augmentation, and an epoch is like any other.

    Args:
        model: A model of which nothing but the heads is trainable; see `freeze`.
        sources: The sources, such as those of the three splits.
        batch_size: Examples that go through the trunk at a time.

    Returns:
        A model from one vector an example, all features in a row, to the tasks'
        outputs; and for each source one with the features as "input", in memory.

    Raises:
        ValueError: Something is trained outside the heads, or a head reads another.

    Example:
        >>> p5.transfer.freeze(model, "trunk")
        >>> heads, (train, val) = p5.transfer.cached(model, [train, val])
        >>> heads.compile("adam")
        >>> heads.fit(p5.data.training(train, tasks, 32, start=None), epochs=20)
        >>> model.save("with_trained_heads.keras")
    """
    if trained := [v.path for v in model.trunk_variables]:
        raise ValueError(
            "`model` must have nothing trainable but its heads, so that its features "
            "do not change: freeze its trunk. "
            f"Received: {len(trained)} other variables, such as {trained[0]}"
        )
    reads = {name: _inputs(model, name) for name in model.task_names}
    cut = list({id(x): x for read in reads.values() for x in read.values()}.values())
    trunk = keras.Model(model.input, [keras.layers.Flatten()(x) for x in cut])
    heads = _heads(model, cut, reads)

    @tf.function(reduce_retracing=True)
    def features(x: Tensor) -> Tensor:
        found = tf.nest.flatten(trunk(x, training=False))
        return tf.concat([tf.cast(part, tf.float32) for part in found], axis=-1)

    return heads, [_computed(source, features, batch_size) for source in sources]


def _inputs(model: MultiTaskModel, task: str) -> dict[str, Tensor]:
    """Returns the tensors that a head reads, by the names it has for them."""
    head, index, _ = model.output[task]._keras_history
    read = head._inbound_nodes[index].input_tensors
    known = {id(output) for output in model.output.values()}
    waiting = list(read)
    while waiting:
        x = waiting.pop()
        operation, at, _ = x._keras_history
        if id(x) in known:
            raise ValueError(
                "No head may read what another has found, where heads are trained on "
                f"features computed once. Received: task {task!r}, which does"
            )
        waiting.extend(operation._inbound_nodes[at].input_tensors)
    return {x.name: y for x, y in zip(head.inputs, read, strict=True)}


def _heads(
    model: MultiTaskModel, cut: list[Tensor], reads: dict[str, dict[str, Tensor]]
) -> MultiTaskModel:
    sizes = [int(np.prod(x.shape[1:])) for x in cut]
    ends = np.cumsum(sizes).tolist()
    inputs = keras.Input((ends[-1],), name="input")
    parts = {}
    for x, size, end in zip(cut, sizes, ends, strict=True):
        part = keras.layers.Reshape(x.shape[1:])(inputs[:, end - size : end])
        if x.dtype != part.dtype:  # the trunk computes in half precision
            part = keras.ops.cast(part, x.dtype)
        parts[id(x)] = part
    outputs = {
        task: model.get_layer(task)({name: parts[id(x)] for name, x in read.items()})
        for task, read in reads.items()
    }
    return MultiTaskModel(inputs, outputs, tasks=model.tasks, head_l2=model.head_l2)


def _computed(source: Source, features: Any, batch_size: int) -> Source:
    """Reads all examples of a source once, features in place of inputs."""

    def read(step: Tensor) -> Any:
        start = step * batch_size
        end = tf.minimum(start + batch_size, source.size)
        index = tf.range(start, end)
        return source.read(index, tf.zeros_like(index))

    dataset = tf.data.Dataset.range(steps_per_epoch(source, batch_size)).map(read)
    if source.load is not None:
        dataset = dataset.unbatch().map(source.load, tf.data.AUTOTUNE).batch(batch_size)
    parts = []
    for example in dataset:
        if source.transform is not None:
            example = source.transform(example)
        example = dict(example)
        x = example.pop("image" if "image" in example else "input")
        raw = source.encoders
        x = encode(raw, x) if raw else tf.cast(x, tf.float32)
        example["input"] = features(x)
        parts.append(tf.nest.map_structure(lambda part: part.numpy(), example))
    columns = tf.nest.map_structure(lambda *rows: np.concatenate(rows), *parts)
    kept = {n: getattr(source, n) for n in ("ordered", "groups", "together")}
    if source.transform is None:  # else its labels are others
        kept["reading"] = source.reading
    return dataclasses.replace(Source(source.size, reader(columns)), **kept)
