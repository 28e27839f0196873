"""Gradients changed pair by pair, as rows of coefficients."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from p5_keras.weighting.unit_gram import UnitGram

Tensor = Any
#: From the cosine with the other gradient, the length, and the indices of both tasks'
#: pairs, to how much of the other to add, and a new memory.
Change = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def random_orders(seed: Tensor, tasks: int) -> Tensor:
    """Returns, for each task, a random order of all tasks, `(tasks, tasks)`."""
    return tf.argsort(tf.random.stateless_uniform((tasks, tasks), seed), axis=-1)


def visit(
    unit: UnitGram, orders: Tensor, change: Change, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Lets each gradient meet all others in its order.

    Row i of the coefficients A stands for g̃_i = ‖g_i‖ Σ_j A_ij u_j, with unit gradients
    u; it starts as u_i. The others are met as they were at the start.

    Args:
        unit: Cosines and norms.
        orders: `(tasks, tasks)` whom each task meets, one after the other.
        change: `(products, squares, others, memory) -> (amounts, memory)` with, by
            task, g̃_iᵀu_j and ‖g̃_i‖², both for ‖g_i‖ = 1, and a one-hot row of j.
            A task that meets nobody has a product and a row of 0: its amount is 0.
        memory: What `change` hands on, of constant shape.

    Returns:
        `(tasks,)` weights of unit gradients in Σ_i g̃_i, and the memory.
    """
    cosines = unit.cosines
    tasks = cosines.shape[0]
    own = tf.eye(tasks, dtype=cosines.dtype)
    live = tf.cast(unit.alive, cosines.dtype)

    # By meeting, task and task: one-hot rows of the other, and its products. Nobody
    # meets itself, or a task without a gradient.
    turns = tf.transpose(orders)
    others = tf.one_hot(turns, tasks, dtype=cosines.dtype)
    others *= (1 - own) * live * live[:, None]
    pulls = tf.gather(cosines, turns)

    def meet(
        step: Tensor, rows: Tensor, products: Tensor, squares: Tensor, memory: Tensor
    ) -> tuple[Tensor, ...]:
        other = tf.gather(others, step)
        product = tf.reduce_sum(products * other, -1)
        amount, memory = change(product, squares, other, memory)
        added = tf.expand_dims(amount, -1)
        rows += added * other
        products += added * tf.gather(pulls, step)
        squares += amount * (2 * product + amount)
        return step + 1, rows, products, squares, memory

    start = (0, own, cosines, tf.ones_like(live), memory)
    done = tf.while_loop(lambda step, *_: step < tasks, meet, start)
    lengths = tf.where(unit.alive, unit.norms, 0)
    return tf.linalg.matvec(done[1], lengths, transpose_a=True), done[4]
