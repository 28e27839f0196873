"""How far scores put the examples of each group in order."""

import numpy as np


class GroupOrder:
    """NDCG and pairwise AUC, the mean over the groups of a whole set.

    A group counts if two of its relevances differ; in others no order is wrong.

    Args:
        k: How many of a group's first examples NDCG looks at.

    Reference:
        Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques, TOIS
        2002; as `sklearn.metrics.ndcg_score`, which takes the mean over ties.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self._rows: list[np.ndarray] = []

    def update(
        self, label: np.ndarray, weight: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Adds a batch: labels `(batch, 3)` and the field "score" `(batch,)`."""
        rows = np.column_stack([label, fields["score"]]).astype("float64")
        self._rows.append(rows[(weight > 0) & ~np.isnan(label[:, 0])])

    def result(self) -> dict[str, float | None]:
        """Returns "ndcg" and "auc", `None` where no group counts."""
        from sklearn.metrics import ndcg_score  # takes a second to import

        rows = np.concatenate([*self._rows, np.zeros((0, 4))])
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1]))]
        ends = np.flatnonzero((np.diff(rows[:, 1:3], axis=0) != 0).any(axis=1)) + 1
        auc: list[float] = []
        by_size: dict[int, list[np.ndarray]] = {}
        for group in np.split(rows, ends):
            right, count = pairs_in_order(group[:, :3], group[:, 3])
            if count.sum():
                auc.append(right.sum() / count.sum())
                by_size.setdefault(len(group), []).append(group)
        if not auc:
            return {"ndcg": None, "auc": None}
        total = 0.0
        for same in by_size.values():  # one call a size, for a call takes its time
            each = np.stack(same)
            mean = ndcg_score(each[:, :, 0], each[:, :, 3], k=self.k)
            total += float(mean) * len(same)
        return {"ndcg": total / len(auc), "auc": float(np.mean(auc))}


def pairs_in_order(
    label: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pairs that each example is in.

    Args:
        label: `(n, 3)`, relevance and group.
        score: `(n,)`.

    Returns:
        Of its pairs with another relevance in its group how many are in their order, a
        tie being half, and how many there are, both `(n,)`.
    """
    same = (label[:, None, 1:] == label[None, :, 1:]).all(axis=-1)
    order = np.sign(label[:, None, 0] - label[None, :, 0])
    pairs = same & (np.abs(order) == 1)
    found = np.sign(score[:, None] - score[None])
    right = np.where(found == order, 1.0, np.where(found == 0, 0.5, 0.0))
    return (right * pairs).sum(axis=1), pairs.sum(axis=1)
