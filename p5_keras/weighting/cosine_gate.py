"""Auxiliary tasks that count only where they help the primary one."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from p5_keras.weighting.base import Clock, GramWeighting, State, Tensor
from p5_keras.weighting.unit_gram import finite_gram

FORMS = ("drop", "cosine")


@keras.saving.register_keras_serializable("p5_keras")
@dataclass(frozen=True, kw_only=True)
class CosineGate(GramWeighting):
    """Weight 1 for primary tasks; for the others, by their cosine with these.

    The cosine is that of a task's gradient with the sum of the primary tasks'
    gradients. Where that sum is 0, as in a batch without a primary label, there is
    nothing to conflict with and all weights are 1.

    Attributes:
        primary: Name of the primary task, or names.
        form: "drop": an auxiliary task has weight 0 where its cosine is negative, else
            1. "cosine": its weight is max(cosine, 0).

    Reference:
        Du et al., "Adapting auxiliary losses using gradient similarity", 2018.
    """

    primary: str | tuple[str, ...]
    form: str = "drop"
    rescale: str = "none"

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            ValueError: One is out of range.
        """
        super().__post_init__()
        if isinstance(self.primary, list):  # As JSON gives it back.
            object.__setattr__(self, "primary", tuple(self.primary))
        if self.form not in FORMS:
            raise ValueError(
                f"`form` must be one of {FORMS}. Received: form={self.form!r}"
            )

    def start(self, tasks: Sequence[str]) -> dict[str, np.ndarray]:
        """Returns which tasks are primary.

        Raises:
            ValueError: `primary` names a task that is not there.
        """
        names = [self.primary] if isinstance(self.primary, str) else self.primary
        if not names or set(names) - set(tasks):
            raise ValueError(
                f"`primary` must name tasks of {list(tasks)}. "
                f"Received: primary={self.primary!r}"
            )
        return {"primary": np.array([t in names for t in tasks])}

    def solve(
        self,
        gram: Tensor,
        losses: Tensor,
        present: Tensor,
        clock: Clock,
        seed: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Returns 1 or less for each task."""
        gram = finite_gram(gram, present)
        first = tf.cast(tf.logical_and(state["primary"], present), gram.dtype)
        products = tf.linalg.matvec(gram, first)
        square = tf.maximum(tf.tensordot(first, products, 1), 0)
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
        if self.form == "drop":
            gate = tf.cast(products >= 0, gram.dtype)
        else:
            cosine = tf.math.divide_no_nan(products, norms * tf.sqrt(square))
            gate = tf.clip_by_value(cosine, 0, 1)
        gated = tf.logical_not(tf.logical_or(state["primary"], square <= 0))
        return tf.where(present, tf.where(gated, gate, 1), 0), state
