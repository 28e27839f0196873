"""One training step: Keras' own, but where a task's gradient is needed by itself."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from p5_keras.losses.base import replica_sum
from p5_keras.weighting import second_look
from p5_keras.weighting.engine import Engine
from p5_keras.weighting.step import weighted_gradients

Tensor = Any


def train_step(
    model: Any, engine: Engine | None, data: Any, stock: Callable[[Any], Any]
) -> dict[str, Tensor]:
    """Does one training step; see `MultiTaskModel.train_step`.

    Args:
        model: A `MultiTaskModel`.
        engine: Its engine, or `None`.
        data: A batch.
        stock: Keras' own step.

    Returns:
        The logs.
    """
    if engine is not None and engine.needs_gradients and not model.shared_variables:
        # Every task's gradient ends in variables of its own: nothing to weigh.
        with model.weighting_off():
            logs = train_step(model, None, data, stock)
        engine.tick()
        return logs
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    looks = second_look.wanted(engine)
    drawn = second_look.random_states(model) if looks else []
    if engine is not None and engine.needs_gradients:
        found = weighted_gradients(model, engine, x, y, sample_weight)
        logs = finish(model, *found, x, y, sample_weight)
    elif clips_across_replicas(model) or model.frozen_variables:
        found = joint_gradients(model, x, y, sample_weight)
        logs = finish(model, *found, x, y, sample_weight)
    else:
        logs = stock(data)
    if looks:
        second_look.look(model, engine, x, y, sample_weight, drawn)
    if engine is not None:
        engine.tick()
    return logs


def joint_gradients(
    model: Any, x: Any, y: Any, sample_weight: Any
) -> tuple[list[Tensor], Tensor, Any]:
    """Computes the gradients of the joint objective, as `weighted_gradients` does."""
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight)
        scaled = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(
        scaled,
        [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return gradients, loss, y_pred


def finish(
    model: Any,
    gradients: list[Tensor],
    loss: Tensor,
    y_pred: Any,
    x: Any,
    y: Any,
    sample_weight: Any,
) -> dict[str, Tensor]:
    """Applies the gradients, clipped as a sum over replicas, and returns the logs."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    batch = tf.shape(tf.nest.flatten(x)[0])[0]
    model._loss_tracker.update_state(loss * replicas, sample_weight=batch)
    frozen = {id(v) for v in model.frozen_variables}
    known = zip(gradients, model.trainable_variables, strict=True)
    pairs = [(g, v) for g, v in known if id(v) not in frozen]
    gradients, variables = [g for g, _ in pairs], [v for _, v in pairs]
    if clips_across_replicas(model):
        gradients = model.optimizer._clip_gradients(replica_sum(gradients))
        gradients = [g / replicas for g in gradients]
    model.optimizer.apply(gradients, variables)
    return model.compute_metrics(x, y, y_pred, sample_weight)


def clips_across_replicas(model: Any) -> bool:
    """Whether gradients are clipped that several replicas have shares of.

    Raises:
        ValueError: They are, and have a loss scale.
    """
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    replicas = model.distribute_strategy.num_replicas_in_sync
    clips = (inner.clipnorm, inner.clipvalue, inner.global_clipnorm)
    if replicas == 1 or all(clip is None for clip in clips):
        return False
    if inner is not optimizer:
        raise ValueError(
            "Gradient clipping under several replicas needs gradients without a "
            "loss scale: use mixed_bfloat16 in place of mixed_float16, or leave "
            f"clipping out. Received: {replicas} replicas and mixed_float16"
        )
    return True


def scheduled(
    model: Any, engine: Engine | None, make: Callable[[], None]
) -> Callable[[Any], Any]:
    """Makes the function of a training step.

    Where a weighting solves only every k-th step there are two, and it is known
    outside the graph which is next: no branch, which replicas that reduce in the
    middle of a step could not take. Several steps in one call decide in the graph.

    Args:
        model: A `MultiTaskModel`.
        engine: Its engine, or `None`.
        make: Makes `model.train_function` anew, as Keras does.
    """
    make()
    solve = model.train_function
    if engine is None or engine.update_every == 1 or model.steps_per_execution > 1:
        return solve
    make()
    keep = model.train_function

    def step(iterator: Any) -> Any:
        # What a function does is fixed when it is first called, and traced.
        engine.solves = engine.steps_done % engine.update_every == 0
        engine.steps_done += 1
        return (solve if engine.solves else keep)(iterator)

    return step
