"""Quadratic programs over the tasks, by an interior-point method of fixed length."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from p5_keras.weighting.unit_gram import ridge

Tensor = Any

#: Iterations; each gains a digit or more.
STEPS = 12


def quadratic(
    matrix: Tensor,
    slope: Tensor,
    alive: Tensor,
    side: Tensor | None = None,
    close: Callable[[Tensor, Tensor], Tensor] | None = None,
    steps: int = STEPS,
) -> Tensor:
    """Minimises ½ zᵀQz − bᵀz over z ≥ 0, under a further condition if one is given.

    Mehrotra's predictor and corrector on Qz − b − νa = s, z ∘ s = 0, z, s ≥ 0. Without
    a condition ν is 0. With one it is what fulfils the condition, in each step on the
    line on which z moves with ν. Several programs with one Q are solved at once.

    Args:
        matrix: `(tasks, tasks)` Q, positive semi-definite, with a diagonal about 1;
            rows of tasks that are not alive are those of the identity.
        slope: `(..., tasks)` b of each program.
        alive: `(tasks,)` which variables there are; the others are 0.
        side: `(tasks,)` a.
        close: From z and dz / dν to the change of ν that fulfils the condition.
        steps: Iterations.

    Returns:
        `(..., tasks)` z of each program.

    Reference:
        Mehrotra, "On the implementation of a primal-dual interior point method",
        SIAM Journal on Optimization 1992.
    """
    dtype, tiny = matrix.dtype, ridge(matrix.dtype) ** 2
    mask = tf.cast(alive, dtype)
    count = tf.maximum(tf.reduce_sum(mask), 1)
    a = tf.zeros_like(mask) if side is None else side * mask

    def gap(z: Tensor, s: Tensor) -> Tensor:
        return tf.reduce_sum(z * s * mask, -1, keepdims=True) / count

    def room(values: Tensor, change: Tensor) -> Tensor:
        """How far values may go along a change before one is 0."""
        ratio = tf.where(change < 0, -values / tf.minimum(change, -tiny), 1e30)
        return tf.reduce_min(ratio, -1, keepdims=True)

    def iterate(step: Tensor, z: Tensor, s: Tensor, nu: Tensor) -> tuple[Tensor, ...]:
        factor = tf.linalg.cholesky(matrix + tf.linalg.diag(s / z + ridge(dtype)))
        target = slope + nu * a - tf.einsum("ij,...j->...i", matrix, z)
        mu = gap(z, s)

        def solve(values: Tensor) -> Tensor:
            return tf.linalg.cholesky_solve(factor, values[..., None])[..., 0]

        lift = a if close is None else solve(tf.broadcast_to(a, tf.shape(z)))

        def direction(extra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            dz, dnu = solve(mask * (target + extra / z)), tf.zeros_like(nu)
            if close is not None:
                dnu = close(mask * (z + dz), lift)
                dz += lift * dnu
            return dz, mask * ((extra - s * dz) / z - s), dnu

        dz, ds, _ = direction(tf.zeros_like(z))
        far = tf.minimum(tf.minimum(room(z, dz), room(s, ds)), 1)
        after = gap(z + far * dz, s + far * ds)
        centre = (after / tf.maximum(mu, tiny)) ** 3 * mu
        dz, ds, dnu = direction(centre - dz * ds)
        far = tf.minimum(0.99 * tf.minimum(room(z, dz), room(s, ds)), 1)
        z = tf.maximum(z + far * dz, tiny)
        s = tf.maximum(s + far * ds, tiny)
        return step + 1, z, s, nu + far * dnu

    ones = tf.ones_like(slope)
    start = (0, ones, ones, tf.zeros_like(slope[..., :1]))
    _, z, _, _ = tf.while_loop(lambda step, *_: step < steps, iterate, start)
    return z * mask
