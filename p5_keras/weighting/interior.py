"""Convex programs over the tasks, by an interior-point method of fixed length."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from p5_keras.weighting.unit_gram import ridge

Tensor = Any

#: Iterations; each gains a digit or more.
STEPS = 18


def quadratic(
    matrix: Tensor, slope: Tensor, alive: Tensor, total: Tensor | None = None
) -> Tensor:
    """Minimises ½ zᵀQz − bᵀz over z ≥ 0, and over aᵀz = 1 if a is given.

    Several programs with one Q are solved at once.

    Args:
        matrix: `(tasks, tasks)` Q, positive semi-definite, with a diagonal about 1;
            rows of tasks that are not alive are those of the identity.
        slope: `(..., tasks)` b of each program.
        alive: `(tasks,)` which variables there are; the others are 0.
        total: `(tasks,)` a, positive, or `None`.

    Returns:
        `(..., tasks)` z of each program.
    """

    def curve(z: Tensor) -> tuple[Tensor, Tensor]:
        return tf.einsum("ij,...j->...i", matrix, z) - slope, matrix

    return minimum(curve, slope, alive, total)


def minimum(
    curve: Callable[[Tensor], tuple[Tensor, Tensor]],
    like: Tensor,
    alive: Tensor,
    total: Tensor | None = None,
) -> Tensor:
    """Minimises a convex function f over z ≥ 0, and over aᵀz = 1 if a is given.

    Mehrotra's predictor and corrector on the conditions ∇f(z) − νa = s, z ∘ s = 0,
    z, s ≥ 0.

    Args:
        curve: From z, `(..., tasks)`, to the gradient, and the second derivatives
            `(..., tasks, tasks)` or a matrix that broadcasts to that.
        like: A tensor of the shape and type of z.
        alive: `(tasks,)` which variables there are; the others are 0.
        total: `(tasks,)` a, positive, or `None`.

    Returns:
        `(..., tasks)` z of each program.

    Reference:
        Mehrotra, "On the implementation of a primal-dual interior point method",
        SIAM Journal on Optimization 1992.
    """
    dtype, tiny = like.dtype, ridge(like.dtype) ** 2
    mask = tf.cast(alive, dtype)
    count = tf.maximum(tf.reduce_sum(mask), 1)
    a = mask if total is None else total * mask

    def gap(z: Tensor, s: Tensor) -> Tensor:
        return tf.reduce_sum(z * s * mask, -1, keepdims=True) / count

    def room(values: Tensor, change: Tensor) -> Tensor:
        """How far values may go along a change before one is 0."""
        ratio = tf.where(change < 0, -values / tf.minimum(change, -tiny), 1e30)
        return tf.reduce_min(ratio, -1, keepdims=True)

    def iterate(step: Tensor, z: Tensor, s: Tensor, nu: Tensor) -> tuple[Tensor, ...]:
        slope, bend = curve(z)
        factor = tf.linalg.cholesky(bend + tf.linalg.diag(s / z + ridge(dtype)))
        mu = gap(z, s)

        def solve(values: Tensor) -> Tensor:
            return tf.linalg.cholesky_solve(factor, values[..., None])[..., 0]

        def direction(extra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            dz = solve(mask * (nu * a - slope + extra / z))
            dnu = tf.zeros_like(nu)
            if total is not None:
                short = 1 - tf.reduce_sum(a * (z + dz), -1, keepdims=True)
                dnu = short / tf.reduce_sum(a * lift, -1, keepdims=True)
                dz += lift * dnu
            return dz, mask * ((extra - s * dz) / z - s), dnu

        lift = solve(tf.broadcast_to(a, tf.shape(z))) if total is not None else a
        dz, ds, _ = direction(tf.zeros_like(z))
        far = tf.minimum(tf.minimum(room(z, dz), room(s, ds)), 1)
        after = gap(z + far * dz, s + far * ds)
        centre = (after / tf.maximum(mu, tiny)) ** 3 * mu
        dz, ds, dnu = direction(centre - dz * ds)
        far = tf.minimum(0.99 * tf.minimum(room(z, dz), room(s, ds)), 1)
        z = tf.maximum(z + far * dz, tiny)
        s = tf.maximum(s + far * ds, tiny)
        return step + 1, z, s, nu + far * dnu

    z = tf.ones_like(like)
    if total is not None:
        z /= tf.maximum(tf.reduce_sum(a), tiny)
    z = tf.where(alive, z, 1)
    start = (0, z, tf.ones_like(z), tf.zeros_like(z[..., :1]))
    _, z, _, _ = tf.while_loop(lambda step, *_: step < STEPS, iterate, start)
    return z * mask
