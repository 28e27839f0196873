"""How a time on the clock is divided over the runs of a comparison."""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.compare.arms import SINGLE, Arm
from p5_keras.compare.runs import Run, run_all
from p5_keras.workdir import Workdir

#: Share of the time that is not planned, for what takes longer than it was measured.
RESERVE = 0.1
#: Steps of the runs that measure; their first epoch is for tracing.
PROBE_STEPS, PROBE_EPOCHS = 20, 2


@dataclass(frozen=True)
class Speed:
    """How long a run takes: `fixed + epochs * (validation + steps * step)` seconds.

    Attributes:
        fixed: To start, to trace, and to measure at the end.
        validation: Each epoch beside its steps.
        step: A training step.
    """

    fixed: float
    validation: float
    step: float

    def seconds(self, epochs: int, steps: int) -> float:
        """Returns the time of a run of so many epochs of so many steps."""
        return self.fixed + epochs * (self.validation + steps * self.step)

    def steps(self, seconds: float, epochs: int) -> int:
        """Returns the steps an epoch that fit into a time; below 1 if none do."""
        each = (seconds - self.fixed) / epochs - self.validation
        return int(each / self.step)


def measure(
    workdir: Workdir, arms: Sequence[Arm], jobs: int
) -> tuple[dict[tuple[str, str], Speed], dict[str, str]]:
    """Measures the speed of every model by a short run; nothing else is read of it.

    Args:
        workdir: Folder of the comparison.
        arms: The arms.
        jobs: Runs at a time, as later.

    Returns:
        Speeds by arm and model; and by arm why it cannot run.
    """
    shutil.rmtree(workdir / "probes", ignore_errors=True)
    given = (f"--steps_per_epoch={PROBE_STEPS}", f"--epochs={PROBE_EPOCHS}")
    keys = {
        Run(
            f"{arm.name}, {model.name}",
            workdir / "probes" / arm.name / model.name,
            (*model.flags, *given),
        ): (arm.name, model.name)
        for arm in arms
        for model in arm.models
    }
    speeds, failed = {}, {}
    for run, wall, reason in run_all(list(keys), jobs):
        if reason:
            failed[keys[run][0]] = reason
            continue
        with (run.workdir / "logs" / "history.csv").open() as file:
            first, second = csv.DictReader(file)
        epoch, validation = float(second["seconds"]), float(second["val_seconds"])
        speeds[keys[run]] = Speed(
            fixed=max(wall - PROBE_EPOCHS * epoch, 0.0),
            validation=validation,
            step=max(epoch - validation, 1e-6) / PROBE_STEPS,
        )
        del first
    shutil.rmtree(workdir / "probes")
    return speeds, failed


def divide(
    speeds: dict[tuple[str, str], Speed],
    arms: Sequence[Arm],
    seconds: float,
    seeds: int,
    epochs: int,
    most: int,
) -> dict[tuple[str, str], int]:
    """Gives every arm an equal share of the time, and its models equal shares of that.

    Args:
        speeds: By arm and model.
        arms: The arms.
        seconds: Time of all runs together, those at the same time added up.
        seeds: Runs of each model.
        epochs: Epochs of each run.
        most: Steps an epoch of the recipe, of which no run does more.

    Returns:
        Steps an epoch by arm and model.

    Raises:
        ValueError: It is too short for a step an epoch.
    """
    share = seconds / len(arms) / seeds
    steps, least = {}, 0.0
    for arm in arms:
        for model in arm.models:
            speed = speeds[arm.name, model.name]
            count = len(arm.models)
            steps[arm.name, model.name] = min(speed.steps(share / count, epochs), most)
            need = speed.seconds(epochs, 1) * count / share
            least = max(least, need)
    if min(steps.values()) < 1:
        raise ValueError(
            "`budget_minutes` must be enough for a step an epoch of every model; give "
            f"about {least:.1f} times as much, fewer --seeds or --epochs, or compare "
            f"less. Received: {seconds / 60:.1f} minutes of runs to divide over "
            f"{len(arms)} arms ({SINGLE}: {len(arms[0].models)} models) and {seeds} "
            "seeds"
        )
    return steps
