"""The losses of a batch once more, after the step that it made."""

from typing import Any

import keras

from p5_keras.losses.base import replica_sum
from p5_keras.weighting.engine import Engine

Tensor = Any


def wanted(engine: Engine | None) -> bool:
    """Whether the weighting looks at the losses again after the update."""
    return engine is not None and getattr(engine.weighting, "same_batch", False)


def random_states(model: keras.Model) -> list[tuple[keras.Variable, Tensor]]:
    """Returns the state of every variable that the forward pass changes."""
    return [(v, v.value + 0) for v in model.non_trainable_variables]


def look(
    model: Any,
    engine: Any,
    x: Any,
    y: Any,
    sample_weight: Any,
    before: list[tuple[keras.Variable, Tensor]],
) -> None:
    """Lets the weighting see the losses of a batch with the new weights.

    Dropout draws what it drew before the update, for the difference is to be that of
    the update; and batch normalisation, which normalises by the batch as in training,
    does not count the batch twice.

    Args:
        model: A `MultiTaskModel`.
        engine: Its engine.
        x: Input.
        y: Labels by task.
        sample_weight: Weights by task, or `None`.
        before: `random_states` before the step.
    """
    after = random_states(model)
    for v, value in before:
        v.assign(value)
    shares, present = model.loss_shares(
        y, model(x, training=True), sample_weight, log=False
    )
    for v, value in after:
        v.assign(value)
    engine.look_again(replica_sum(shares), present)
