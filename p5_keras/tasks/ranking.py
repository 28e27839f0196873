"""Ranking: examples of one group in their order."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from p5_keras import losses
from p5_keras.metrics.ranking import GroupOrder, pairs_in_order
from p5_keras.naming import check_keys
from p5_keras.task import Tensor
from p5_keras.tasks.vector_head import VectorTask

_LOSSES = {"pair": losses.PairLoss, "list": losses.ListLoss}
#: A group's number is kept as two of this size, which float32 holds exactly.
_PART = 2**22


@keras.saving.register_keras_serializable("p5_keras")
class Ranking(VectorTask):
    """A score by which the examples of a group, a query or a user, are put in order.

    Only examples that meet, in one batch of one replica, are compared in training.
    Where groups are small beside the data, hardly any do in a random order, and most
    batches teach nothing: give the source its `groups`, and `together`. A group that is
    parted between batches or replicas loses its pairs across, so two replicas train
    as one device does only where none is. Metrics compare all of a group.

    Label: a relevance, 0 or more, or missing (NaN or negative), and the field of the
    group, an integer or a string; `(batch, 3)`, the group's number in two parts. Raw
    output: `(batch, 1)`. Decoded: `score` `(batch,)`, to be compared within a group
    and with nothing else.

    Metrics, of groups with two different relevances, the mean over groups: "ndcg" of
    the first `k`, whose gain is the relevance itself, and "auc", the share of pairs of
    different relevance that are in their order, where a tie is half.

    Args:
        name: Name of the task.
        group: Field of a dataset example that says which group it is of.
        order: The loss: "pair", the log-loss of each pair's order (RankNet), or
            "list", the cross-entropy of what comes first in a group (ListNet).
        k: How many of a group's first examples "ndcg" looks at.
        **kwargs: Arguments of `VectorTask` and `Task`.

    Reference:
        Burges et al., Learning to Rank using Gradient Descent, ICML 2005; Cao et al.,
        Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007.
    """

    kind = "ranking"
    better = {"ndcg": "higher", "auc": "higher"}
    primary = "ndcg"
    score_name = "share of its pairs in the batch that are in order"
    smallest_difference = {"ndcg": 0.02, "auc": 0.04}

    @property
    def units(self) -> int:
        """One score."""
        return 1

    def __init__(
        self, name: str, *, group: str, order: str = "pair", k: int = 10, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        if order not in _LOSSES or k < 1:
            raise ValueError(
                f"`order` must be one of {list(_LOSSES)}, and `k` 1 or more. "
                f"Received: order={order!r}, k={k} for task {name!r}"
            )
        self.group, self.order, self.k = group, order, k

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, 3)` float32, NaN where the relevance is missing.

        Args:
            label: A dict of "label", the relevance, and "group", integers or strings;
                or `(batch, 3)`.
        """
        if isinstance(label, dict):
            label = self._rows(label)
        label = tf.cast(self.numbers(label), tf.float32)
        if label.shape.rank != 2 or label.shape[1] != 3:
            raise ValueError(
                f"The labels of task {self.name!r} must be a dict of 'label' and "
                "'group', or (batch, 3), the relevance and the group's number divided "
                f"by {_PART} and its rest. Received: {tuple(label.shape)}"
            )
        relevance = tf.where(label[:, :1] < 0, np.float32(np.nan), label[:, :1])
        known = ~tf.math.is_nan(relevance[:, 0])
        return tf.concat([relevance, label[:, 1:]], 1), tf.cast(known, tf.float32)

    def _rows(self, label: dict[str, Any]) -> Tensor:
        check_keys(f"labels of {self.name}", label, ("label", "group"))
        group = self.shaped(tf.convert_to_tensor(label["group"]))
        if group.dtype == tf.string:
            group = tf.strings.to_hash_bucket_fast(group, _PART**2)
        elif not group.dtype.is_integer:
            raise ValueError(
                "A group must be an integer or a string. "
                f"Received: {group.dtype.name} in the field {self.group!r}"
            )
        group = tf.cast(group, tf.int64)
        parts = [self.shaped(self.numbers(label["label"])), group // _PART]
        parts = [*parts, group % _PART]
        return tf.stack([tf.cast(x, tf.float32) for x in parts], axis=1)

    def target(self, example: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Reads relevance and group; see `normalize`."""
        fields = {"label": self.label, "group": self.group}
        found = {name: self.field(example, path) for name, path in fields.items()}
        label, weight = self.normalize(found)
        return label, weight * self.example_weight(example, weight)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where relevances are infinite, or groups larger than is exact."""
        label = tf.convert_to_tensor(label)
        wrong = tf.math.is_inf(label[:, 0]) | ~(tf.abs(label[:, 1]) < _PART)
        return wrong | ~(tf.abs(label[:, 2]) < _PART)

    @property
    def allowed(self) -> str:
        """What labels must be."""
        return (
            f"finite relevances of groups below {_PART**2}, as rows of the relevance "
            f"and the group in parts of {_PART}"
        )

    def default_loss(self) -> losses.MeanLoss:
        """Returns the loss that `order` names."""
        return _LOSSES[self.order]()

    def default_metrics(self) -> list[keras.Metric]:
        """Returns none: groups do not end with a batch."""
        return []

    def evaluator(self) -> Any:
        """Returns NDCG and AUC over the groups of the whole set."""
        return GroupOrder(self.k)

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `score` `(batch,)`."""
        return {"score": output[:, 0]}

    def truth(self, label: Tensor) -> dict[str, Tensor]:
        """Returns the relevance as the score."""
        return {"score": ops.cast(label, "float32")[:, 0]}

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns 0: all examples tie."""
        return np.zeros(1, "float32")

    def example_scores(
        self, label: np.ndarray, fields: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Returns the share of an example's pairs in order, 1 where it has none."""
        right, count = pairs_in_order(label, fields["score"])
        return np.where(count > 0, right / np.maximum(count, 1), 1.0)

    def draw(self, axes: Any, fields: dict[str, np.ndarray]) -> str:
        """Returns the score."""
        return f"{float(fields['score']):.3g}"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"group": self.group, "order": self.order, "k": self.k}
        return {**super().get_config(), **own}
