"""How far raw outputs are from those of another model: what distillation minimises."""

from typing import Any

from keras import ops

Tensor = Any


def softened(new: Tensor, old: Tensor, temperature: float = 2.0) -> Tensor:
    """Says how far softened class probabilities are from earlier ones.

    Args:
        new: Logits `(batch, ..., classes)`.
        old: Earlier ones.
        temperature: What the logits are divided by. The result is multiplied by its
            square, so that gradients are of the size that they have at 1.

    Returns:
        `(batch,)`, the Kullback-Leibler divergence, its mean over positions.

    Reference:
        Hinton et al., Distilling the Knowledge in a Neural Network, 2015.
    """
    log_new, log_old = (ops.log_softmax(x / temperature, axis=-1) for x in (new, old))
    found = ops.sum(ops.exp(log_old) * (log_old - log_new), axis=-1)
    return temperature**2 * ops.mean(ops.reshape(found, (ops.shape(new)[0], -1)), -1)


def bernoulli(new: Tensor, old: Tensor) -> Tensor:
    """Returns the Kullback-Leibler divergence from earlier yes/no probabilities.

    Args:
        new: Logits.
        old: Earlier ones, of the same shape, which the result has too.
    """
    p = ops.sigmoid(old)
    yes = ops.log_sigmoid(old) - ops.log_sigmoid(new)
    no = ops.log_sigmoid(-old) - ops.log_sigmoid(-new)
    return p * yes + (1 - p) * no


def detections(new: Tensor, old: Tensor) -> Tensor:
    """Says how far detections are from earlier ones.

    The divergence of the classes is summed over anchors; boxes count by the old score
    of their anchor. Both are divided by the sum of these scores, and 1.

    Args:
        new: Deltas and logits `(batch, anchors, 4 + classes)`.
        old: Earlier ones.

    Returns:
        `(batch,)`.
    """
    score = ops.sigmoid(ops.max(old[..., 4:], axis=-1))
    classes = ops.sum(bernoulli(new[..., 4:], old[..., 4:]), axis=(1, 2))
    boxes = ops.mean(ops.square(new - old)[..., :4], axis=-1)
    total = classes + ops.sum(score * boxes, axis=-1)
    return total / (ops.sum(score, axis=-1) + 1.0)
