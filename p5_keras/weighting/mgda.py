"""The shortest convex combination of the gradients."""

from dataclasses import dataclass

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.interior import quadratic
from p5_keras.weighting.masked import EPSILON
from p5_keras.weighting.unit_gram import ZERO, unit_gram

NORMALIZERS = ("none", "l2", "loss", "loss+")


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class MGDA(GramWeighting):
    """Multiple-gradient descent: α in the simplex with the least ‖Σ α_t g_t / c_t‖.

    The update is Σ α_t g_t / c_t, which increases no loss to first order, and is 0
    where no direction decreases all. Tasks with short gradients get large weights. With
    `gradients="features"` this is MGDA-UB.

    Attributes:
        normalize: What c is. "none": 1. "l2": the gradient's length. "loss": the
            loss. "loss+": their product.

    Reference:
        Désidéri, "Multiple-gradient descent algorithm (MGDA) for multiobjective
        optimization", 2012; Sener and Koltun, "Multi-task learning as multi-objective
        optimization", NeurIPS 2018.
    """

    normalize: str = "none"

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if self.normalize not in NORMALIZERS:
            raise ValueError(
                f"`normalize` must be one of {NORMALIZERS}. "
                f"Received: normalize={self.normalize!r}"
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
        """Solves the problem over the simplex."""
        unit = unit_gram(gram, present)
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
        top = tf.reduce_max(tf.where(unit.alive, norms, 0))
        # A gradient of 0 is the shortest: it gets all weight, and the update is 0.
        norms = tf.where(unit.alive, norms, ZERO * tf.maximum(top, ZERO))
        units = tf.maximum(tf.cast(losses, gram.dtype), EPSILON)
        divisor = {
            "none": tf.ones_like(norms),
            "l2": norms,
            "loss": units,
            "loss+": units * norms,
        }[self.normalize]
        lengths = tf.where(present, norms / divisor, 1)
        least = tf.reduce_min(tf.where(present, lengths, lengths.dtype.max))
        # In units of unit gradients α is y · least / length.
        total = least / lengths

        def close(y: Tensor, change: Tensor) -> Tensor:
            return (1 - tf.reduce_sum(total * y)) / tf.reduce_sum(total * change)

        y = quadratic(unit.cosines, tf.zeros_like(norms), present, total, close)
        weights = tf.where(present, y * total / divisor, 0)
        return tf.math.divide_no_nan(weights, tf.reduce_sum(weights)), state
