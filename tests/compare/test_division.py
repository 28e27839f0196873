"""A whole comparison, with runs that take no time but say that they do."""

import json
import types

import numpy as np
import pytest

import p5_keras as p5
from p5_keras.compare import budget
from p5_keras.compare import compare as module

TASKS = [p5.tasks.Regression(n, mean=[0.0], std=[1.0]) for n in "ab"]
SPEED = budget.Speed(fixed=10.0, validation=1.0, step=0.1)
#: Steps an epoch of the recipe: more than there is time for.
STEPS = 100_000


class Runs:
    """Takes the place of processes; `skill` says how good a trial is."""

    def __init__(self, skill):
        self.skill, self.trained, self.tried = skill, {}, {}

    def __call__(self, runs, jobs):
        for run in [run for run in runs if not run.finished]:
            flags = dict(f.removeprefix("--").partition("=")[::2] for f in run.flags)
            tasks = flags.get("tasks", "a,b").split(",")
            self.write(run.workdir, tasks, self.skill(run.name))
            kept = self.tried if run.mode == "trial" else self.trained
            kept[run.name] = flags
            yield run, 1.0, ""

    def write(self, folder, tasks, skill):
        folder.mkdir(parents=True)
        scores = np.random.default_rng(len(str(folder))).normal(size=50)
        np.savez(folder / "scores.npz", **dict.fromkeys(tasks, scores))
        metrics = {"metrics": {m: {"test": 1.0, "val": 1.0} for m in ("mae", "rmse")}}
        size = {"trunk": 5, "sharing": 0, "heads": {}}
        train = {"val_skill": skill, "steps": 10, "wall_seconds": 2.0}
        found = {"tasks": dict.fromkeys(tasks, metrics), "train": train}
        found |= {"parameters": size, "flops": size}
        (folder / "results.json").write_text(json.dumps(found))


def compared(tmp_path, monkeypatch, skill, minutes=100.0, folds=1):
    """Compares with two runs at a time, 2 seeds and 3 trials; 5 epochs a run."""
    runs = Runs(skill)

    def measured(workdir, arms, jobs):
        fixed = [(a.name, m.name) for a in arms if not a.chooses for m in a.models]
        return dict.fromkeys(fixed, SPEED), {}

    monkeypatch.setattr(module, "run_all", runs)
    monkeypatch.setattr(module.budget, "measure", measured)
    config = p5.recipe.Config(p5.trunks.Dense([4]), epochs=5)
    decided = {"seed": 0, "smoke": False, "recipe": "none"}
    plan = types.SimpleNamespace(
        workdir=p5.Workdir(tmp_path), decided=decided, config=config
    )
    options = p5.compare.Options(["UPGrad"], 2, minutes, 2, 3, folds)
    source = p5.data.Source(5, None)
    return p5.compare.run(plan, TASKS, source, STEPS, options), runs


def steps(seconds):
    return pytest.approx(((seconds - 10) / 5 - 1) / 0.1, abs=2)


def test_arms_have_the_same_time_and_a_choice_half_as_much_beside(
    tmp_path, monkeypatch
):
    found, runs = compared(
        tmp_path, monkeypatch, lambda name: 0.9 if "trial 2" in name else 0.1
    )
    whole = 100 * 60 * 2 * 0.9
    # Four arms and half of one: trials first, of which nothing was really spent.
    trials = whole / 4.5 / 2 / 2  # two rounds
    lengths = {
        name: (int(f["epochs"]), int(f["steps_per_epoch"]))
        for name, f in runs.tried.items()
    }
    assert set(lengths) == {
        *(f"tuned, trial {i}_round_0" for i in range(3)),
        "tuned, trial 2_round_1",
    }
    one_epoch, two_epochs = trials / 3, trials
    assert lengths["tuned, trial 0_round_0"] == (
        1,
        pytest.approx((one_epoch - 10 - 1) / 0.1, abs=2),
    )
    assert lengths["tuned, trial 2_round_1"] == (
        2,
        pytest.approx(((two_epochs - 10) / 2 - 1) / 0.1, abs=2),
    )
    share = whole / 4 / 2  # four arms, two seeds
    given = {name: int(f["steps_per_epoch"]) for name, f in runs.trained.items()}
    assert len(given) == 2 * 5
    for seed in (0, 1):
        for arm in ("joint", "tuned", "UPGrad"):
            assert given[f"{arm}, all, seed {seed}"] == steps(share)
        for task in "ab":
            assert given[f"single, {task}, seed {seed}"] == steps(share / 2)
    assert "learning_rate" in runs.trained["tuned, all, seed 0"]
    assert list(found["arms"]) == ["single", "joint", "tuned", "UPGrad"]


def test_a_tuned_model_that_is_the_joint_one_is_not_trained_twice(
    tmp_path, monkeypatch
):
    found, runs = compared(
        tmp_path, monkeypatch, lambda name: 0.9 if "trial 0" in name else 0.1
    )
    assert list(found["arms"]) == ["single", "joint", "UPGrad"]
    share = 100 * 60 * 2 * 0.9 / 3 / 2
    assert int(runs.trained["joint, all, seed 0"]["steps_per_epoch"]) == steps(share)
    said = "tuned: the recipe's own, the best of 3: the same as joint."
    assert found["verdicts"][-1] == said
    assert said.removesuffix(".") in (tmp_path / "report.html").read_text().replace(
        "&#x27;", "'"
    )


def test_folds_cost_their_number_of_times_as_much(tmp_path, monkeypatch):
    found, runs = compared(
        tmp_path, monkeypatch, lambda name: 0.9 if "trial 2" in name else 0.1, folds=3
    )
    # Four arms, and three times the half of one for the trials.
    whole = 100 * 60 * 2 * 0.9
    trials = 3 * whole / 5.5 / 2 / 2
    assert len(runs.tried) == 3 * 3 + 3
    for name, flags in runs.tried.items():
        assert flags["fold"] == name[-1]
    first = runs.tried["tuned, trial 0_round_0_fold_1"]
    expected = pytest.approx((trials / 9 - 10 - 1) / 0.1, abs=2)
    assert (int(first["epochs"]), int(first["steps_per_epoch"])) == (1, expected)
    # What is chosen is then trained on the whole training split.
    assert not any("fold" in flags for flags in runs.trained.values())
    assert "3-fold" in found["chosen"]["tuned"]["what"]


def test_folds_that_were_tried_are_not_tried_again(tmp_path, monkeypatch):
    def interrupted(name):
        if "trial 1_round_0_fold_1" in name:
            raise KeyboardInterrupt
        return 0.5

    with pytest.raises(KeyboardInterrupt):
        compared(tmp_path, monkeypatch, interrupted, folds=2)
    before = {path.parent.name for path in tmp_path.rglob("trials/**/results.json")}
    assert before == {"0_round_0_fold_0", "0_round_0_fold_1", "1_round_0_fold_0"}
    found, runs = compared(tmp_path, monkeypatch, lambda name: 0.5, folds=2)
    tried = {name.removeprefix("tuned, trial ") for name in runs.tried}
    assert not tried & before and "1_round_0_fold_1" in tried
    assert [t["val_skill"] for t in found["chosen"]["tuned"]["trials"]] == [0.5] * 4


def test_more_folds_than_examples_are_told_before_anything_is_tried(
    tmp_path, monkeypatch
):
    with pytest.raises(ValueError, match="folds=6, training examples: 5"):
        compared(tmp_path, monkeypatch, lambda name: 0.5, folds=6)
    assert not list(tmp_path.iterdir())


def test_too_short_a_time_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="`budget_minutes` must be enough"):
        compared(tmp_path, monkeypatch, lambda name: 0.5, minutes=0.5)
    assert not (tmp_path / "runs").exists() and not (tmp_path / "trials").exists()
