"""The sides of a comparison: which models each trains, and by which flags."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras import sharing, weighting
from p5_keras.recipe import named
from p5_keras.sharing import Sharing
from p5_keras.weighting import Weighting

SINGLE, JOINT = "single", "joint"


@dataclass(frozen=True)
class Model:
    """One model of an arm.

    Attributes:
        name: Unique in its arm, and a name of a folder.
        tasks: What it is trained for.
        flags: What it is trained with, of train.py.
    """

    name: str
    tasks: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: models that do all tasks together.

    Attributes:
        name: As the user gave it.
        models: Its models.
    """

    name: str
    models: tuple[Model, ...]


def arms(names: Sequence[str], tasks: Sequence[str]) -> list[Arm]:
    """Returns the arms: one model a task, one for all, and what else is asked for.

    Args:
        names: "single", "joint" (the plain sum of the losses), the name of a weighting
            or of a sharing, or one of each as "MMoE+NashMTL". The first two are there
            whether they are named or not.
        tasks: Names of the tasks.

    Raises:
        ValueError: A name is unknown, or there is nothing to compare.
    """
    if len(tasks) < 2:
        raise ValueError(
            "`mode=compare` needs two tasks or more, which could share a trunk. "
            f"Received: {list(tasks)}"
        )
    alone = ("--weighting=none", "--sharing=none")
    single = tuple(Model(t, (t,), (f"--tasks={t}", *alone)) for t in tasks)
    found = {
        SINGLE: Arm(SINGLE, single),
        JOINT: Arm(JOINT, (Model("all", tuple(tasks), ("--weighting=none",)),)),
    }
    for name in names:
        if name not in found:
            found[name] = Arm(name, (Model("all", tuple(tasks), _flags(name)),))
    return list(found.values())


def _flags(name: str) -> tuple[str, ...]:
    """Returns the flags of "Sharing", "Weighting" or both with a "+" between."""
    flags = {"weighting": "none"}
    for part in name.split("+"):
        is_sharing = part in sharing.__all__
        kind, module, base = (
            ("sharing", sharing, Sharing)
            if is_sharing
            else ("weighting", weighting, Weighting)
        )
        named(kind, part, module, base)
        flags[kind] = part
    return tuple(f"--{kind}={value}" for kind, value in flags.items())
