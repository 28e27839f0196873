"""Affinities, worked out by hand, and what measuring leaves alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import affinity


def model(names=("a", "b"), **dense):
    """A shared layer without an activation under one weight a task."""
    inputs = keras.Input((2,), name="input")
    shared = keras.layers.Dense(2, use_bias=False, name="shared", **dense)(inputs)
    outputs = {
        name: keras.layers.Dense(1, use_bias=False, name=name)(shared) for name in names
    }
    tasks = [p5.tasks.Regression(n, mean=[0.0], std=[1.0], loss="mse") for n in names]
    return p5.MultiTaskModel(inputs, outputs, tasks=tasks)


def batch(names=("a", "b"), missing=()):
    x = tf.constant([[1.0, 0.0], [0.0, 2.0]])
    y = {n: tf.constant([[1.0], [-1.0]]) * (k + 1) for k, n in enumerate(names)}
    w = {n: tf.zeros(2) if n in missing else tf.ones(2) for n in names}
    return x, y, w


def test_by_hand():
    net = model()
    net.compile("sgd")
    w = np.array([[0.5, -0.2], [0.1, 0.3]])
    heads = {"a": np.array([[1.0], [0.5]]), "b": np.array([[-0.3], [2.0]])}
    net.get_layer("shared").set_weights([w])
    for name, value in heads.items():
        net.get_layer(name).set_weights([value])
    x, y, weights = batch()
    lookahead, cosine = affinity.measure(net, x, y, weights)

    def loss(shared, name):
        return np.mean((x.numpy() @ shared @ heads[name] - y[name].numpy()) ** 2)

    def slope(name):
        error = x.numpy() @ w @ heads[name] - y[name].numpy()
        return x.numpy().T @ error @ heads[name].T  # 2 / 2 examples

    g = {name: slope(name) for name in "ab"}
    for i, one in enumerate("ab"):
        step = 0.01 * np.linalg.norm(w) / np.linalg.norm(g[one]) * g[one]
        for j, other in enumerate("ab"):
            expected = 1 - loss(w - step, other) / loss(w, other)
            np.testing.assert_allclose(lookahead[i, j], expected, rtol=1e-4)
    expected = np.sum(g["a"] * g["b"]) / (
        np.linalg.norm(g["a"]) * np.linalg.norm(g["b"])
    )
    np.testing.assert_allclose(cosine[0, 1], expected, rtol=1e-4)


def test_a_task_without_a_label_is_nan():
    net = model(("a", "b", "c"))
    net.compile("sgd")
    lookahead, cosine = affinity.measure(net, *batch(("a", "b", "c"), missing="b"))
    for found in (lookahead.numpy(), cosine.numpy()):
        assert np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()
        assert np.isfinite(found[[0, 0, 2, 2], [0, 2, 0, 2]]).all()


def test_the_model_stays_as_it_is_and_the_logs_are_complete():
    tasks = [p5.tasks.Regression(n, mean=[0.0], std=[1.0]) for n in "abc"]
    trunk = p5.trunks.Conv(4, 1, levels=2, dropout=0.5)
    net = p5.build_model(trunk, tasks, (8, 8, 3))
    net.compile("adam")
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 255, (8, 8, 8, 3)), tf.float32)
    y = {n: tf.constant(rng.normal(size=(8, 1)), tf.float32) for n in "abc"}
    data = tf.data.Dataset.from_tensors((x, y, {n: tf.ones(8) for n in "abc"}))
    before = [v.numpy() for v in net.variables]
    callback = p5.Affinity(2, lambda step: data.repeat())
    callback.set_model(net)
    callback.on_train_begin()
    logs = {}
    callback.on_epoch_end(0, logs)
    for old, new in zip(before, net.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    names, lookahead = affinity.matrix([logs, logs], "lookahead")
    _, cosine = affinity.matrix([logs, logs], "cosine")
    assert names == ["a", "b", "c"]
    apart = ~np.eye(3, dtype=bool)
    assert np.isfinite(lookahead[apart]).all() and np.isnan(np.diag(lookahead)).all()
    assert (np.abs(cosine[apart]) <= 1).all()
    np.testing.assert_array_equal(cosine, cosine.T)
    assert logs["affinity/lookahead/a/c"] == lookahead[0, 2]


def test_nothing_is_measured_unless_asked_for():
    callback = p5.Affinity(None, lambda step: pytest.fail("no batch is needed"))
    callback.set_model(model())
    callback.on_train_begin()
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0}


def test_mistakes():
    with pytest.raises(ValueError, match="affinity_batches=0"):
        p5.Affinity(0, lambda step: None)
    net = model(("a",))
    net.compile("sgd")
    callback = p5.Affinity(1, lambda step: None)
    callback.set_model(net)
    with pytest.raises(ValueError, match="two tasks or more on shared parameters"):
        callback.on_train_begin()
