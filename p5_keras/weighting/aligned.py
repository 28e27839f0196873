"""Gradients made orthogonal and equally long."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.masked import mean
from p5_keras.weighting.unit_gram import finite_gram, rank_cut

SCALES = ("min", "median", "rmse")


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class AlignedMTL(GramWeighting):
    """Aligned-MTL: the sum of the orthogonal gradients that are nearest to J.

    With G = V Λ Vᵀ and B = √λ V Λ^(−½) Vᵀ the aligned gradients are B J, and weights
    are B 1 / T. Dependent directions, with eigenvalues within the rounding of float32,
    are left out.

    Attributes:
        scale: What λ is: "min", "median" or "rmse" (the mean) of the eigenvalues that
            are kept.

    Reference:
        Senushkin et al., "Independent component alignment for multi-task learning",
        CVPR 2023.
    """

    scale: str = "min"

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if self.scale not in SCALES:
            raise ValueError(
                f"`scale` must be one of {SCALES}. Received: scale={self.scale!r}"
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
        """Solves the problem."""
        values, vectors = tf.linalg.eigh(finite_gram(gram, present))
        count = tf.reduce_sum(tf.cast(present, values.dtype))
        kept = tf.logical_and(values > rank_cut(count, values), values > 0)
        found = tf.reduce_sum(tf.cast(kept, tf.int32))
        size = tf.shape(values)[0]
        # Eigenvalues come in rising order, so those that are kept are the last.
        index = {"min": size - found, "median": size - 1 - found // 2}
        if self.scale == "rmse":
            level = mean(values, kept)
        else:
            level = values[tf.minimum(index[self.scale], size - 1)]
        root = tf.where(kept, tf.math.rsqrt(tf.where(kept, values, 1)), 0)
        ones = tf.cast(present, values.dtype) / tf.maximum(count, 1)
        along = tf.linalg.matvec(vectors, ones, transpose_a=True)
        weights = tf.sqrt(tf.maximum(level, 0)) * tf.linalg.matvec(
            vectors, root * along
        )
        weights = tf.where(present, weights, 0)
        # No gradient at all: the update is 0 whatever the weights are.
        return tf.where(found > 0, weights, ones), state
