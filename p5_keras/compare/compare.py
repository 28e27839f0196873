"""A comparison: every model of every arm with every seed, each a run of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p5_keras.compare import budget, findings, page
from p5_keras.compare.arms import JOINT, SINGLE, Arm, arms
from p5_keras.compare.runs import Run, default_jobs, run_all
from p5_keras.task import Task
from p5_keras.workdir import Workdir

Json = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a comparison is asked for.

    Attributes:
        arms: Arms beside single-task models and the joint one; see `arms`.
        seeds: Runs of each model.
        minutes: Time for all of it on the clock, or `None` to train every model as
            long as the recipe does.
        jobs: Runs at a time; `None` is one on a GPU, else one a core, up to 4.
    """

    arms: Sequence[str] = ()
    seeds: int = 3
    minutes: float | None = None
    jobs: int | None = None

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
        given = [n for n in (self.minutes, self.jobs) if n is not None]
        if given and min(given) <= 0:
            raise ValueError(
                "`budget_minutes` and `jobs` must be above 0. Received: "
                f"budget_minutes={self.minutes}, jobs={self.jobs}"
            )


def options(flags: Any) -> Options:
    """Reads them from the flags of train.py."""
    return Options(flags.compare, flags.seeds, flags.budget_minutes, flags.jobs)


def run(
    workdir: Workdir,
    decided: Mapping[str, Any],
    tasks: Sequence[Task],
    steps: int,
    options: Options,
) -> Json:
    """Compares, from the start or from where it was interrupted, and reports.

    Args:
        workdir: The folder of the comparison; that of each run lies below it.
        decided: All that the recipe and the flags decide of a run.
        tasks: The tasks.
        steps: Training steps an epoch.
        options: What is asked for.

    Returns:
        What `results.json` of the folder holds.

    Raises:
        ValueError: The time is too short, a run of the single-task models or of the
            joint model failed, or the folder is another comparison's.
    """
    sides = arms(options.arms, [task.name for task in tasks])
    asked = {
        "arms": [arm.name for arm in sides],
        "seeds": options.seeds,
        "budget_minutes": options.minutes,
    }
    finished = workdir.begin({**decided, "compare": asked})
    if finished is None:
        comparison = _Comparison(workdir, decided, list(tasks), sides, options)
        finished = comparison.run(steps)
    print(page.leaderboard(finished))
    print(f"Report: {workdir / 'report.html'}")
    return finished


class _Comparison:
    """A comparison while it runs. Its state is `progress.json` and finished runs."""

    def __init__(
        self,
        workdir: Workdir,
        decided: Mapping[str, Any],
        tasks: list[Task],
        sides: list[Arm],
        options: Options,
    ) -> None:
        self.workdir, self.decided, self.tasks = workdir, decided, tasks
        self.sides, self.options = sides, options
        self.jobs = options.jobs or default_jobs()
        self.state: Json = workdir.read("progress.json") or {
            "spent": 0.0,
            "steps": {},
            "failed": {},
        }
        self._began = time.monotonic() - self.state["spent"]

    def run(self, steps: int) -> Json:
        """Runs what is left to run, and writes the results."""
        limited = self.options.minutes is not None and not self.decided["smoke"]
        if limited and not self.state["steps"]:
            self._plan(steps)
        first, slowest = int(self.decided["seed"]), 0.0
        done: list[int] = []
        for seed in range(first, first + self.options.seeds):
            if limited and len(done) >= 2 and slowest > self._left():
                print(f"The time is up after {len(done)} of {self.options.seeds} seeds")
                break
            start = time.monotonic()
            self._round(seed, first)
            slowest = max(slowest, time.monotonic() - start)
            done.append(seed)
            if 1 < len(done) < self.options.seeds:
                print(page.lines(self._found(done)), flush=True)
        found = self._found(done)
        page.write(self.workdir / "report.html", found)
        self.workdir.write("results.json", found)
        return found

    def _plan(self, steps: int) -> None:
        """Measures the speed of each model and divides the time."""
        print("Measuring how fast each model is", flush=True)
        speeds, failed = budget.measure(self.workdir, self.sides, self.jobs)
        for arm, reason in failed.items():
            self._fail(arm, reason)
        planned = budget.divide(
            speeds,
            self._alive(),
            self._left() * self.jobs * (1 - budget.RESERVE),
            self.options.seeds,
            int(self.decided["epochs"]),
            steps,
        )
        for (arm, model), count in planned.items():
            self.state["steps"].setdefault(arm, {})[model] = count
            print(
                f"{arm}, {model}: {self.decided['epochs']} epochs of {count} steps "
                f"({speeds[arm, model].step * 1e3:.0f} ms each) of {steps}"
            )
        self._save()

    def _round(self, seed: int, first: int) -> None:
        """Runs every model with one seed; the arms of one long run come first."""
        owners, runs = {}, []
        for arm in sorted(self._alive(), key=lambda arm: len(arm.models)):
            for model in arm.models:
                count = self.state["steps"].get(arm.name, {}).get(model.name)
                planned = () if count is None else (f"--steps_per_epoch={count}",)
                run = Run(
                    f"{arm.name}, {model.name}, seed {seed}",
                    findings.folder(self.workdir, arm.name, model.name, seed),
                    (*model.flags, f"--seed={seed}", *planned),
                )
                runs.append(run)
                owners[run.name] = arm.name
        total = len(runs) * self.options.seeds
        for run, seconds, reason in run_all(runs, self.jobs):
            self._save()
            if reason:
                self._fail(owners[run.name], reason)
                continue
            before = (seed - first) * len(runs)
            count = before + sum(r.finished for r in runs)
            print(f"[{count}/{total}] {run.name}: {seconds:.0f} s", flush=True)

    def _fail(self, arm: str, reason: str) -> None:
        if arm in (SINGLE, JOINT):
            raise ValueError(f"A run of the arm {arm!r} failed: {reason}")
        self.state["failed"][arm] = reason
        self._save()
        print(f"The arm {arm} is left out, since a run failed: {reason}", flush=True)

    def _alive(self) -> list[Arm]:
        return [arm for arm in self.sides if arm.name not in self.state["failed"]]

    def _left(self) -> float:
        return 60 * (self.options.minutes or 0) - (time.monotonic() - self._began)

    def _save(self) -> None:
        self.state["spent"] = time.monotonic() - self._began
        self.workdir.write("progress.json", self.state)

    def _found(self, seeds: list[int]) -> Json:
        found = findings.gather(self.workdir, self._alive(), seeds, self.tasks)
        return {
            **found,
            "recipe": self.decided["recipe"],
            "batch_size": self.decided["batch_size"],
            "failed": self.state["failed"],
            "budget_minutes": self.options.minutes,
            "jobs": self.jobs,
            "minutes": (time.monotonic() - self._began) / 60,
        }
