import itertools
import time

import numpy as np
import pytest

from p5_keras.compare.grouping import propose

NAMES = ["a", "b", "c", "d"]


def planted(within=0.2, between=-0.1):
    """Tasks a and c help each other, and b and d."""
    table = np.full((4, 4), between)
    for i, j in ((0, 2), (1, 3)):
        table[i, j] = table[j, i] = within
    return table


def test_pairs_are_found():
    assert propose(planted(), NAMES, 2) == [["a", "c"], ["b", "d"]]


def test_tasks_that_harm_each_other_are_alone():
    assert propose(np.full((4, 4), -1.0), NAMES, 4) == [["a"], ["b"], ["c"], ["d"]]


def test_one_network_has_all():
    assert propose(planted(), NAMES, 1) == [NAMES]


def test_of_equals_the_fewest_networks():
    assert propose(np.zeros((4, 4)), NAMES, 4) == [NAMES]
    assert propose(np.full((4, 4), np.nan), NAMES, 3) == [NAMES]


def test_help_that_is_not_returned_counts_for_the_one_it_helps():
    table = np.zeros((3, 3))
    table[0, 1], table[1, 0], table[1, 2], table[2, 1] = 1.0, -0.4, 0.3, 0.2
    # {a, b}: 1 - 0.4; {b, c}: 0.3 + 0.2; all: (-0.4 + 0) / 2 + (1 + 0.2) / 2 + 0.3 / 2
    assert propose(table, ["a", "b", "c"], 2) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_divisions(seed):
    table = np.random.default_rng(seed).normal(size=(5, 5))

    def score(labels):
        total = 0.0
        for task, label in enumerate(labels):
            mates = [t for t in range(5) if labels[t] == label and t != task]
            total += table[mates, task].mean() if mates else 0.0
        return total

    best = max(score(labels) for labels in itertools.product(range(3), repeat=5))
    groups = propose(table, list("abcde"), 3)
    labels = [next(k for k, g in enumerate(groups) if t in g) for t in "abcde"]
    assert score(labels) == pytest.approx(best)


def test_ten_tasks_take_seconds():
    start = time.perf_counter()
    propose(np.random.default_rng(0).normal(size=(10, 10)), list("abcdefghij"), 4)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("networks", [0, 5])
def test_as_many_networks_as_tasks_at_most(networks):
    with pytest.raises(ValueError, match=f"Received: networks={networks}"):
        propose(planted(), NAMES, networks)
