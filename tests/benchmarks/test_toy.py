"""The toy problem by hand, and short runs of the methods on it."""

import importlib.util
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

FILE = pathlib.Path(__file__).parents[2] / "benchmarks" / "toy.py"


@pytest.fixture(scope="module")
def toy():
    spec = importlib.util.spec_from_file_location("toy_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_losses_below(toy):
    # c1 = 0 and c2 = tanh(1): L1 = s q1 c2 with q1 = (7² + 0.1 · 6²) / 10 − 20.
    found = toy.losses(tf.constant([0.0, -2.0], tf.float64), 0.1)
    q = (49 + 3.6) / 10 - 20
    assert np.allclose(found, [0.1 * q * math.tanh(1), q * math.tanh(1)])


def test_losses_above(toy):
    # At x1 = -7 the first logarithm is that of tanh(x2), and c1 = tanh(x2 / 2).
    found = toy.losses(tf.constant([-7.0, 2.0], tf.float64), 1.0)
    f1 = math.log(math.tanh(2)) + 6
    f2 = math.log(5 + math.tanh(-2) + 2) + 6
    assert np.allclose(found, [f1 * math.tanh(1), f2 * math.tanh(1)])


def test_gradients_below(toy):
    values, rows = toy.jacobian(
        tf.constant([[0.0, -8.0]], tf.float64), tf.ones(1, tf.float64)
    )
    c, slope = math.tanh(4), -0.5 / math.cosh(4) ** 2
    q = 4.9 - 20
    assert np.allclose(values, [[q * c, q * c]])
    assert np.allclose(rows, [[[-1.4 * c, q * slope], [1.4 * c, q * slope]]])


def test_gradient_passes_the_tie(toy):
    # At x2 = 0 both clamps are at their edge, and both slopes count: ½ and -½.
    _, rows = toy.jacobian(tf.zeros((1, 2), tf.float64), tf.ones(1, tf.float64))
    f1, f2, q = math.log(3.5) + 6, math.log(3.5) + 6, (49 + 6.4) / 10 - 20
    assert np.allclose(rows[0, :, 1], [(f1 - q) / 2, (f2 - q) / 2])


def test_reached(toy):
    ends = np.array([[0, -8.4], [7.1, -8.3], [7.3, -8.36], [0, -8.0]])
    assert toy.reached(ends).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "name", [pytest.param("Fixed", marks=pytest.mark.slow), "IMTLG"]
)
def test_starts_do_not_touch_each_other(toy, name):
    starts, scales = np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([1.0, 0.1])
    both = toy.paths(toy.make(name), starts, scales, 40, 0.05)
    alone = toy.paths(toy.make(name), starts[1:], scales[1:], 40, 0.05)
    assert both.shape == (2, 2, 2)
    assert np.allclose(both[:, 1:], alone, atol=1e-6)
    assert both[1, 0, 1] < -1  # down the slope to the Pareto set


def test_first_step(toy):
    # Adam's first step is the learning rate, against the sign of the gradient; at
    # (0, 0) both losses fall with x2 alone.
    start = np.array([[0.0, 0.0], [9.0, 9.0]])
    found = toy.paths(toy.make("Fixed"), start, np.ones(2), 1, 0.05)
    assert np.allclose(found, [start, [[0, -0.05], [8.95, 8.95]]], atol=1e-5)


def test_unknown_method(toy):
    with pytest.raises(ValueError, match="Received: methods='Nash'"):
        toy.make("Nash")


@pytest.mark.slow
def test_bars(toy):
    starts = np.array([[-8.5, 7.5], [0, 0], [9, 9], [-7.5, -0.5], [9, -1]])
    runs = (np.tile(starts, (2, 1)), np.repeat([0.1, 1.0], 5))
    for name in ("MGDA", "IMTLG", "NashMTL", "FAMO"):
        ends = toy.paths(toy.make(name), *runs)[-1]
        assert toy.reached(ends).all(), (name, ends)
