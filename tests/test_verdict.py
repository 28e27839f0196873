import math
import pathlib

import numpy as np
import pytest

import p5_keras as p5
from p5_keras import evaluation, report, verdict
from p5_keras.tasks import (
    Classification,
    DenseRegression,
    Detection,
    MultiLabel,
    Regression,
    Segmentation,
    Tagging,
)

ROOT = pathlib.Path(__file__).parent.parent
NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "high", "smallest", "said"),
    [
        (0.1, 0.3, None, "yes"),
        (0.1, 0.3, 0.2, "yes"),
        (0.1, 0.3, 0.21, "too small to matter"),
        (-0.3, -0.1, 0.2, "no"),
        (-0.3, -0.1, 0.21, "too small to matter"),
        (-0.1, 0.3, 0.05, "not shown"),
        (0.0, 0.2, None, "not shown"),
        (NAN, NAN, 0.1, "not shown"),
        (None, None, None, "not shown"),
    ],
)
def test_answer(low, high, smallest, said):
    mean = None if low is None else (low + high) / 2
    assert verdict.answer(mean, low, high, smallest) == said
    if low is not None:
        given = {"mean": mean, "low": low, "high": high}
        given["smallest_difference"] = smallest
        assert verdict.sign(given) == {"yes": 1, "no": -1}.get(said, 0)


@pytest.mark.parametrize(
    ("task", "baseline", "metric", "value"),
    [
        (Classification("a", num_classes=3), 0.5, "accuracy", 0.01),
        (Classification("a", num_classes=3), 0.99, None, 0.0002),
        (Regression("a"), 3.0, "mae", 0.06),
        (Regression("a"), -3.0, None, 0.06),
        (Detection("a", num_classes=2), 0.0, "map50", 0.01),
        (MultiLabel("a", num_classes=2), 0.5, "auc", 0.02),
        (Segmentation("a", num_classes=2), 0.5, "miou", 0.01),
        (Classification("a", num_classes=3), NAN, "accuracy", NAN),
    ],
)
def test_the_smallest_difference_is_a_share_of_the_way(task, baseline, metric, value):
    found = verdict.smallest_difference(task, baseline, metric)
    assert found == pytest.approx(value, nan_ok=True)


def kinds(base=p5.Task):
    for kind in base.__subclasses__():
        if kind.__module__.startswith("p5_keras."):
            yield kind
            yield from kinds(kind)


def test_every_metric_of_every_kind_has_one_and_docs_say_it():
    docs = (ROOT / "docs" / "results.md").read_text("utf-8")
    for kind in kinds():
        if kind.better:
            assert set(kind.smallest_difference) == set(kind.better), kind
            assert all(0 < v < 0.1 for v in kind.smallest_difference.values()), kind
        if kind.__module__.startswith("p5_keras.tasks."):
            for metric, share in kind.smallest_difference.items():
                assert f"`{metric}` {100 * share:g} %" in docs, (kind, metric)


def entry(test, trivial, interval=(0.1, 0.2), **score):
    low, high = interval
    score = {"difference": (low + high) / 2, "interval": [low, high], **score}
    smallest = {"smallest_difference": 0.01}
    values = {"test": test, "trivial": trivial, "better": "higher", **smallest}
    return {
        "primary": "map50",
        "metrics": {"map50": values},
        "score": {**score, **smallest},
    }


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (entry(0.5, 0.0), "yes"),
        (entry(0.0002, 0.0), "too small to matter"),  # whatever the images' scores
        (entry(0.5, 0.0, (0.001, 0.002)), "too small to matter"),
        (entry(0.5, 0.0, same_answer=True), "no"),
        (entry(0.5, 0.0, (-0.2, 0.2)), "not shown"),
        (entry(None, 0.0), "yes"),
        ({"score": None}, "not shown"),
        ({"score": {"interval": [0.1, 0.2]}}, "yes"),  # as earlier versions wrote it
    ],
)
def test_beats_trivial_in_results_report_and_leaderboard(task, said):
    assert verdict.beats_trivial(task) == said
    if "primary" in task:
        board = report.leaderboard({"tasks": {"a": task}}).splitlines()
        assert board[2].endswith(said)


def same(task, *batches):
    seen = evaluation._SameAnswer()
    for output, present in batches:
        fields = {k: np.asarray(v) for k, v in task.decode(output).items()}
        seen.see(fields, np.array(present))
    return seen.same


def test_one_answer_for_every_example():
    """An empty mask, no box, one class, one number: whatever the probabilities."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(4, 8, 8, 2)).astype("float32")
    background = maps.copy()
    background[..., 0] = 9 + rng.random((4, 8, 8))
    task = Segmentation("a", num_classes=2)
    assert same(task, (background, [True] * 4))
    assert not same(task, (maps, [True] * 4))
    # Only labelled examples count, over all batches.
    assert same(task, (maps, [False] * 3 + [True]), (maps, [False] * 3 + [True]))
    assert not same(task, (background, [True] * 4), (maps, [True] * 4))
    task = Classification("a", num_classes=3)
    logits = rng.normal(size=(4, 3)).astype("float32")
    assert same(task, (logits + np.float32([0, 9, 0]), [True] * 4))
    assert not same(task, (np.eye(3, dtype="float32"), [True] * 3))
    task = Regression("a", mean=[5.0], std=[2.0])
    ones = np.ones((4, 1), "float32")
    assert same(task, (ones, [True] * 4))
    assert not same(task, (ones + 0.1 * logits[:, :1], [True] * 4))


@pytest.mark.parametrize("foreground", [0.1, 0.5])
def test_an_empty_mask_does_not_beat_the_trivial_one(foreground):
    """Through the scores that `assess` compares, on masks of any place."""
    rng = np.random.default_rng(0)
    task = Segmentation("a", num_classes=2)
    truth = (rng.random((40, 8, 8)) < foreground).astype("int32")
    prior = np.argmax(task.prior(truth[:20], np.ones(20)), axis=-1)
    empty = np.zeros((20, 8, 8), "int32")
    ours, theirs = (
        task.example_scores(truth[20:], {"classes": found})
        for found in (empty, np.repeat(prior[None], 20, 0))
    )
    low, high = evaluation.paired_interval(ours - theirs)
    score = {"difference": float(np.mean(ours - theirs)), "interval": [low, high]}
    score["same_answer"] = same(task, (np.eye(2)[empty] * 9.0, [True] * 20))
    assert score["same_answer"]
    assert verdict.beats_trivial({"score": score}) != "yes"


def test_a_detector_that_finds_nothing_does_not_beat_the_trivial_one():
    """Images without objects count for it, and its answers do not vary."""
    nothing = {"boxes": np.zeros((6, 5, 4)), "scores": np.zeros((6, 5))}
    nothing |= {"classes": np.full((6, 5), -1), "count": np.zeros(6, int)}
    label = np.full((6, 2, 5), -1.0)
    label[:2, 0] = [0, 0, 8, 8, 1]
    ours = Detection("a", num_classes=2).example_scores(label, nothing)
    assert ours.tolist() == [0, 0, 1, 1, 1, 1]
    seen = evaluation._SameAnswer()
    seen.see(nothing, np.ones(6, bool))
    low, high = evaluation.paired_interval(ours - 0.2)
    score = {"difference": float(np.mean(ours) - 0.2), "interval": [low, high]}
    assert low > 0 and seen.same
    task = entry(0.0, 0.0, same_answer=seen.same)
    assert verdict.beats_trivial({**task, "score": {**task["score"], **score}}) == "no"


def test_a_model_that_knows_is_still_said_to():
    score = {"difference": 0.4, "interval": [0.3, 0.5], "smallest_difference": 0.01}
    task = entry(0.9, 0.5)
    assert verdict.beats_trivial({**task, "score": score}) == "yes"
    assert math.isnan(verdict.smallest_difference(Tagging("t", num_classes=2), NAN))
    assert DenseRegression.smallest_difference["abs_rel"] == 0.02
