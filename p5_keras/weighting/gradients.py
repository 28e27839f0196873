"""The tasks' gradients, their Gram matrix, and the update that weights make of them."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from p5_keras.losses.base import replica_sum

Tensor = Any
Weigh = Callable[[Tensor], Tensor]
_tpu_to_come = contextvars.ContextVar("tpu_to_come", default=False)


@dataclass
class Problem:
    """One step's losses, ready for gradients to be taken of them.

    Attributes:
        tape: A persistent tape that has seen all of the forward pass.
        losses: This replica's share of each task's α·L, times `scale`.
        rest: This replica's share of what no task owns (L2, activity losses), times
            `scale`, or `None`.
        shared: Variables that tasks share.
        heads: For each task the variables of its head.
        scale: Factor against underflow of half-precision gradients.
    """

    tape: tf.GradientTape
    losses: list[Tensor]
    rest: Tensor | None
    shared: list[keras.Variable]
    heads: list[list[keras.Variable]]
    scale: Tensor


def full(problem: Problem, weigh: Weigh, due: Any, last: Tensor) -> tuple[Any, Any]:
    """Takes one backward pass a task through everything, where weights are due.

    Args:
        problem: The step's losses.
        weigh: From the Gram matrix of the global batch to the weights.
        due: Whether to; if not, one backward pass with the last weights.
        last: The last weights.

    Returns:
        Gradients of the shared variables and, by task, of the heads'; their sums over
        the replicas are the gradients of the global batch.
    """
    tape = problem.tape

    def solved() -> tuple[list[Tensor], list[list[Tensor]]]:
        rows, heads = [], []
        for loss, own in zip(problem.losses, problem.heads, strict=True):
            found = gradient(tape, loss, [*problem.shared, *own])
            rows.append(found[: len(problem.shared)])
            heads.append(found[len(problem.shared) :])
        # The Gram matrix of a sum is not the sum of Gram matrices: reduce first.
        stacks = [tf.stack(column) for column in zip(*rows, strict=True)]
        replicas = _replicas()
        stacks = replica_sum(stacks) if replicas > 1 else stacks
        weights = weigh(gram(stacks, problem.scale))
        shared = [combine(weights, stack) / replicas for stack in stacks]
        return shared, heads

    def kept() -> tuple[list[Tensor], list[list[Tensor]]]:
        weights = tf.unstack(tf.cast(last, problem.losses[0].dtype))
        heads = [
            gradient(tape, loss, own)
            for loss, own in zip(problem.losses, problem.heads, strict=True)
        ]
        return gradient(tape, problem.losses, problem.shared, weights), heads

    return branch(due, solved, kept)


@dataclass
class Cut:
    """A forward pass in two parts, at the features that all tasks' losses pass.

    Attributes:
        features: What the shared part returned.
        leaves: The same as the heads took it, from which their gradients are taken.
        read: For each task the numbers of the features that its loss depends on.
    """

    features: list[Tensor]
    leaves: list[Tensor]
    read: list[list[int]] = field(default_factory=list)


def split(
    problem: Problem,
    cut: Cut,
    combined: Callable[[list[Tensor], list[Tensor]], list[Tensor]],
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Takes each head's gradient once, and one backward pass through the trunk.

    Args:
        problem: The step's losses.
        cut: Where the forward pass was cut.
        combined: From the leaves and, for each leaf, the tasks' gradients `(tasks,
            batch, ...)` to the gradient `(batch, ...)` that goes back into the trunk.

    Returns:
        Gradients as `full()` returns them.
    """
    rows, heads = [], []
    for loss, own in zip(problem.losses, problem.heads, strict=True):
        found = problem.tape.gradient(loss, [*cut.leaves, *(v.value for v in own)])
        cut.read.append([i for i in range(len(cut.leaves)) if found[i] is not None])
        dense = [
            tf.zeros_like(s) if g is None else tf.convert_to_tensor(g)
            for s, g in zip([*cut.leaves, *own], found, strict=True)
        ]
        rows.append(dense[: len(cut.leaves)])
        heads.append(dense[len(cut.leaves) :])
    stacks = [tf.stack(column) for column in zip(*rows, strict=True)]
    back = combined(cut.leaves, stacks)
    if problem.rest is not None:  # activity losses of the heads reach the trunk too
        own = gradient(problem.tape, problem.rest, cut.leaves)
        back = [a + tf.cast(b, a.dtype) for a, b in zip(back, own, strict=True)]
    back = [tf.cast(b, f.dtype) for b, f in zip(back, cut.features, strict=True)]
    shared = gradient(problem.tape, cut.features, problem.shared, back)
    return shared, heads


def last_shared(problem: Problem, cut: Cut, stacks: list[Tensor]) -> list[Tensor]:
    """Returns the tasks' gradients of the last layer that all of them share.

    Args:
        problem: The step's losses.
        cut: Where the forward pass was cut.
        stacks: The tasks' gradients of each feature.

    Returns:
        For the kernel of that layer, `(tasks, ...)` over the global batch.

    Raises:
        ValueError: No kernel is shared by all.
    """
    for kernel in reversed(problem.shared):
        if len(kernel.shape) < 2:
            continue
        rows = []
        for t, read in enumerate(cut.read):
            features = [cut.features[i] for i in read]
            back = [tf.cast(stacks[i][t], cut.features[i].dtype) for i in read]
            rows.append(
                problem.tape.gradient(features, kernel.value, output_gradients=back)
            )
        if all(row is not None for row in rows):
            return list(replica_sum([tf.stack(rows)]))
    raise ValueError(
        "`gradients='last_shared'` needs a layer that every task's loss depends on. "
        "Received: a trunk without one; use gradients='full'"
    )


def gram(stacks: Sequence[Tensor], scale: Tensor, reduce: bool = False) -> Tensor:
    """Returns the products of the tasks' gradients, float32 or better.

    Args:
        stacks: Gradients `(tasks, ...)`, each times `scale`.
        scale: Factor to take out.
        reduce: Whether the replicas' matrices are to be added up.
    """
    total = None
    for stack in stacks:
        flat = tf.cast(tf.reshape(stack, [stack.shape[0], -1]), "float32") / scale
        part = tf.matmul(flat, flat, transpose_b=True)
        total = part if total is None else total + part
    total = replica_sum(total) if reduce else total
    return tf.cast(total, "float64") if solves_in_double() else total


def solves_in_double() -> bool:
    """Whether the devices have double precision; a TPU has not."""
    strategy = type(tf.distribute.get_strategy()).__name__
    return "TPU" not in strategy and not _tpu_to_come.get()


@contextlib.contextmanager
def for_tpu() -> Iterator[None]:
    """What is traced inside is for a TPU, though none is there."""
    token = _tpu_to_come.set(True)
    try:
        yield
    finally:
        _tpu_to_come.reset(token)


def combine(weights: Tensor, stack: Tensor) -> Tensor:
    """Returns the weighted sum over the first axis."""
    count, shape = stack.shape[0], tf.shape(stack)[1:]
    flat = tf.reshape(stack, [count, -1])
    weights = tf.cast(weights, flat.dtype)
    return tf.reshape(tf.linalg.matvec(flat, weights, transpose_a=True), shape)


def gradient(
    tape: tf.GradientTape, target: Any, sources: Sequence[Any], back: Any = None
) -> list[Tensor]:
    """Returns dense gradients; zeros for what the target does not depend on."""
    found = tape.gradient(
        target,
        [s.value if isinstance(s, keras.Variable) else s for s in sources],
        output_gradients=back,
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.convert_to_tensor(g) for g in found]


def branch(condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """Runs one of two functions, chosen now if it is known now."""
    if isinstance(condition, bool):
        return yes() if condition else no()
    return tf.cond(condition, yes, no)


def _replicas() -> int:
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1
