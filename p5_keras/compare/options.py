"""What a comparison is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """What a comparison is asked for.

    Attributes:
        arms: Arms beside single-task models and the joint one; see `arms`.
        seeds: Runs of each model.
        minutes: Time for all of it on the clock, or `None` to train every model as
            long as the recipe does.
        jobs: Runs at a time; `None` is one on a GPU, else one a core, up to 4.
        trials: Settings that a search tries; 0 leaves the tuned baseline out.
        folds: Folds of the training split that each setting is measured on in turn; 1
            measures on the validation split.
    """

    arms: Sequence[str] = ()
    seeds: int = 3
    minutes: float | None = None
    jobs: int | None = None
    trials: int = 8
    folds: int = 1

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            ValueError: One is out of range.
        """
        if self.seeds < 2:
            raise ValueError(
                "`seeds` must be 2 or more: one run says nothing of the spread. "
                f"Received: seeds={self.seeds}"
            )
        if self.trials < 0 or self.trials == 1:
            raise ValueError(
                "`trials` must be 2 or more, or 0 for no search. "
                f"Received: trials={self.trials}"
            )
        if self.folds < 1:
            raise ValueError(
                "`folds` must be 2 or more, or 1 for the validation split. "
                f"Received: folds={self.folds}"
            )
        given = [n for n in (self.minutes, self.jobs) if n is not None]
        if given and min(given) <= 0:
            raise ValueError(
                "`budget_minutes` and `jobs` must be above 0. Received: "
                f"budget_minutes={self.minutes}, jobs={self.jobs}"
            )


def options(flags: Any) -> Options:
    """Reads them from the flags of train.py."""
    return Options(
        flags.compare,
        flags.seeds,
        flags.budget_minutes,
        flags.jobs,
        flags.trials,
        flags.folds,
    )
