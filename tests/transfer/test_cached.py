"""Heads on features computed once learn what they would have learned the slow way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.trunks import Conv

N = 22


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    columns = {
        "image": rng.integers(0, 255, (N, 16, 16, 3), "uint8"),
        "kind": rng.integers(-1, 3, N),  # some are missing
        "mask": rng.integers(0, 2, (N, 16, 16, 1)),
    }
    columns = {n: tf.constant(c) for n, c in columns.items()}

    def read(index, epoch):
        return {n: tf.gather(c, index) for n, c in columns.items()}

    def transform(example):
        return {**example, "image": 255 - example["image"]}

    def load(example):
        return {**example, "kind": tf.maximum(example["kind"], -1)}

    return p5.data.Source(N, read, transform=transform, load=load)


def make(sharing=None):
    keras.utils.set_random_seed(3)
    tasks = [
        p5.tasks.Classification("kind", num_classes=3, dropout=0.0),
        p5.tasks.Segmentation("mask", num_classes=2, width=8),
    ]
    trunk = Conv(4, 1, levels=3, dropout=0.5)
    return p5.build_model(trunk, tasks, (16, 16, 3), head_l2=1e-3, sharing=sharing)


def train(model, source, epochs=3):
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    batches = p5.data.training(source, list(model.tasks), 8, seed=5)
    steps = p5.data.steps_per_epoch(source, 8)
    return model.fit(batches, epochs=epochs, steps_per_epoch=steps, verbose=0).history


def without_dropout(model):
    """Drops nothing: frozen, it still draws anew for each step the slow way."""
    for stage in p5.transfer.trunk_of(model).layers[1:]:
        for layer in stage.layers:
            if isinstance(layer, keras.layers.SpatialDropout2D):
                layer.rate = 0.0
    return model


def test_same_result_as_the_slow_way(source):
    slow, fast = without_dropout(make()), without_dropout(make())
    for a, b in zip(slow.weights, fast.weights, strict=True):
        b.assign(a)
    for model in (slow, fast):
        p5.transfer.freeze(model, "trunk")
    there = [v.numpy() for v in fast.weights]
    heads, (features,) = p5.transfer.cached(fast, [source], batch_size=5)
    assert features.size == N
    expected = train(slow, source)
    found = train(heads, features)
    for key, value in found.items():
        np.testing.assert_allclose(value, expected[key], rtol=2e-3, err_msg=key)
    moved = [not np.array_equal(v, w) for v, w in zip(fast.weights, there, strict=True)]
    assert any(moved)
    for a, b in zip(slow.weights, fast.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    # The model itself has the trained heads.
    val = p5.data.evaluation(source, list(fast.tasks), 8)
    fast.compile()
    whole = fast.evaluate(val, return_dict=True, verbose=0)
    heads.compile()
    val = p5.data.evaluation(features, list(fast.tasks), 8)
    alone = heads.evaluate(val, return_dict=True, verbose=0)
    assert whole == pytest.approx(alone, rel=1e-4)


def test_a_frozen_trunk_drops_nothing_when_cached(source):
    model = make()
    p5.transfer.freeze(model, "trunk")
    one = p5.transfer.cached(model, [source])[1][0]
    two = p5.transfer.cached(model, [source])[1][0]
    index = tf.range(N, dtype=tf.int64)
    np.testing.assert_array_equal(
        one.read(index, index)["input"], two.read(index, index)["input"]
    )


def test_what_cannot_be_cached_is_refused(source):
    with pytest.raises(ValueError, match="freeze its trunk"):
        p5.transfer.cached(make(), [source])
    model = make(p5.sharing.Cascade())
    p5.transfer.freeze(model, "trunk")
    with pytest.raises(ValueError, match="'mask', which does"):
        p5.transfer.cached(model, [source])
