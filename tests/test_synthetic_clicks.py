"""The recipe of clicks and purchases: its truth, and what it makes of it."""

import dataclasses

import numpy as np
import pytest

import p5_keras as p5


@pytest.fixture
def recipe(monkeypatch):
    found = p5.recipe.load("synthetic_clicks")
    monkeypatch.setattr(found, "SIZES", {"train": 40_000, "validation": 7, "test": 9})
    return found


def test_examples_follow_their_probabilities(recipe):
    found = recipe.examples(1, "train")
    assert found["input"].shape == (40_000, 20)
    assert set(np.unique(found["click"])) == set(np.unique(found["buy"])) == {0, 1}
    clicked = found["click"] > 0
    np.testing.assert_array_equal(found["clicked"], found["click"])
    assert not found["buy"][~clicked].any()
    # Where a click is likely there are clicks, and likewise of purchases after them.
    for label, p, rows in (
        ("click", "p_click", slice(None)),
        ("buy", "p_buy", clicked),
    ):
        y, p = found[label][rows], found[p][rows]
        for part in np.array_split(np.argsort(p), 4):
            error = np.sqrt(p[part].mean() / len(part))
            assert abs(y[part].mean() - p[part].mean()) < 4 * error
    # What is clicked is no sample of what is shown.
    assert found["p_buy"][clicked].mean() > 1.3 * found["p_buy"].mean()


def test_splits_and_problems_differ(recipe):
    x = [recipe.examples(0, split)["input"] for split in recipe.SIZES]
    assert [len(each) for each in x] == [40_000, 7, 9]
    assert not np.allclose(x[0][:7], x[1]) and not np.allclose(x[1], x[2][:7])
    assert not np.allclose(recipe.examples(1, "test")["input"], x[2])


def test_both_ways_of_learning(recipe):
    config = dataclasses.replace(recipe.Config(), batch_size=4)
    kinds, weights = {}, {}
    for learn in ("all", "clicked"):
        own = dataclasses.replace(config, learn=learn)
        tasks = recipe.tasks(own)
        kinds[learn] = type(tasks[1])
        source = recipe.data(own, tasks, "validation")
        _, labels, weight = next(iter(p5.data.evaluation(source, tasks, 7)))
        weights[learn] = weight["buy"].numpy()
        truth = recipe.examples(0, "validation")
        np.testing.assert_array_equal(labels["buy"][:, 0], truth["buy"])
        assert recipe.model(own, tasks).task_names == ["click", "buy"]
    assert kinds == {"all": p5.tasks.Conversion, "clicked": p5.tasks.Binary}
    np.testing.assert_array_equal(weights["all"], np.ones(7))
    np.testing.assert_array_equal(weights["clicked"], truth["click"])
    with pytest.raises(ValueError, match=r"`learn` must be .*learn='bought'"):
        recipe.tasks(dataclasses.replace(config, learn="bought"))
