"""A comparison: every model of every arm with every seed, each a run of its own."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p5_keras.compare import budget, choice, findings, page
from p5_keras.compare.arms import JOINT, SINGLE, Arm, Model, arms
from p5_keras.compare.budget import Speed
from p5_keras.compare.options import Options
from p5_keras.compare.runs import Run, default_jobs, run_all
from p5_keras.data import Source, fold
from p5_keras.naming import printable
from p5_keras.plan import Plan
from p5_keras.task import Task

Json = dict[str, Any]


def run(
    plan: Plan, tasks: Sequence[Task], source: Source, steps: int, options: Options
) -> Json:
    """Compares, from the start or from where it was interrupted, and reports.

    Args:
        plan: The plan of the comparison; its workdir has a folder for each run.
        tasks: The tasks.
        source: The training examples.
        steps: Training steps an epoch.
        options: What is asked for.

    Returns:
        What `results.json` of the folder holds.

    Raises:
        ValueError: The time is too short, there are more folds than examples, a run
            of the single-task models or of the joint model failed, or the folder is
            another comparison's.
    """
    sides = arms(options.arms, [task.name for task in tasks], options.trials)
    if options.folds > 1:
        fold(source, 0, options.folds)  # whether that many can be made
    asked = {
        "arms": [arm.name for arm in sides],
        "seeds": options.seeds,
        "budget_minutes": options.minutes,
        "trials": options.trials,
        "folds": options.folds,
    }
    finished = plan.workdir.begin({**plan.decided, "compare": asked})
    if finished is None:
        finished = _Comparison(plan, list(tasks), sides, steps, options).run()
    print(page.leaderboard(finished))
    print(f"Report: {printable(plan.workdir / 'report.html')}")
    return finished


class _Comparison:
    """A comparison while it runs. Its state is `progress.json` and finished runs."""

    def __init__(
        self,
        plan: Plan,
        tasks: list[Task],
        sides: list[Arm],
        steps: int,
        options: Options,
    ) -> None:
        self.plan, self.workdir, self.tasks = plan, plan.workdir, tasks
        self.sides, self.steps, self.options = sides, steps, options
        self.epochs, self.smoke = plan.config.epochs, bool(plan.decided["smoke"])
        self.jobs = options.jobs or default_jobs()
        self.limited = options.minutes is not None and not self.smoke
        findings.check(self.workdir)
        self.state: Json = self.workdir.read("progress.json") or {
            "spent": 0.0,
            "speeds": {},
            "share": None,
            "steps": {},
            "chosen": {},
            "same": [],
            "failed": {},
        }
        self._began = time.monotonic() - self.state["spent"]

    def run(self) -> Json:
        """Runs what is left to run, and writes the results."""
        if self.limited and self.state["share"] is None:
            self._measure()
        for arm in self._alive():
            if arm.chooses and arm.name not in self.state["chosen"]:
                self._choose(arm)
        if self.limited and not self.state["steps"]:
            self._divide()
        first, slowest = int(self.plan.decided["seed"]), 0.0
        done: list[int] = []
        for seed in range(first, first + self.options.seeds):
            if self.limited and len(done) >= 2 and slowest > self._left():
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

    def _measure(self) -> None:
        """Measures the speed of each model, and what time an arm will have."""
        print("Measuring how fast each model is", flush=True)
        speeds, failed = budget.measure(self.workdir, self.sides, self.jobs)
        for arm, reason in failed.items():
            self._fail(arm, reason)
        for (name, model), speed in speeds.items():
            self.state["speeds"].setdefault(name, {})[model] = vars(speed)
        shares = sum(1 + self._choice(arm) for arm in self._alive())
        self.state["share"] = self._whole() / shares
        budget.check(self._shares(), self.epochs, self.options.minutes)
        self._save()

    def _choose(self, arm: Arm) -> None:
        """Lets an arm choose what it trains, in a time of its own."""

        def trials(
            wanted: list[tuple[str, tuple[str, ...]]], fraction: float
        ) -> list[Path | None]:
            if self.limited:
                rounds = 1 if arm.networks else len(choice.ROUNDS)
                seconds = self.state["share"] * self._choice(arm)
                seconds /= rounds * len(wanted)
                speed = self._speed(arm.name, arm.models[0].name)
                length = speed.fit(seconds, self.epochs, self.steps, fraction)
            else:
                length = budget.part(self.epochs, self.steps, fraction)
            flags = (f"--seed={self.plan.decided['seed']}", *_length(*length))
            runs = [
                Run(
                    f"{arm.name}, trial {name}",
                    self.workdir / "trials" / findings.plain(arm.name) / name,
                    (*given, *flags),
                    mode="trial",
                )
                for name, given in wanted
            ]
            failed = set()
            for ended, seconds, reason in run_all(runs, self.jobs):
                self._save()
                print(f"{ended.name}: {reason or f'{seconds:.0f} s'}", flush=True)
                if reason:
                    failed.add(ended.name)
            return [None if r.name in failed else r.workdir for r in runs]

        try:
            chosen = choice.choose(
                arm, self.plan.config, self.tasks, self.options, trials
            )
        except ValueError as error:
            return self._fail(arm.name, str(error))
        self.state["chosen"][arm.name] = chosen
        if self._models(arm) == list(arm.models):
            chosen["what"] += ": the same as joint"
            self.state["same"].append(arm.name)
        print(f"{arm.name}: {chosen['what']}", flush=True)
        self._save()

    def _choice(self, arm: Arm) -> float:
        """Returns the time of an arm's choice, in parts of that of its runs."""
        return arm.chooses * (1 if arm.networks else self.options.folds) / 2

    def _divide(self) -> None:
        """Divides the time that is left over arms, seeds and models."""
        self.state["share"] = self._whole() / len(self._alive())
        for (arm, model), (speed, seconds) in self._shares().items():
            _, count = speed.fit(seconds, self.epochs, self.steps)
            self.state["steps"].setdefault(arm, {})[model] = count
            print(
                f"{arm}, {model}: {self.epochs} epochs of {count} steps "
                f"({speed.step * 1e3:.0f} ms each) of {self.steps}"
            )
        self._save()

    def _shares(self) -> dict[tuple[str, str], tuple[Speed, float]]:
        """Returns the speed of each model, and the seconds that one run of it has."""
        found = {}
        for arm in self._alive():
            models = self._models(arm)
            for model in models:
                seconds = self.state["share"] / self.options.seeds / len(models)
                found[arm.name, model.name] = self._speed(arm.name, model.name), seconds
        return found

    def _speed(self, arm: str, model: str) -> Speed:
        """Returns a model's speed, or the joint model's, of which it is a part."""
        speeds = self.state["speeds"]
        known = speeds.get(arm, {}).get(model) or speeds[JOINT]["all"]
        return Speed(**known)

    def _round(self, seed: int, first: int) -> None:
        """Runs every model with one seed; the arms of one long run come first."""
        owners, runs = {}, []
        for arm in sorted(self._alive(), key=lambda arm: len(self._models(arm))):
            for model in self._models(arm):
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
        gone = {*self.state["failed"], *self.state["same"]}
        return [arm for arm in self.sides if arm.name not in gone]

    def _models(self, arm: Arm) -> list[Model]:
        """Returns the models of an arm, those it has chosen if it has."""
        if arm.name not in self.state["chosen"]:
            return list(arm.models)
        chosen = self.state["chosen"][arm.name]["models"]
        return [Model(m["name"], tuple(m["tasks"]), tuple(m["flags"])) for m in chosen]

    def _whole(self) -> float:
        """Returns the seconds that can be planned with, of all runs added up."""
        return self._left() * self.jobs * (1 - budget.RESERVE)

    def _left(self) -> float:
        return 60 * (self.options.minutes or 0) - (time.monotonic() - self._began)

    def _save(self) -> None:
        self.state["spent"] = time.monotonic() - self._began
        self.workdir.write("progress.json", self.state)

    def _found(self, seeds: list[int]) -> Json:
        alive = [Arm(arm.name, tuple(self._models(arm))) for arm in self._alive()]
        found = findings.gather(self.workdir, alive, seeds, self.tasks)
        chosen = [f"{arm}: {c['what']}." for arm, c in self.state["chosen"].items()]
        return {
            **found,
            "verdicts": [*found["verdicts"], *chosen],
            "recipe": self.plan.decided["recipe"],
            "batch_size": self.plan.config.batch_size,
            "chosen": self.state["chosen"],
            "failed": self.state["failed"],
            "budget_minutes": self.options.minutes,
            "jobs": self.jobs,
            "minutes": (time.monotonic() - self._began) / 60,
        }


def _length(epochs: int, steps: int) -> tuple[str, ...]:
    return f"--epochs={epochs}", f"--steps_per_epoch={steps}"
