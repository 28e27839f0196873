"""The geometric mean of the losses."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from p5_keras.weighting.base import Clock, State, Tensor, Weighting
from p5_keras.weighting.masked import EPSILON, mean


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class GLS(Weighting):
    """Geometric loss strategy: the gradient of (∏ L)^(1/T).

    The weights are (∏ L)^(1/T) / (T L), with the T tasks that are present. They do
    not sum to T. A task whose loss nears 0 takes the lead.

    Reference:
        Chennupati et al., "MultiNet++: multi-stream feature aggregation and geometric
        loss strategy for multi-task learning", CVPR workshops 2019.
    """

    ignores_scale: ClassVar[bool] = True

    def step(
        self,
        losses: Tensor,
        gram: Tensor | None,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns the derivative of the geometric mean in each loss."""
        losses = tf.maximum(losses, EPSILON)
        level = tf.exp(mean(tf.math.log(losses), present))
        count = tf.reduce_sum(tf.cast(present, losses.dtype))
        return tf.where(present, level / (tf.maximum(count, 1) * losses), 0), state
