import numpy as np
import pytest
import tensorflow as tf

from p5_keras.weighting import Clock


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


@pytest.fixture(scope="session")
def weigh():
    return _weigh


@pytest.fixture(scope="session")
def jacobian():
    return _jacobian


@pytest.fixture(scope="session")
def clock():
    return _clock
