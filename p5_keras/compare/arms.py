"""The sides of a comparison: which models each trains, and by which flags."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras import sharing, weighting
from p5_keras.recipe import named
from p5_keras.sharing import Sharing
from p5_keras.values import unknown
from p5_keras.weighting import Weighting

SINGLE, JOINT, TUNED, WEIGHTS = "single", "joint", "tuned", "weights"
#: The start of the name of an arm whose groups of tasks are to be found.
GROUPS = "groups="


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
        models: Its models; in an arm that `chooses`, what it begins from.
        networks: How many networks the tasks are to be divided over, if that is to be
            found by the tasks' affinities.
    """

    name: str
    models: tuple[Model, ...]
    networks: int = 0

    @property
    def chooses(self) -> bool:
        """Whether something is chosen, on validation, before the arm is trained."""
        return self.networks > 0 or self.name in (TUNED, WEIGHTS)


def arms(names: Sequence[str], tasks: Sequence[str], trials: int = 0) -> list[Arm]:
    """Returns the arms: one model a task, one for all, and what else is asked for.

    Args:
        names: "single", "joint" (the plain sum of the losses), "tuned" (the same with
            its settings searched for), "weights" (with weights of the tasks searched
            for), "groups=2" (as many networks, each for the tasks that help each
            other), "a+b|c" (a network for tasks a and b and one for c), the name of a
            weighting or of a sharing, or one of each as "MMoE+NashMTL". The first
            two are there whether they are named or not, and "tuned" if there are
            trials.
        tasks: Names of the tasks.
        trials: Settings that a search tries.

    Raises:
        ValueError: A name is unknown, or there is nothing to compare.
    """
    if len(tasks) < 2:
        raise ValueError(
            "`mode=compare` needs two tasks or more, which could share a trunk. "
            f"Received: {list(tasks)}"
        )
    if not trials and {TUNED, WEIGHTS} & set(names):
        raise ValueError(
            f"A search needs trials. Received: trials={trials}, compare={list(names)}"
        )
    always = (SINGLE, JOINT, *([TUNED] if trials else []))
    return [_arm(name, tasks) for name in dict.fromkeys((*always, *names))]


def group(tasks: Sequence[str]) -> Model:
    """Returns one network for some of the tasks, on the plain sum of their losses."""
    flags = (f"--tasks={','.join(tasks)}", "--weighting=none")
    return Model("+".join(tasks), tuple(tasks), flags)


def _arm(name: str, tasks: Sequence[str]) -> Arm:
    everything = Model("all", tuple(tasks), ("--weighting=none",))
    if name == SINGLE:
        alone = ("--weighting=none", "--sharing=none")
        return Arm(name, tuple(Model(t, (t,), (f"--tasks={t}", *alone)) for t in tasks))
    if name in (JOINT, TUNED, WEIGHTS):
        return Arm(name, (everything,))
    if name.startswith(GROUPS):
        text = name.removeprefix(GROUPS)
        if not text.isdecimal() or not 1 <= int(text) <= len(tasks):
            raise ValueError(
                f"`{GROUPS}K` needs a number of networks from 1 to {len(tasks)}. "
                f"Received: {name!r}"
            )
        return Arm(name, (everything,), int(text))
    if "|" in name:
        return Arm(name, tuple(map(group, _groups(name, tasks))))
    return Arm(name, (Model("all", tuple(tasks), _flags(name)),))


def _groups(name: str, tasks: Sequence[str]) -> list[list[str]]:
    """Reads "a+b|c"."""
    groups = [part.split("+") for part in name.split("|")]
    given = [task for one in groups for task in one]
    for task in given:
        if task not in tasks:
            raise ValueError(unknown("task", task, tasks))
    if sorted(given) != sorted(tasks):
        raise ValueError(
            "Networks must have every task once between them. "
            f"Received: {name!r} of tasks={list(tasks)}"
        )
    return groups


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
