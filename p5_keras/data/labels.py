"""What is known of the labels before training: statistics, and what is wrong."""

import numpy as np
import tensorflow as tf

from p5_keras.task import Task

Labels = dict[str, tuple[np.ndarray, np.ndarray]]


def collect(tasks: list[Task], dataset: tf.data.Dataset, limit: int = 20_000) -> Labels:
    """Reads labels and weights of a finite dataset into memory.

    Args:
        tasks: The tasks.
        dataset: Batches `(x, y, sample_weight)`.
        limit: Enough examples to stop at.

    Returns:
        `(labels, weights)` by task, concatenated over batches.
    """
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {t.name: [] for t in tasks}
    seen = 0
    for _, labels, weights in dataset:
        for task in tasks:
            name = task.name
            parts[name].append((labels[name].numpy(), weights[name].numpy()))
        seen += len(weights[tasks[0].name])
        if seen >= limit:
            break
    return {
        name: (np.concatenate([a for a, _ in p]), np.concatenate([b for _, b in p]))
        for name, p in parts.items()
    }


def adapt(tasks: list[Task], dataset: tf.data.Dataset) -> Labels:
    """Lets every task learn what it needs of the training labels.

    Args:
        tasks: The tasks; their statistics and weights are set in place.
        dataset: Finite training batches, not augmented.

    Returns:
        The labels, as `collect` gives them.

    Raises:
        ValueError: A task has no label at all.
    """
    labels = collect(tasks, dataset)
    for task in tasks:
        values, weights = labels[task.name]
        if not (weights > 0).any():
            raise ValueError(
                "Every task must have a label in the training data. "
                f"Received: task {task.name!r} with none in {len(weights)} examples"
            )
        task.adapt(values, weights)
    return labels


def check(tasks: list[Task], dataset: tf.data.Dataset) -> None:
    """Checks every input and label of a finite dataset.

    Raises:
        ValueError: An input is not finite, or a label is out of range.
    """
    for x, labels, weights in dataset:
        parts = [part for part in tf.nest.flatten(x) if part.dtype.is_floating]
        if not all(bool(tf.reduce_all(tf.math.is_finite(part))) for part in parts):
            raise ValueError("The inputs must be finite. Received: NaN or infinity")
        for task in tasks:
            task.check(labels[task.name].numpy(), weights[task.name].numpy())
