"""Comparisons of which the answer is known, each made a hundred times."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import affinity
from p5_keras.compare.grouping import propose

HERE = pathlib.Path(__file__).parent
SEEDS, EXAMPLES, COMPARISONS = 6, 300, 60


def module(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def arrays(kind, monkeypatch):
    """Inputs and labels of training, and of a test set that stands for all examples."""
    planted = p5.recipe.load(str(HERE / "planted.py"))
    monkeypatch.setitem(planted.SIZES, "test", 10_000)
    found = []
    for split in ("train", "test"):
        source = planted.data(planted.Config(kind=kind), [], split)
        example = source.read(tf.range(source.size), None)
        labels = [example[n] for n in "abcd"[: len(planted.READS[kind])]]
        found.append((example["input"].numpy(), np.stack(labels, axis=1)))
    return found


def scores(train, test, groups, units, replicas):
    """Scores `(replicas, examples, tasks)`, higher is better."""
    found = np.empty((replicas, *test[1].shape), np.float32)
    for group in groups:
        predict = module("cheap").trained(
            train[0], train[1][:, group], units, replicas, seed=len(group)
        )
        for part in np.array_split(np.arange(len(test[0])), 10):
            error = np.abs(predict(test[0][part]) - test[1][part][:, group])
            found[:, part[0] : part[-1] + 1, group] = -error
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "units", "answers"),
    [("same", 8, (1, 1)), ("apart", 2, (-1, -1)), ("noise", 8, (None, 1))],
)
def test_the_verdict_is_right_and_intervals_cover(kind, units, answers, monkeypatch):
    train, test = arrays(kind, monkeypatch)
    replicas = SEEDS * COMPARISONS
    joint = scores(train, test, [[0, 1]], units, replicas)
    single = scores(train, test, [[0], [1]], units, replicas)
    difference = joint - single
    rng = np.random.default_rng(0)
    covered = []
    for task, answer in enumerate(answers):
        truth = difference[..., task].mean()
        shown = []
        for k in range(COMPARISONS):
            examples = rng.choice(len(test[0]), EXAMPLES, replace=False)
            seeds = slice(k * SEEDS, (k + 1) * SEEDS)
            found = p5.compare.interval(difference[seeds, :, task][:, examples])
            covered.append(found.low <= truth <= found.high)
            shown.append(found.shown)
        if answer is None:  # noise beside it changes next to nothing for the other
            assert abs(truth) < 0.02 and np.mean(np.equal(shown, 0)) >= 0.85
        else:
            assert np.sign(truth) == answer
            assert np.mean(np.equal(shown, answer)) >= 0.3
            assert np.mean(np.equal(shown, -answer)) <= 0.05
    assert np.mean(covered) >= 0.88  # 0.95 but for the chance of 120 intervals


@pytest.mark.slow
def test_affinities_find_the_pairs_and_the_pairs_are_better(monkeypatch):
    planted = p5.recipe.load(str(HERE / "planted.py"))
    config = planted.Config(kind="pairs", trunk=p5.trunks.Dense([4]))
    tasks = planted.tasks(config)
    source = planted.data(config, tasks, "train")
    keras.utils.set_random_seed(0)
    model = planted.model(config, tasks)
    model.compile(p5.recipe.default_optimizer(config, 240))
    batches = p5.data.training(source, tasks, 50, 0)
    history = model.fit(
        batches,
        steps_per_epoch=24,
        epochs=10,
        verbose=0,
        callbacks=[
            p5.Affinity(2, lambda step: p5.data.training(source, tasks, 50, 0, step))
        ],
    ).history
    rows = [
        dict(zip(history, row, strict=True))
        for row in zip(*history.values(), strict=True)
    ]
    names, table = affinity.matrix(rows, "lookahead")
    assert propose(table, names, 2) == [["a", "c"], ["b", "d"]]

    train, test = arrays("pairs", monkeypatch)
    means = [
        scores(train, test, groups, 4, 50).mean()
        for groups in ([[0, 2], [1, 3]], [[0, 1], [2, 3]], [[0, 3], [1, 2]])
    ]
    assert means[0] > max(means[1:]) + 0.02
