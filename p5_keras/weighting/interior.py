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
    size: Tensor = 1.0,
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
        size: What each element of z is at first.

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

    def far(z: Tensor, dz: Tensor, s: Tensor, ds: Tensor, of: float = 1.0) -> Tensor:
        """How much of a step, 1 at most, leaves z and s a part 1 - `of` at least."""
        least = tf.reduce_min(tf.minimum(dz / z, ds / s), -1, keepdims=True)
        return 1 / tf.maximum(-least / of, 1)

    def iterate(step: Tensor, z: Tensor, s: Tensor, nu: Tensor) -> tuple[Tensor, ...]:
        factor = tf.linalg.cholesky(matrix + tf.linalg.diag(s / z + ridge(dtype)))
        target = slope + nu * a - tf.einsum("ij,...j->...i", matrix, z)
        mu = gap(z, s)

        def solve(*sides: Tensor) -> list[Tensor]:
            found = tf.linalg.cholesky_solve(factor, tf.stack(sides, -1))
            return tf.unstack(found, axis=-1)

        def direction(
            dz: Tensor, lift: Tensor, extra: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            dnu = tf.zeros_like(nu)
            if close is not None:
                dnu = close(mask * (z + dz), lift)
                dz += lift * dnu
            return dz, mask * ((extra - s * dz) / z - s), dnu

        if close is None:
            begin, lift = *solve(mask * target), a
        else:
            begin, lift = solve(mask * target, tf.broadcast_to(a, tf.shape(z)))
        dz, ds, _ = direction(begin, lift, tf.zeros_like(z))
        part = far(z, dz, s, ds)
        after = gap(z + part * dz, s + part * ds)
        extra = (after / tf.maximum(mu, tiny)) ** 3 * mu - dz * ds
        (change,) = solve(mask * extra / z)
        dz, ds, dnu = direction(begin + change, lift, extra)
        part = far(z, dz, s, ds, 0.99)
        z = tf.maximum(z + part * dz, tiny)
        s = tf.maximum(s + part * ds, tiny)
        return step + 1, z, s, nu + part * dnu

    ones = tf.ones_like(slope)
    start = (0, size * ones, ones, tf.zeros_like(slope[..., :1]))
    _, z, _, _ = tf.while_loop(lambda step, *_: step < steps, iterate, start)
    return z * mask
