"""A Gram matrix as cosines and norms, safe to factorise."""

from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any

#: A gradient shorter than this part of the longest is taken for 0.
ZERO = 1e-10


class UnitGram(NamedTuple):
    """Cosines and norms of the tasks' gradients.

    A task is alive when it is present and its gradient is finite and not 0. The rows
    of the others are those of the identity, so they touch nothing.

    Attributes:
        cosines: `(tasks, tasks)`, positive semi-definite, with a diagonal of 1.
        norms: `(tasks,)` lengths of the gradients; 1 for tasks that are not alive.
        alive: `(tasks,)` booleans.
    """

    cosines: Tensor
    norms: Tensor
    alive: Tensor

    def weights(self, units: Tensor, present: Tensor) -> Tensor:
        """Makes weights of gradients out of weights of unit gradients.

        Units that are all 0 are taken for all 1, as they arise where unit gradients
        add up to 0. When no gradient is alive, all present tasks get 1: the update is
        0 anyway, and what else hangs on the weights goes on.
        """
        some = tf.reduce_any(tf.logical_and(self.alive, tf.not_equal(units, 0)))
        units = tf.where(some, units, 1)
        found = tf.where(self.alive, units / self.norms, 0)
        any_alive = tf.reduce_any(self.alive)
        return tf.where(any_alive, found, tf.cast(present, found.dtype))


def finite_gram(gram: Tensor, present: Tensor) -> Tensor:
    """Returns the matrix with 0 for tasks that are absent or not finite."""
    kept = tf.logical_and(present, tf.math.is_finite(tf.linalg.diag_part(gram)))
    both = tf.logical_and(kept[:, None], kept[None, :])
    gram = tf.where(tf.logical_and(both, tf.math.is_finite(gram)), gram, 0)
    return (gram + tf.transpose(gram)) / 2


def unit_gram(gram: Tensor, present: Tensor, positive: bool = True) -> UnitGram:
    """Divides each gradient by its length.

    Args:
        gram: `(tasks, tasks)` products of gradients.
        present: `(tasks,)` whether the task is in the batch.
        positive: Whether to lift negative eigenvalues, which come of rounding where
            gradients are nearly dependent, to 0. A Cholesky factorisation, which
            stops training when it meets one, needs this.
    """
    gram = finite_gram(gram, present)
    norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
    alive = norms > ZERO * tf.reduce_max(norms)
    norms = tf.where(alive, norms, 1)
    cosines = gram / norms[:, None] / norms[None, :]
    both = tf.logical_and(alive[:, None], alive[None, :])
    cosines = tf.where(both, tf.clip_by_value(cosines, -1, 1), 0)
    cosines = tf.linalg.set_diag(cosines, tf.ones_like(norms))
    if positive:
        values, vectors = tf.linalg.eigh(cosines)
        lifted = vectors * tf.minimum(values, 0)
        cosines -= tf.matmul(lifted, vectors, transpose_b=True)
    return UnitGram(cosines, norms, alive)


def ridge(dtype: tf.DType) -> float:
    """Returns what to add to a diagonal of 1 before a factorisation."""
    return 1e-10 if dtype == tf.float64 else 1e-5


def unit_solution(unit: UnitGram) -> Tensor:
    """Solves C β = 1 in the sense of least squares.

    Args:
        unit: Cosines C; eigenvalues within the rounding of float32 count as 0.

    Returns:
        `(tasks,)` β, 0 for tasks that are not alive.
    """
    values, vectors = tf.linalg.eigh(unit.cosines)
    ones = tf.cast(unit.alive, values.dtype)
    small = rank_cut(tf.reduce_sum(ones), values)
    inverse = tf.where(values > small, 1 / tf.maximum(values, small), 0)
    along = tf.linalg.matvec(vectors, ones, transpose_a=True)
    return ones * tf.linalg.matvec(vectors, inverse * along)


def rank_cut(count: Tensor, values: Tensor) -> Tensor:
    """Returns the eigenvalue below which gradients count as dependent.

    Gradients are float32 whatever the type of G, so float32 sets the bound.
    """
    return tf.maximum(count, 1) * 1.2e-7 * tf.reduce_max(values)
