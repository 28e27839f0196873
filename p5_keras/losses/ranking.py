"""Losses of scores that put examples of a group in order."""

import keras
from keras import ops

from p5_keras.losses.base import MeanLoss, Tensor, align, present_labels


class GroupLoss(MeanLoss):
    """Base of losses over examples of one group that are in one batch.

    Labels are those of `p5.tasks.Ranking`, `(batch, 3)`; outputs are scores `(batch,
    1)`. A missing example is in no group.
    """

    def terms(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes this replica's numerator and denominator; see `MeanLoss`."""
        score = ops.cast(y_pred, "float32")[:, 0]
        y_true, known = present_labels(ops.convert_to_tensor(y_true), sample_weight)
        known = ops.min(known, axis=-1)
        weights = known
        if sample_weight is not None:
            weights *= align(ops.cast(sample_weight, "float32"), known)
        same = ops.all(y_true[:, None, 1:] == y_true[None, :, 1:], axis=-1)
        same = ops.logical_and(same, known[:, None] * known[None] > 0)
        score = ops.where(known > 0, score, ops.zeros_like(score))
        losses, own = self.of_groups(y_true[:, 0], score, same)
        return ops.sum(losses * own * weights), ops.sum(own * weights)

    def of_groups(
        self, relevance: Tensor, score: Tensor, same: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Computes each example's part of the loss, and its weight in the mean.

        Args:
            relevance: `(batch,)`.
            score: `(batch,)`.
            same: `(batch, batch)`, whether two examples are there and in one group.

        Returns:
            Two tensors `(batch,)`.
        """
        raise NotImplementedError


@keras.saving.register_keras_serializable("p5_keras")
class PairLoss(GroupLoss):
    """The mean over pairs of one group of the log-loss of their order.

    Of two examples with other relevances the loss is log(1 + exp(-d)), where the
    score of the more relevant is higher by d. A pair weighs what its more relevant
    example does.

    Reference:
        Burges et al., Learning to Rank using Gradient Descent, ICML 2005 (RankNet).
    """

    def __init__(self, name: str = "pair_loss") -> None:
        super().__init__(name=name)

    def of_groups(
        self, relevance: Tensor, score: Tensor, same: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the mean over an example's pairs with less relevant ones."""
        above = ops.logical_and(same, relevance[:, None] > relevance[None])
        above = ops.cast(above, "float32")
        each = ops.softplus(score[None] - score[:, None])
        count = ops.sum(above, axis=1)
        return ops.sum(each * above, axis=1) / ops.maximum(count, 1.0), count


@keras.saving.register_keras_serializable("p5_keras")
class ListLoss(GroupLoss):
    """The mean over groups of the cross-entropy of what comes first.

    By scores an example comes first with the probability softmax(score) over its
    group; the target is the softmax of the relevances. Groups of one take no part.

    Reference:
        Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML
        2007 (ListNet, its top-one probabilities).
    """

    def __init__(self, name: str = "list_loss") -> None:
        super().__init__(name=name)

    def of_groups(
        self, relevance: Tensor, score: Tensor, same: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns minus log-probabilities, and the target's probabilities."""
        # An example that is missing is by itself, and takes no part.
        own = ops.logical_or(same, ops.eye(ops.shape(same)[0], dtype="bool"))

        def log_p(x: Tensor) -> Tensor:
            return x - ops.logsumexp(ops.where(own, x[None], -1e9), axis=1)

        several = ops.cast(ops.sum(ops.cast(same, "int32"), axis=1) > 1, "float32")
        return -log_p(score) * several, ops.exp(log_p(relevance)) * several
