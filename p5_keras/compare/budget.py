"""How a time on the clock is divided over the runs of a comparison."""

import csv
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p5_keras.compare.arms import Arm
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

    def fit(
        self, seconds: float, epochs: int, steps: int, fraction: float = 1.0
    ) -> tuple[int, int]:
        """Returns the epochs, and the steps of each, that fit into a time.

        Args:
            seconds: The time.
            epochs: Epochs of a whole run.
            steps: Steps an epoch of a whole run.
            fraction: The part of a whole run that it should be at most. A run that is
                so much shorter has fewer epochs too, since each takes a validation.
        """
        epochs, steps = part(epochs, steps, fraction)
        each = (seconds - self.fixed) / epochs - self.validation
        return epochs, max(1, min(steps, int(each / self.step)))


def part(epochs: int, steps: int, fraction: float) -> tuple[int, int]:
    """Returns the epochs, and the steps of each, of a part of a run."""
    fewer = max(1, math.ceil(epochs * fraction))
    return fewer, max(1, round(epochs * steps * fraction / fewer))


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
            mode="trial",
        ): (arm.name, model.name)
        for arm in arms
        for model in arm.models
        if not arm.chooses  # what it will train is not known
    }
    speeds, failed = {}, {}
    for run, wall, reason in run_all(list(keys), jobs):
        if reason:
            failed[keys[run][0]] = reason
            continue
        with (run.workdir / "logs" / "history.csv").open() as file:
            _, second = csv.DictReader(file)
        epoch, validation = float(second["seconds"]), float(second["val_seconds"])
        speeds[keys[run]] = Speed(
            fixed=max(wall - PROBE_EPOCHS * epoch, 0.0),
            validation=validation,
            step=max(epoch - validation, 1e-6) / PROBE_STEPS,
        )
    shutil.rmtree(workdir / "probes")
    return speeds, failed


def check(
    shares: Mapping[tuple[str, str], tuple[Speed, float]], epochs: int, minutes: Any
) -> None:
    """Checks that each model has the time for a step an epoch.

    Args:
        shares: Speeds and seconds of one run, by arm and model.
        epochs: Epochs of a run.
        minutes: The time that was given for all.

    Raises:
        ValueError: One has not.
    """
    need = max(speed.seconds(epochs, 1) / has for speed, has in shares.values())
    if need > 1:
        raise ValueError(
            "`budget_minutes` must be enough for a step an epoch of every model; give "
            f"about {need:.1f} times as much, fewer --seeds, --epochs or --trials, or "
            f"compare less. Received: budget_minutes={minutes} for {len(shares)} models"
        )
