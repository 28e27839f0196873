import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.data.folds import deal

TASKS = [p5.tasks.Regression("left"), p5.tasks.Regression("right")]


def source(size, field="left", shift=0, **kwargs):
    """Examples whose input is their number, and which epoch they were read in."""

    def read(indices, epochs):
        x = tf.cast(tf.stack([indices + shift, epochs], axis=1), tf.float32)
        return {"input": x, field: x[:, 0]}

    return p5.data.Source(size, read, **kwargs)


def numbers(source, tasks=TASKS[:1]):
    """The numbers of all examples, and those that have a label for each task."""
    found, labelled = [], collections.defaultdict(list)
    for x, _, weights in p5.data.evaluation(source, tasks, 1):
        found.append(int(x[0, 0]))
        for name, weight in weights.items():
            labelled[name] += [found[-1]] * int(weight[0])
    return found, labelled


def test_folds_are_disjoint_complete_and_even():
    whole = source(11)
    seen = []
    for k in range(3):
        rest, own = p5.data.fold(whole, k, 3)
        assert own.size in (3, 4) and rest.size == 11 - own.size
        inside, outside = numbers(own)[0], numbers(rest)[0]
        assert sorted(inside + outside) == list(range(11))
        assert inside == sorted(inside) and outside == sorted(outside)
        seen += inside
    assert sorted(seen) == list(range(11))
    assert seen != sorted(seen)  # folds are no runs of neighbours
    assert deal(11, 3).tolist() == deal(11, 3).tolist()


def test_training_on_the_rest_sees_nothing_of_the_fold():
    rest, own = p5.data.fold(source(10), 1, 5)
    held_out = set(numbers(own)[0])
    batches = p5.data.training(rest, TASKS[:1], 4, seed=1).take(4)
    x = np.concatenate([x.numpy() for x, _, _ in batches]).astype(int)
    assert not held_out & set(x[:, 0])
    assert collections.Counter(x[:8, 0]) == dict.fromkeys({*range(10)} - held_out, 1)
    assert x[:8, 1].tolist() == [0] * 8 and x[8:, 1].tolist() == [1] * 8  # epochs


def test_groups_stay_whole():
    groups = np.array([7, 7, 7, 7, 3, 3, 3, 5, 5, 9, 1])
    place = deal(11, 3, groups)
    by_group = {g: set(place[groups == g].tolist()) for g in groups.tolist()}
    assert all(len(found) == 1 for found in by_group.values())
    # Large ones first: 4, then 3, then 2; one more goes to the 2, the last to a 3.
    assert sorted(np.bincount(place).tolist()) == [3, 4, 4]
    rest, own = p5.data.fold(source(11, groups=groups), int(place[0]), 3)
    assert not {0, 1, 2, 3} & set(numbers(rest)[0])
    assert {0, 1, 2, 3} <= set(numbers(own)[0])
    # Those of the first examples only.
    assert len(deal(7, 2, groups)) == 7


def test_a_mixture_is_divided_source_by_source():
    def mixup(batch, seed):
        return batch

    parts = {"a": source(6), "b": source(9, "right", shift=100)}
    mixture = p5.data.mix(parts, TASKS, ratio={"a": 2, "b": 1})
    mixture = dataclasses.replace(mixture, augment_batch=mixup)
    rest, own = p5.data.fold(mixture, 0, 3)
    assert rest.augment_batch is mixup and rest.counts.tolist() == [[10, 5]]
    inside, labelled = numbers(own, TASKS)
    assert [len(labelled[name]) for name in ("left", "right")] == [2, 3]
    outside, _ = numbers(rest, TASKS)
    assert sorted(inside + outside) == [*range(6), *range(100, 109)]
    x = [x.numpy() for x, _, _ in p5.data.training(rest, TASKS, 5).take(12)]
    assert set(np.concatenate(x)[:, 0].astype(int)) == set(outside)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_number_of_folds_that_cannot_be(count):
    with pytest.raises(ValueError, match=f"folds={count}, training examples: 5"):
        p5.data.fold(source(5), 0, count)


def test_fewer_groups_than_folds():
    message = "at most the number of groups of training examples.*folds=3, .*: 2"
    with pytest.raises(ValueError, match=message):
        deal(6, 3, np.array([0, 0, 0, 1, 1, 1]))
