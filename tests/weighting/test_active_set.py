"""Projections of all gradients beside non-negative least squares, on both ways."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import nnls

from p5_keras.weighting import active_set


def unit_rows(count, size, jacobian):
    rows = jacobian(count, size, conflict=0.9)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def solved(rows):
    alive = tf.ones(len(rows), tf.bool)
    return active_set.projections(tf.constant(rows @ rows.T), alive).numpy() @ rows


def expected(rows):
    return np.array([row + nnls(rows.T, -row)[0] @ rows for row in rows])


@pytest.mark.parametrize(("count", "size"), [(3, 9), (12, 8), (40, 60)])
def test_a_guess_that_is_proved_needs_no_interior_point(
    count, size, jacobian, monkeypatch
):
    def refuse(*args):
        raise AssertionError("The guess was given up.")

    monkeypatch.setattr(active_set, "quadratic", refuse)
    rows = unit_rows(count, size, jacobian)
    np.testing.assert_allclose(solved(rows), expected(rows), atol=1e-8)


def test_dependent_gradients_go_the_long_way(jacobian, monkeypatch):
    calls, whole = [], active_set.quadratic

    def counted(*args):
        calls.append(args)
        return whole(*args)

    monkeypatch.setattr(active_set, "quadratic", counted)
    rows = unit_rows(40, 30, jacobian)
    np.testing.assert_allclose(solved(rows), expected(rows), atol=1e-6)
    assert calls


def test_the_guess_is_near_and_exactly_0_where_nothing_binds():
    # Only the first two conflict: each needs 0.5 of the other.
    cosines = np.array([[1, -0.5, 0], [-0.5, 1, 0.2], [0, 0.2, 1]])
    found = active_set.guess(tf.constant(cosines)).numpy()
    np.testing.assert_allclose(found, [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]], atol=1e-3)
    assert not found[2].any() and not found[[0, 1], [0, 1]].any()
