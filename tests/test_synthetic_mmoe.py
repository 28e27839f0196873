"""The recipe of MMoE's synthetic regressions: its formula and its models."""

import dataclasses

import numpy as np
import pytest

import p5_keras as p5


@pytest.fixture
def recipe(monkeypatch):
    found = p5.recipe.load("synthetic_mmoe")
    monkeypatch.setattr(found, "SIZES", {"train": 5000, "validation": 7, "test": 9})
    return found


def test_weight_vectors_have_the_cosine(recipe):
    for correlation in (-1.0, 0.0, 0.5, 0.9, 1.0):
        w = recipe.weights(correlation, problem=3)
        expected = [[1, correlation], [correlation, 1]]
        np.testing.assert_allclose(w.T @ w, expected, atol=1e-12)
    other = recipe.weights(0.5, problem=4)
    assert abs(other[:, 0] @ recipe.weights(0.5, problem=3)[:, 0]) < 0.5
    with pytest.raises(ValueError, match=r"`correlation` must be .*correlation=1.5"):
        recipe.weights(1.5, problem=0)


def test_label_by_hand(recipe):
    z = 0.3
    expected = z + sum(np.sin(i * z + i) for i in (1, 2, 3, 4))
    np.testing.assert_allclose(recipe.label(np.array([[z]])), [[expected]])


def test_examples_follow_the_formula(recipe):
    found = recipe.examples(0.5, 1, "train")
    assert found["input"].shape == (5000, 100)
    labels = np.stack([found["first"], found["second"]], axis=1)
    noise = labels - recipe.label(found["input"] @ recipe.weights(0.5, 1))
    assert abs(noise.mean()) < 0.005 and abs(noise.std() - 0.1) < 0.005
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05
    # Only the second task changes with the correlation.
    same = recipe.examples(1.0, 1, "train")
    np.testing.assert_array_equal(same["input"], found["input"])
    np.testing.assert_array_equal(same["first"], found["first"])
    np.testing.assert_allclose(same["second"], same["first"], atol=1.0)
    assert np.std(same["second"] - same["first"]) == pytest.approx(0.141, abs=0.01)
    assert np.std(found["second"] - found["first"]) > 1


def test_splits_and_problems_differ(recipe):
    x = [recipe.examples(0.5, 0, split)["input"] for split in recipe.SIZES]
    assert [len(each) for each in x] == [5000, 7, 9]
    assert not np.allclose(x[0][:7], x[1]) and not np.allclose(x[1], x[2][:7])
    assert not np.allclose(recipe.examples(0.5, 1, "test")["input"], x[2])


def test_the_papers_numbers_of_parameters(recipe):
    config = recipe.Config()
    tasks = recipe.tasks(config)
    experts = recipe.model(config, tasks)
    bottom = dataclasses.replace(config, sharing=None, trunk=p5.trunks.Dense([113]))
    kernels = {}
    for name, model in {"MMoE": experts, "bottom": recipe.model(bottom, tasks)}.items():
        wide = [v for v in model.trainable_variables if len(v.shape) == 2]
        # Without gates and without the layer of one unit, as the paper counts.
        kernels[name] = sum(
            int(np.prod(v.shape))
            for v in wide
            if "gate" not in v.path and v.shape[-1] > 1
        )
    assert kernels == {"MMoE": 13_056, "bottom": 100 * 113 + 113 * 8 * 2}
    assert len([x for x in experts.layers if x.name.startswith("gate_")]) == 2


def test_a_batch(recipe):
    config = dataclasses.replace(recipe.Config(), batch_size=4)
    tasks = recipe.tasks(config)
    source = recipe.data(config, tasks, "validation")
    x, labels, _ = next(iter(p5.data.evaluation(source, tasks, 7)))
    found = recipe.examples(0.5, 0, "validation")
    np.testing.assert_allclose(x, found["input"])
    np.testing.assert_allclose(labels["second"][:, 0], found["second"], rtol=1e-6)
