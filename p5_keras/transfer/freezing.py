"""Parts of a model that training is not to change."""

from typing import Any

from p5_keras.values import unknown


def freeze(model: Any, what: str | None) -> list[str]:
    """Freezes the trunk, or its first stages, of a model that is not compiled yet.

    The layers are no longer `trainable`: neither their weights change nor, in batch
    normalisation, the moving mean and variance, by which it normalises in training
    as well. `MultiTaskModel.freeze` stops the updates alone, in the middle of
    training too.

    Args:
        model: A multi-task model.
        what: "trunk" for all its stages, in columns too, "stage:N" for the first N,
            "none" or `None` for nothing. What lies between trunk and heads is trained.

    Returns:
        Names of the layers that are frozen.

    Raises:
        ValueError: There are no such stages.
    """
    chosen = frozen_layers(model, what)
    for layer in chosen:
        layer.trainable = False
    return [layer.name for layer in chosen]


def frozen_layers(model: Any, what: str | None) -> list[Any]:
    """Returns the layers that `freeze` would freeze."""
    if what in (None, "none"):
        return []
    body = [x for x in model.layers if is_stage(x)]
    if what == "trunk":
        return body
    kind, _, number = str(what).partition(":")
    names = stage_names(model)
    known = ["none", "trunk", *(f"stage:{i + 1}" for i in range(len(names)))]
    if kind != "stage" or what not in known:
        raise ValueError(unknown("freeze", str(what), known))
    first = names[: int(number)]
    return [x for x in body if x.name.rpartition("_")[2] in first]


def stage_names(model: Any) -> list[str]:
    """Returns the features that the trunk's stages end in, in order."""
    names = [x.name.rpartition("_")[2] for x in model.layers if is_stage(x)]
    return list(dict.fromkeys(names))


def is_stage(layer: Any) -> bool:
    """Whether a layer is a stage of the trunk, or of a column of it."""
    return bool(layer.name.startswith("trunk_"))
