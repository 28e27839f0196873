"""The names of all changes, and the tasks that cannot follow one."""

from collections.abc import Sequence
from typing import Any

from p5_keras.naming import did_you_mean
from p5_keras.task import Task

FLIPS = ("flip_horizontal", "flip_vertical", "transpose")
#: Arguments of `Augment` that move what is in the image.
GEOMETRY = (*FLIPS, "zoom", "stretch", "rotate", "shear", "translate")
#: Arguments of `Augment` that move nothing.
COLOR = ("brightness", "contrast", "saturation", "hue", "rand_augment", "erase")
#: `MixUp` and `CutMix`.
MIXING = ("mixup", "cutmix")


def refuse(tasks: Sequence[Task], used: dict[str, Any]) -> None:
    """Asks every task whether its label can follow some changes.

    Args:
        tasks: The tasks.
        used: Names of changes, with what was asked for.

    Raises:
        ValueError: A task cannot, or names a change that there is not.
    """
    for task in tasks:
        for name in task.changes_under:
            if name not in GEOMETRY + COLOR + MIXING:
                known = [*GEOMETRY, *COLOR, *MIXING]
                raise ValueError(
                    f"`changes_under` must hold names of changes, out of {known}."
                    f"{did_you_mean(name, known)} "
                    f"Received: {name!r} for task {task.name!r}"
                )
        for name, value in used.items():
            reason = task.refuses.get(name)
            if name in task.changes_under:
                reason = "its label would change, as its `changes_under` says"
            if reason:
                raise ValueError(
                    f"Task {task.name!r} cannot follow `{name}`: {reason}. "
                    f"Received: {name}={value}"
                )
