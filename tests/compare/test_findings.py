"""What is said of planted numbers, and the page of them."""

import json

import numpy as np
import pytest

import p5_keras as p5
from p5_keras.compare import findings, page

TASKS = [
    p5.tasks.Classification("kind", num_classes=3),
    p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
]
SEEDS = [3, 4, 5]


def write(workdir, arm, model, gains, cost):
    """Writes the runs of a model whose scores are better than 0 by some numbers."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        path = findings.folder(workdir, arm.name, model.name, seed)
        path.mkdir(parents=True)
        scores = {t: gains[t] + 0.1 * rng.normal(size=200) for t in model.tasks}
        np.savez(path / "scores.npz", **scores)
        metrics = {
            "kind": {"accuracy": {"test": 0.5 + gains["kind"]}},
            "size": {
                "mae": {"test": 1.0 - gains["size"]},
                "rmse": {"test": 2.0 - gains["size"]},
            },
        }
        results = {
            "tasks": {t: {"metrics": metrics[t]} for t in model.tasks},
            "parameters": {"trunk": cost, "sharing": 0, "heads": {}},
            "flops": {"trunk": 10 * cost, "sharing": 0, "heads": {}},
            "train": {"steps": 10, "wall_seconds": 2.0},
        }
        (path / "results.json").write_text(json.dumps(results))


def gathered(tmp_path, joint, other=None):
    """Findings where the joint model gains so much, by task, and another arm so."""
    workdir = p5.Workdir(tmp_path)
    names = ["NashMTL"] if other else []
    arms = p5.compare.arms(names, [t.name for t in TASKS])
    given = {"single": {"kind": 0.0, "size": 0.0}, "joint": joint, "NashMTL": other}
    for arm in arms:
        for model in arm.models:
            write(workdir, arm, model, given[arm.name], 100)
    return findings.gather(workdir, arms, SEEDS, TASKS)


def test_numbers_by_arm(tmp_path):
    found = gathered(tmp_path, {"kind": 0.1, "size": -0.5})
    single, joint = found["arms"]["single"], found["arms"]["joint"]
    assert (single["parameters"], joint["parameters"]) == (200, 100)
    assert (single["seconds"], single["steps"]) == (4.0, 20.0)
    assert joint["metrics"]["kind"]["accuracy"] == [0.6] * 3
    # +20 %; -50 % and -25 %.
    assert joint["delta_m"]["metrics"] == pytest.approx([-55 / 3] * 3)
    assert joint["delta_m"]["tasks"] == pytest.approx([(20 - 37.5) / 2] * 3)
    assert joint["rank"] == single["rank"] == 1.5
    assert joint["differences"]["single"]["kind"]["mean"] == pytest.approx(0.1)
    assert single["differences"] == {}


@pytest.mark.parametrize(
    ("joint", "says"),
    [
        (
            {"kind": 0.1, "size": 0.0},
            "Sharing helps 1 of 2 tasks, and no harm is shown.",
        ),
        ({"kind": 0.1, "size": -0.1}, "Sharing helps 1 and harms 1 of 2 tasks."),
        ({"kind": 0.0, "size": -0.1}, "Sharing harms 1 of 2 tasks, and no gain"),
        ({"kind": 0.0, "size": 0.0}, "No difference is found between sharing and not"),
    ],
)
def test_words_are_what_the_intervals_support(joint, says, tmp_path):
    words = gathered(tmp_path, joint)["verdicts"]
    assert any(text.startswith(says) for text in words)
    by_task = {0.1: "gains on", 0.0: "shows no difference from", -0.1: "loses against"}
    for task, gain in joint.items():
        start = f"{task}: the joint model {by_task[gain]} a model of its own"
        assert any(text.startswith(start) for text in words)
    advised = any(text.startswith("size: to try:") for text in words)
    assert advised == (joint["size"] < 0)


def test_an_arm_that_does_not_lose_is_named(tmp_path):
    joint, other = {"kind": 0.0, "size": -0.1}, {"kind": -0.2, "size": 0.0}
    words = gathered(tmp_path, joint, other)["verdicts"]
    assert "size: no loss is shown with NashMTL." in words
    assert words[-1] == (
        "NashMTL against the sum of the losses: better on size and worse on kind."
    )


def test_table_and_page(tmp_path):
    found = gathered(tmp_path, {"kind": 0.1, "size": 0.0}, {"kind": 0.1, "size": 0.0})
    found |= {"recipe": "a", "minutes": 2.0, "jobs": 1, "batch_size": 8}
    text = page.leaderboard({**found, "failed": {"<PLE>": "too <small>"}})
    assert "kind accuracy ^" in text and "size mae v" in text
    assert "0.6000 +- 0.0000" in text
    path = tmp_path / "report.html"
    page.write(path, {**found, "failed": {"<PLE>": "too <small>"}})
    html = path.read_text()
    assert html.count("<img") == 3  # differences, cost, and both tasks
    assert "&lt;PLE&gt;: too &lt;small&gt;" in html and "<small>too" not in html
    for text in found["verdicts"]:
        assert text in html
