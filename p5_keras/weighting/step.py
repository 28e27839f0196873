"""One training step's gradients, where a weighting needs those of each task."""

from typing import Any

import keras
import tensorflow as tf
from absl import logging

from p5_keras import objective
from p5_keras.losses.base import replica_sum
from p5_keras.weighting import gradients
from p5_keras.weighting.base import GramWeighting, Weighting
from p5_keras.weighting.engine import Engine
from p5_keras.weighting.gradients import Cut, Problem

Tensor = Any


class Parts:
    """A model cut in two, at the features that all tasks' losses pass through.

    Args:
        model: A functional model of the package.
    """

    def __init__(self, model: Any) -> None:
        cut = model.bottleneck
        self.trunk = keras.Model(model.input, cut)
        # In a cascade the output of one task is what another reads.
        known = {id(x): i for i, x in enumerate(cut)}
        self.passed = {
            t: known[id(y)] for t, y in model.output.items() if id(y) in known
        }
        rest = {t: y for t, y in model.output.items() if t not in self.passed}
        # A gate or a column of one task may read the input itself.
        self.heads = keras.Model([*cut, *model.inputs], rest)

    def __call__(self, x: Any, tape: tf.GradientTape) -> tuple[Any, Cut]:
        """Returns the outputs, and what the gradients of the features need."""
        inputs = [tf.convert_to_tensor(part) for part in tf.nest.flatten(x)]
        features = tf.nest.flatten(self.trunk(x, training=True))
        leaves = [tf.stop_gradient(feature) for feature in features]
        for leaf in leaves:
            tape.watch(leaf)
        outputs = self.heads([*leaves, *inputs], training=True)
        outputs |= {task: leaves[i] for task, i in self.passed.items()}
        return outputs, Cut(features, leaves)


def weighted_gradients(
    model: Any, engine: Engine, x: Any, y: Any, sample_weight: Any
) -> tuple[list[Tensor], Tensor, Any]:
    """Computes the gradients of a batch under a weighting.

    Args:
        model: A `MultiTaskModel`.
        engine: Its engine.
        x: Input of this replica's share of the batch.
        y: Labels by task.
        sample_weight: Weights by task, or `None`.

    Returns:
        Gradients of `model.trainable_variables`, times the loss scale; their sums over
        the replicas are those of the global batch. This replica's part of the
        objective. The outputs.
    """
    optimizer, weighting = model.optimizer, engine.weighting
    scale = optimizer.scale_loss(tf.ones(()))
    with tf.GradientTape(persistent=True) as tape:
        if engine.parts is None:
            y_pred, cut = model(x, training=True), None
        else:
            y_pred, cut = engine.parts(x, tape)
        shares, present = model.loss_shares(y, y_pred, sample_weight)
        rest = model.penalty()
        losses = [optimizer.scale_loss(share) for share in shares]
        scaled = None if rest is None else optimizer.scale_loss(rest)
    shared = model.shared_variables
    heads = [model.variables_of(name) for name in engine.tasks]
    problem = Problem(tape, losses, scaled, shared, heads, scale)
    totals = replica_sum(tf.stack(shares))

    def weigh(gram: Tensor) -> Tensor:
        return engine.weigh(totals, present, gram)

    if cut is None:
        found = gradients.full(problem, weigh, engine.due(), engine.weights.value)
    else:

        def combined(leaves: list[Tensor], stacks: list[Tensor]) -> list[Tensor]:
            if not isinstance(weighting, GramWeighting):
                return engine.combine(leaves, stacks, present)

            def solved() -> Tensor:
                if weighting.gradients == "features":
                    gram = gradients.gram(stacks, scale, reduce=True)
                else:
                    rows = gradients.last_shared(problem, cut, stacks)
                    gram = gradients.gram(rows, scale)
                return weigh(gram)

            last = engine.weights.value
            weights = gradients.branch(engine.due(), solved, lambda: last)
            return [gradients.combine(weights, stack) for stack in stacks]

        found = gradients.split(problem, cut, combined)
    weights = engine.weights.value
    if getattr(weighting, "scale_heads", False):
        found = (
            found[0],
            [[weights[t] * g for g in own] for t, own in enumerate(found[1])],
        )
    loss = tf.tensordot(weights, tf.stack(shares), 1)
    known = dict(zip(map(id, shared), found[0], strict=True))
    for own, of_head in zip(heads, found[1], strict=True):
        known |= dict(zip(map(id, own), of_head, strict=True))
    variables = model.trainable_variables
    result = [known.get(id(v), tf.zeros(v.shape, v.dtype)) for v in variables]
    if rest is not None:
        loss += rest
        extra = gradients.gradient(tape, scaled, variables)
        result = [a + b for a, b in zip(result, extra, strict=True)]
    return result, loss, y_pred


def make_engine(
    model: Any, weighting: Weighting | None, alpha: dict[str, Any]
) -> Engine | None:
    """Makes the engine of a model that is being compiled.

    Args:
        model: A `MultiTaskModel`.
        weighting: Its weighting, or `None`.
        alpha: Loss weights by task.

    Raises:
        ValueError: The weighting is none, or does not fit the model.
    """
    if weighting is None:
        return None
    if not isinstance(weighting, Weighting):
        raise ValueError(
            "`weighting` must be one of p5_keras.weighting, such as "
            f"p5_keras.weighting.NashMTL(). Received: weighting={weighting!r}"
        )
    engine = Engine(weighting, model.tasks_with_loss)
    values = {objective.number(alpha[name]) for name in engine.tasks}
    if weighting.ignores_scale and len(values) > 1:
        logging.warning(
            "`loss_weights` has no effect on the direction of %s, which does not "
            "depend on the scale of a loss.",
            type(weighting).__name__,
        )
    source = getattr(weighting, "gradients", "features")
    if engine.needs_gradients and source != "full":
        if model.bottleneck is None:
            raise ValueError(
                f"{type(weighting).__name__} with gradients={source!r} needs features "
                "that all tasks read, and this model has none: the tasks' gradients "
                "there are orthogonal by construction. Use a weighting with "
                "gradients='full', or another sharing. "
                f"Received: weighting={weighting!r}"
            )
        engine.parts = Parts(model)
    return engine
