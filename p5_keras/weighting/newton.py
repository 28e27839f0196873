"""Newton's method for the weights that balance the tasks' gains."""

from typing import Any

import tensorflow as tf

Tensor = Any

#: Iterations, and parts of a whole Newton step that each of them tries.
STEPS = 16
PARTS = (1.0, 0.6, 0.3, 0.1, 0.02)


def balanced(matrix: Tensor, scale: Tensor, power: float, alive: Tensor) -> Tensor:
    """Solves Q β = q ∘ β^(−power) for β > 0.

    That is where the convex function ½ βᵀQβ − Σ_t q_t φ(β_t), φ'(β) = β^(−power), is
    least. Each iteration takes the best of several parts of a Newton step, then the
    best multiple of β, which is known in closed form.

    Args:
        matrix: `(tasks, tasks)` Q, positive definite, with q for its diagonal.
        scale: `(tasks,)` q, positive.
        power: How strongly a small gain counts; 1 is proportional fairness.
        alive: `(tasks,)` which tasks there are; the others have a row of the identity
            and get 1.
    """
    mask = tf.cast(alive, matrix.dtype)
    parts = tf.constant(PARTS, matrix.dtype)[:, None]

    def value(beta: Tensor) -> Tensor:
        gain = tf.math.log(beta) if power == 1 else beta ** (1 - power) / (1 - power)
        square = tf.reduce_sum(beta * tf.matmul(beta, matrix), -1)
        return square / 2 - tf.reduce_sum(scale * gain, -1)

    def multiple(beta: Tensor) -> Tensor:
        square = tf.tensordot(mask * beta, tf.linalg.matvec(matrix, beta), 1)
        wanted = tf.reduce_sum(mask * scale * beta ** (1 - power))
        factor = tf.math.divide_no_nan(wanted, square) ** (1 / (1 + power))
        return tf.where(alive, beta * factor, 1)

    def iterate(step: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        slope = tf.linalg.matvec(matrix, beta) - scale * beta**-power
        curve = tf.linalg.diag(power * scale * beta ** (-power - 1))
        factor = tf.linalg.cholesky(matrix + curve)
        change = -tf.linalg.cholesky_solve(factor, slope[:, None])[:, 0]
        room = 0.99 / tf.maximum(tf.reduce_max(-change / beta), 0.99)
        tried = beta + parts * room * change
        return step + 1, multiple(tried[tf.argmin(value(tried))])

    start = (0, multiple(tf.ones_like(scale)))
    return tf.while_loop(lambda step, _: step < STEPS, iterate, start)[1]
