"""The best worst gain near the mean gradient."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.interior import quadratic
from p5_keras.weighting.unit_gram import ridge, unit_gram

#: Iterations; the ball takes some more than a plain program.
STEPS = 18


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class CAGrad(GramWeighting):
    """Conflict-averse gradient: the d with the largest min_t g_tᵀd near the mean.

    d is g₀ + c ‖g₀‖ g_w / ‖g_w‖, with g₀ the mean gradient and w in the simplex with
    the least g_wᵀg₀ + c ‖g₀‖ ‖g_w‖. c = 0 is the mean; the larger c, the nearer MGDA.
    From c = 1 on d is 0 where no direction is a gain for all tasks.

    Attributes:
        c: Radius about g₀, in units of its length.
        divisor: What `rescale="none"` divides d by. 0: 1. 1: 1 + c². 2: 1 + c.

    Reference:
        Liu et al., "Conflict-averse gradient descent for multi-task learning",
        NeurIPS 2021.
    """

    c: float = 0.4
    divisor: int = 1

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if self.c < 0:
            raise ValueError(f"`c` must be 0 or more. Received: c={self.c}")
        if self.divisor not in (0, 1, 2):
            raise ValueError(
                "`divisor` must be one of (0, 1, 2). "
                f"Received: divisor={self.divisor!r}"
            )

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Solves the dual problem over the simplex."""
        unit = unit_gram(gram, present)
        matrix, tiny = unit.cosines, ridge(gram.dtype) ** 2
        count = tf.maximum(tf.reduce_sum(tf.cast(present, gram.dtype)), 1)
        norms = tf.where(unit.alive, unit.norms, 0)
        mean = norms / count
        pull = tf.linalg.matvec(matrix, mean)
        radius = tf.sqrt(tf.maximum(tf.tensordot(mean, pull, 1), 0))
        pull = tf.math.divide_no_nan(pull, radius)

        # In unit gradients, d = g₀ + u with u ≥ 0 is the shortest change that gives
        # every task a gain of ν; ν is as large as the ball about g₀ allows.
        def close(u: Tensor, change: Tensor) -> Tensor:
            along = tf.linalg.matvec(matrix, change)
            square = tf.maximum(tf.tensordot(change, along, 1), tiny)
            half = tf.tensordot(u, along, 1)
            over = tf.tensordot(u, tf.linalg.matvec(matrix, u), 1) - self.c**2
            root = tf.sqrt(tf.maximum(half**2 - square * over, 0))
            return (root - half)[None] / square

        top = tf.reduce_max(norms)
        least = tf.reduce_min(tf.where(unit.alive, norms, top))
        size = max(self.c, 0.01) * tf.math.rsqrt(count)  # as if orthogonal
        side = least / unit.norms
        u = quadratic(matrix, -pull, unit.alive, side, close, STEPS, size)
        square = tf.tensordot(u, tf.linalg.matvec(matrix, u), 1)
        more = u * tf.math.rsqrt(tf.maximum(square, tiny))
        units = mean + self.c * radius * more
        divisor = (1.0, 1 + self.c**2, 1 + self.c)[self.divisor]
        weights = unit.weights(units / divisor, present)
        if self.c >= 1:  # d = 0 is in the ball: nothing worse will do
            gains = tf.linalg.matvec(matrix, units)
            better = tf.reduce_all((gains > 0) | ~unit.alive)
            weights = tf.where(better, weights, tf.zeros_like(weights))
        return weights, state
