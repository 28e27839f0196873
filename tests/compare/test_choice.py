"""What arms choose, with trials that did not have to run."""

import json

import numpy as np
import pytest

import p5_keras as p5
from p5_keras.compare import arms, choice, page_choice

TASKS = [
    p5.tasks.Regression("a", mean=[0.0], std=[1.0], loss_weight=0.7),
    p5.tasks.Regression("b", mean=[0.0], std=[1.0], loss_weight=0.3),
]


class Trials:
    """Writes what runs would write; the skill of each is told by `skill`."""

    def __init__(self, folder, skill):
        self.folder, self.skill, self.asked = folder, skill, []

    def __call__(self, wanted, fraction):
        self.asked.append(([name for name, _ in wanted], fraction))
        return [self.run(name, flags) for name, flags in wanted]

    def run(self, name, flags):
        skill = self.skill(name, flags)
        if skill is None:
            return None
        path = self.folder / name
        path.mkdir()
        tasks = {t.name: {"metrics": {"mae": {"val": 1 - skill}}} for t in TASKS}
        train = {"val_skill": skill, "steps": 10}
        (path / "results.json").write_text(json.dumps({"tasks": tasks, "train": train}))
        return path


def arm(name):
    return {a.name: a for a in arms([name], ["a", "b"], trials=9)}[name]


def options(trials, folds=1):
    return p5.compare.Options(trials=trials, folds=folds)


def config(trunk=None):
    return p5.recipe.Config(trunk or p5.trunks.Dense([4]), learning_rate=1e-3)


def test_halving_keeps_the_best_and_gives_them_more(tmp_path):
    # In short trials settings 7, 4 and 2 are best; in longer ones 2 is.
    first = dict(
        zip(range(9), [0.1, 0.2, 0.5, 0.3, 0.6, 0.1, 0.2, 0.7, 0.0], strict=True)
    )
    second = {7: 0.71, 4: 0.72, 2: 0.9}

    def skill(name, flags):
        number, _, round_ = name.partition("_round_")
        return (first, second)[int(round_)][int(number)]

    trials = Trials(tmp_path, skill)
    chosen = choice.choose(arm("tuned"), config(), TASKS, options(9), trials)
    assert trials.asked[0] == ([f"{i}_round_0" for i in range(9)], 1 / 8)
    assert trials.asked[1] == (["7_round_1", "4_round_1", "2_round_1"], 1 / 3)
    flags = dict(enumerate(choice._tuned(config(), TASKS, 9, np.random.default_rng(0))))
    (model,) = chosen["models"]
    assert model["flags"] == ("--weighting=none", *flags[2])
    assert len(chosen["trials"]) == 12 and "best of 9" in chosen["what"]
    assert chosen["trials"][-1]["val"] == {
        "a": pytest.approx(0.1),
        "b": pytest.approx(0.1),
    }


def test_the_recipes_own_setting_may_win(tmp_path):
    trials = Trials(tmp_path, lambda name, flags: 0.9 if name[0] == "0" else 0.1)
    chosen = choice.choose(arm("tuned"), config(), TASKS, options(4), trials)
    assert chosen["models"][0]["flags"] == ("--weighting=none",)
    assert chosen["what"] == "the recipe's own, the best of 4"


def test_a_trial_that_fails_is_no_candidate(tmp_path):
    trials = Trials(tmp_path, lambda name, flags: None if name[0] != "3" else -2.0)
    chosen = choice.choose(arm("weights"), config(), TASKS, options(4), trials)
    assert chosen["models"][0]["flags"][1].startswith("--set=loss_weights=a=")
    with pytest.raises(ValueError, match="every trial failed"):
        choice.choose(
            arm("weights"),
            config(),
            TASKS,
            options(4),
            Trials(tmp_path, lambda *_: None),
        )


def test_folds_are_tried_each_and_count_as_their_mean(tmp_path):
    skills = {  # by setting: its folds in the short round, and in the long one
        0: ([0.5, 0.5, 0.5], None),
        1: ([0.9, 0.1, 0.2], None),  # best on one fold only
        2: ([0.6, 0.7, 0.8], [0.5, 0.5, 0.8]),
        3: ([0.9, 0.9, None], None),  # a fold that failed
        4: ([0.6, 0.6, 0.7], [0.7, 0.8, 0.6]),
    }

    def skill(name, flags):
        setting, _, round_, _, fold = name.split("_")
        assert flags[-1] == f"--fold={fold}"
        return skills[int(setting)][int(round_)][int(fold)]

    trials = Trials(tmp_path, skill)
    chosen = choice.choose(arm("tuned"), config(), TASKS, options(5, 3), trials)
    assert trials.asked[0][0][:4] == [
        "0_round_0_fold_0",
        "0_round_0_fold_1",
        "0_round_0_fold_2",
        "1_round_0_fold_0",
    ]
    assert trials.asked[1] == (
        [f"{i}_round_1_fold_{k}" for i in (2, 4) for k in range(3)],
        1 / 3,
    )
    assert chosen["what"].endswith("the best of 5 by 3-fold cross-validation")
    (model,) = chosen["models"]
    assert not any("fold" in flag for flag in model["flags"])
    best = choice._tuned(config(), TASKS, 5, np.random.default_rng(0))[4]
    assert model["flags"] == ("--weighting=none", *best)
    *first, second, last = chosen["trials"]
    assert len(first) == 4  # all but the one that failed
    assert second["val_skill"] == pytest.approx(0.6) and last["flags"] == best
    assert last["val_skill"] == pytest.approx(0.7)
    assert last["spread"] == pytest.approx(0.1)
    assert last["val"] == {"a": pytest.approx(0.3), "b": pytest.approx(0.3)}
    tasks = {t.name: {"primary": t.primary, "better": dict(t.better)} for t in TASKS}
    html = page_choice.choices({"tasks": tasks, "chosen": {"tuned": chosen}})
    assert "0.700 ± 0.100" in html


def test_settings_are_near_the_recipes_own():
    rng = np.random.default_rng(0)
    for flags in choice._tuned(config(), TASKS, 50, rng)[1:]:
        rate, decay, dropout = flags
        assert 1e-3 / 5.7 < float(rate.partition("=")[2]) < 1e-3 * 5.7
        assert 1e-5 <= float(decay.partition("decay=")[2]) < 0.33
        assert dropout.startswith("--set=trunk.dropout=")
        changed = p5.recipe.configure(config(), [f[6:] for f in flags[1:]])
        assert changed.weight_decay > 0  # the settings are ones that a recipe takes
    assert len(choice._tuned(config(p5.trunks.ResNet50()), TASKS, 2, rng)[1]) == 2


def test_weights_have_the_sum_of_the_tasks_own():
    settings = choice._weights(config(), TASKS, 20, np.random.default_rng(0))
    assert settings[0] == ()
    for (flag,) in settings[1:]:
        changed = p5.recipe.configure(config(), [flag.removeprefix("--set=")])
        weights = [float(w.partition("=")[2]) for w in changed.loss_weights]
        assert sum(weights) == pytest.approx(1, abs=0.01) and min(weights) > 0


def test_groups_are_those_that_help_each_other(tmp_path):
    asked = {}

    def trials(wanted, fraction):
        ((name, flags),) = wanted
        asked.update(flags=flags, fraction=fraction)
        (tmp_path / name / "logs").mkdir(parents=True)
        pairs = {"a/b": -0.1, "b/a": -0.2, "a/c": 0.3, "c/a": 0.1, "b/c": 0.0, "c/b": 0}
        head = [f"affinity/lookahead/{p}" for p in pairs] + ["affinity/cosine/a/b"]
        rows = [
            ["epoch", *head],
            ["1", *pairs.values(), ""],
            ["2", *pairs.values(), 0.5],
        ]
        text = "\n".join(",".join(map(str, row)) for row in rows)
        (tmp_path / name / "logs" / "history.csv").write_text(text)
        return [tmp_path / name]

    (wanted,) = (a for a in arms(["groups=2"], list("abc")) if a.networks)
    chosen = choice.choose(wanted, config(), TASKS, options(0), trials)
    assert "--set=affinity_batches=8" in asked["flags"] and asked["fraction"] == 1.0
    assert [m["tasks"] for m in chosen["models"]] == [("a", "c"), ("b",)]
    assert chosen["what"] == "a + c | b"
    assert chosen["affinity"]["lookahead"][0][2] == pytest.approx(0.3)


def test_pareto_front_by_hand():
    points = np.array([[1, 5], [2, 4], [2, 3], [5, 1], [0, 5], [5, 1]])
    assert page_choice.pareto(points).tolist() == [True, True, False, True, False, True]


def test_the_page_shows_trials_front_and_maps(tmp_path):
    trials = Trials(tmp_path, lambda name, flags: 0.1 * int(name[0]))
    tasks = {t.name: {"primary": t.primary, "better": dict(t.better)} for t in TASKS}
    weights = choice.choose(arm("weights"), config(), TASKS, options(6), trials)
    table = np.array([[np.nan, 0.2], [0.1, np.nan]])
    groups = {
        "what": "a + b",
        "affinity": {
            "tasks": ["a", "b"],
            "lookahead": table.tolist(),
            "cosine": table.tolist(),
        },
    }
    html = page_choice.choices(
        {"tasks": tasks, "chosen": {"weights": weights, "groups=1": groups}}
    )
    assert html.count("<img") == 3 and "loss_weights=a=" in html
    assert page_choice.choices({"tasks": tasks}) == ""
