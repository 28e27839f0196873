import numpy as np
import pytest

from p5_keras.losses import Dice


def sure(classes, count=2):
    """Logits that leave no doubt of a class map."""
    return 60 * np.eye(count, dtype="float32")[np.array(classes)]


def test_by_hand():
    labels = np.array([[[0, 0], [1, 1]]])
    # Class 0: (2 * 1 + 1) / (2 + 1 + 1); class 1: (2 * 2 + 1) / (2 + 3 + 1).
    expected = 1 - (3 / 4 + 5 / 6) / 2
    value = Dice()(labels, sure([[[0, 1], [1, 1]]]))
    assert float(value) == pytest.approx(expected)


def test_soft_outputs_by_hand():
    # p = 1/2 everywhere; class 0: (2 * 1/2) / (1 + 1), class 1 likewise.
    value = Dice(smooth=0.0)(np.array([[[0, 1]]]), np.zeros((1, 1, 2, 2), "float32"))
    assert float(value) == pytest.approx(0.5)


def test_a_perfect_map_costs_nothing_even_where_a_class_is_absent():
    labels = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 0]]])
    assert float(Dice()(labels, sure(labels, 3))) == pytest.approx(0, abs=1e-6)


def test_ignored_pixels_take_no_part():
    labels = np.array([[[0, 0], [1, 1]]])
    ignored = np.array([[[0, 0, -1], [1, 1, -1]]])
    outputs = sure([[[0, 1], [1, 1]]])
    for more in (0, 1):
        wide = np.concatenate([outputs, sure([[[more], [more]]])], axis=2)
        value = float(Dice()(ignored, wide))
        assert value == pytest.approx(float(Dice()(labels, outputs)))


def test_mean_is_over_labelled_images():
    labels = np.array([[[0, 0]], [[0, 0]], [[0, 0]], [[-1, -1]]])
    outputs = sure([[[0, 0]], [[1, 1]], [[1, 1]], [[1, 1]]])
    # All wrong, class by class: 1 / (2 + 1); so each wrong image costs 2/3.
    value = Dice()(labels, outputs, np.array([1.0, 3.0, 0.0, 1.0]))
    assert float(value) == pytest.approx((0 + 3 * 2 / 3) / 4)
