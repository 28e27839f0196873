import numpy as np
import pytest
import tensorflow as tf

from p5_keras import weighting as w
from p5_keras.weighting import Clock

#: Their loops are slow one operation at a time; for the others a trace costs more.
LOOPS = (w.CAGrad, w.DualProj, w.FairGrad, w.MGDA, w.NashMTL)
_functions = {}


def _clock(step=0, epoch=0):
    return Clock(tf.constant(step, tf.int64), tf.constant(epoch, tf.int64))


def _names(count):
    return [f"t{i}" for i in range(count)]


def _weigh(
    method,
    gram=None,
    losses=None,
    present=None,
    *,
    seed=(1, 2),
    state=None,
    step=0,
    epoch=0,
    call=None,
):
    """One step of a method with NumPy in and out; the default losses are 1."""
    count = len(losses if gram is None else gram)
    if state is None:
        state = method.start(_names(count))
    losses = np.ones(count) if losses is None else losses
    present = np.ones(count, bool) if present is None else present
    weights, state = (call or method.step)(
        tf.constant(losses, tf.float32),
        None if gram is None else tf.constant(gram),
        tf.constant(present),
        _clock(step, epoch),
        tf.constant(seed),
        {k: tf.constant(v) for k, v in state.items()},
    )
    return weights.numpy(), {k: v.numpy() for k, v in state.items()}


def _jacobian(count, size, spread=0.0, conflict=0.0, seed=0):
    """Random gradients, less a part of their mean, with norms over 10^±spread."""
    random = np.random.default_rng([count, size, seed])
    rows = random.normal(size=(count, size))
    rows -= conflict * rows.mean(0)
    return rows * 10 ** random.uniform(-spread, spread, size=(count, 1))


def _traced(method):
    """The method's step as one function for all tests, traced once for each shape."""
    if repr(method) not in _functions:
        _functions[repr(method)] = tf.function(method.step)
    return _functions[repr(method)]


def _quick(method):
    """The method's step, traced where that takes less time in many calls."""
    return _traced(method) if isinstance(method, LOOPS) else method.step


@pytest.fixture(scope="session")
def traced():
    return _traced


@pytest.fixture(scope="session")
def quick():
    return _quick


@pytest.fixture(scope="session")
def weigh():
    return _weigh


@pytest.fixture(scope="session")
def jacobian():
    return _jacobian


@pytest.fixture(scope="session")
def clock():
    return _clock
