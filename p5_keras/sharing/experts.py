"""Experts and the gates that mix them."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from p5_keras.sharing.base import columns, pooled
from p5_keras.sharing.gate import Gate, Mixture
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk

#: From the number of a level and a tensor to what an expert makes of it.
Expert = Callable[[int, Tensor], Tensor]


def mixed(
    trunk: Trunk,
    tasks: Sequence[Task],
    inputs: Tensor,
    levels: int,
    shared: int,
    own: int,
    units: Sequence[int],
) -> dict[str, Features]:
    """Builds levels of experts, and gates that mix them for each task.

    A task's gate sees the shared experts and the task's own. Between two levels one
    more gate mixes all experts for the next level's shared ones. What a gate decides
    on is what the experts read, pooled.

    Args:
        trunk: The trunk.
        tasks: The tasks.
        inputs: The Keras tensor of the model's input.
        levels: Number of levels.
        shared: Number of shared experts.
        own: Number of experts of each task.
        units: Units of an expert's dense layers, on the pooled last feature of the
            trunk. If empty the experts of a level are copies of one of the trunk's
            last stages.

    Returns:
        For each task the features of the stages before the experts and the mixtures,
        or with `units` the one feature "vector".
    """
    names = [task.name for task in tasks]
    groups = {"shared": [f"shared{i}" for i in range(shared)]}
    groups |= {name: [f"{name}{i}" for i in range(own)] for name in names}
    every = [expert for group in groups.values() for expert in group]
    if min(levels, shared, own + 1, *units, 1) < 1 or len(every) < 2:
        raise ValueError(
            "Gates need one level and one shared expert at least, two experts in all, "
            "and `units` above 0. Received: "
            f"levels={levels}, shared={shared}, own={own}, units={tuple(units)}"
        )
    if units:
        features = trunk(inputs)
        x = pooled(list(features.values())[-1])
        before: Features = {}
        level_names = ["vector"] * levels
        run = dict.fromkeys(every, _dense_expert(units))
    else:
        x, before, level_names, run = _stage_experts(trunk, inputs, every, levels)
    state = dict.fromkeys(groups, x)
    found = {name: dict(before) for name in names}
    for level, feature in enumerate(level_names):
        outputs = {
            expert: run[expert](level, state[group])
            for group, members in groups.items()
            for expert in members
        }
        suffix = f"_{level}" if levels > 1 else ""
        last = level == levels - 1
        seen = {name: groups["shared"] + groups[name] for name in names}
        for group, experts in (seen if last else {"shared": every, **seen}).items():
            gate = Gate(
                group + suffix.replace("_", "/"), experts, name=f"gate_{group}{suffix}"
            )
            weights = gate(_evidence(state[group], inputs))
            mix = Mixture(name=f"mixture_{group}{suffix}")
            state[group] = mix([weights, *[outputs[e] for e in experts]])
        for name in names:
            found[name][feature] = state[name]
    return found


def _evidence(x: Tensor, inputs: Tensor) -> Tensor:
    """Returns what a gate decides on; raw pixels would saturate its softmax."""
    if isinstance(x, dict) or "int" in x.dtype:
        raise ValueError(
            "Gates decide on numbers: of a trunk that reads text, or several inputs, a "
            "stage must come before the experts. Received: experts of every stage; "
            "give fewer `levels`, or `units`"
        )
    if x is inputs and len(x.shape) == 4:
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    return pooled(x)


def _dense_expert(units: Sequence[int]) -> Expert:
    def run(level: int, x: Tensor) -> Tensor:
        for size in units:
            x = layers.Dense(size, activation="relu")(x)
        return x

    return run


def _stage_experts(
    trunk: Trunk, inputs: Tensor, experts: Sequence[str], levels: int
) -> tuple[Tensor, Features, list[str], dict[str, Expert]]:
    """Builds the stages before the experts, and the experts from copies."""
    copies = columns(trunk, inputs, experts)
    first = copies[experts[0]]
    known = list(first)
    if levels > len(known):
        raise ValueError(
            "`levels` must not exceed the number of the trunk's stages; dense experts, "
            f"`units=(16,)`, may have more. Received: levels={levels}; stages: {known}"
        )
    x, before, last = inputs, {}, known[len(known) - levels :]
    for feature in known[: len(known) - levels]:
        first[feature].name = f"trunk_{feature}"
        x = before[feature] = first[feature](x)

    def expert(stages: dict[str, keras.Model]) -> Expert:
        return lambda level, x: stages[last[level]](x)

    return x, before, last, {e: expert(copies[e]) for e in experts}
