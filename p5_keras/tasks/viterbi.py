"""The most probable sequence of tags that obeys the IOB scheme."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

_NEVER = -1e4  # no log-probability is as low


def are_iob(names: Sequence[str]) -> bool:
    """Returns whether tags are "O", "B-type" and "I-type", some of each."""
    rest = [name for name in names if name != "O"]
    return len(rest) < len(names) and {name[:2] for name in rest} == {"B-", "I-"}


def rules(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the scheme says: 0 where a tag may stand, `_NEVER` where not.

    "I-x" stands after "B-x" and "I-x" only.

    Args:
        names: The tags.

    Returns:
        `(tags,)` for the first place, and `(tags, tags)`, from a tag to the next.
    """
    inside = np.array([name.startswith("I-") for name in names])
    types = np.array([name[2:] for name in names])
    wrong = inside[None, :] & (types[:, None] != types[None, :])
    return (
        np.where(inside, _NEVER, 0).astype("float32"),
        np.where(wrong, _NEVER, 0).astype("float32"),
    )


def best_path(scores: Tensor, first: np.ndarray, after: np.ndarray) -> Tensor:
    """Returns the sequence with the largest sum of scores.

    Args:
        scores: `(batch, length, tags)`, log-probabilities.
        first: `(tags,)`, what is added at the first place.
        after: `(tags, tags)`, what is added from one tag to the next.

    Returns:
        `(batch, length)` int32.

    Reference:
        Viterbi, Error Bounds for Convolutional Codes, IEEE Transactions on Information
        Theory 1967.
    """
    length = scores.shape[1]
    best, back = scores[:, 0] + first, []
    for step in range(1, length):
        sums = best[:, :, None] + after  # (batch, from, to)
        back.append(ops.cast(ops.argmax(sums, axis=1), "int32"))
        best = ops.max(sums, axis=1) + scores[:, step]
    path = [ops.cast(ops.argmax(best, axis=-1), "int32")]
    for came in back[::-1]:
        own = ops.take_along_axis(came, path[-1][:, None], axis=1)
        path.append(own[:, 0])
    return ops.stack(path[::-1], axis=1)
