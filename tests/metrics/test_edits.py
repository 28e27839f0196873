import numpy as np
import pytest

from p5_keras.metrics.edits import Edits, edit_distance


def rows(*words, length=8):
    found = np.full((len(words), length), -1)
    for row, word in zip(found, words, strict=True):
        row[: len(word)] = [ord(letter) for letter in word]
    return found


def by_hand(a, b):
    if not a or not b:
        return len(a) + len(b)
    replaced = by_hand(a[1:], b[1:]) + (a[0] != b[0])
    return min(replaced, by_hand(a[1:], b) + 1, by_hand(a, b[1:]) + 1)


def test_edit_distances_of_known_words():
    truth = rows("kitten", "abc", "", "ab", "flaw")
    guess = rows("sitting", "abc", "ab", "", "lawn", length=9)
    assert edit_distance(truth, guess).tolist() == [3, 0, 2, 2, 2]


def test_edit_distances_are_the_least():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ab"), rng.integers(0, 6))) for _ in range(2 * 60)]
    wanted = [by_hand(a, b) for a, b in zip(words[:60], words[60:], strict=True)]
    found = edit_distance(rows(*words[:60]), rows(*words[60:]))
    assert found.tolist() == wanted


def test_the_error_rate_is_that_of_all_symbols_together():
    metric = Edits()
    assert metric.result() == {"error_rate": None, "accuracy": None}
    label = rows("abcd", "a", "zzzz")
    fields = {"label": rows("abcd", "bb", "", length=3 + 3)}
    metric.update(label, np.array([1, 1, 0]), fields)
    assert metric.result() == {"error_rate": pytest.approx(2 / 5), "accuracy": 1 / 2}
