"""The optimizer of recipes that do not bring their own, and its schedule."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from p5_keras.optimizers import PerPart

if TYPE_CHECKING:
    from p5_keras.recipe import Config


def default_optimizer(
    config: "Config",
    steps: int,
    kind: Callable[..., keras.Optimizer] = keras.optimizers.AdamW,
    **arguments: Any,
) -> keras.Optimizer:
    """Returns AdamW, or another, with a linear warm-up and a cosine decay to 0.

    Args:
        config: The run's configuration.
        steps: Number of training steps.
        kind: Class of the optimizer. AdamW without weight decay is Adam.
        **arguments: Arguments of the optimizer that `config` does not decide.
    """
    share = 1.0 if config.trunk_rate is None else config.trunk_rate
    if not share > 0:
        raise ValueError(
            "`trunk_rate` must be above 0; freeze=trunk leaves the trunk as it is. "
            f"Received: trunk_rate={config.trunk_rate}"
        )
    whole: dict[str, Any] = {
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.99,
    }
    if share == 1:
        return _scheduled(config, steps, kind, 1.0, **whole, **arguments)
    parts = [_scheduled(config, steps, kind, rate, **arguments) for rate in (share, 1)]
    return PerPart(*parts, **whole)


def _scheduled(
    config: "Config", steps: int, kind: Any, share: float, **arguments: Any
) -> keras.Optimizer:
    warmup, rate = min(200, steps // 10), config.learning_rate * share
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else rate,
        max(steps - warmup, 1),
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer: keras.Optimizer = kind(
        schedule, weight_decay=config.weight_decay, **arguments
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "stitch"])
    return optimizer
