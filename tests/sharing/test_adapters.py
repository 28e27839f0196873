"""Adapters: nothing at the start, and all that is trained on a frozen trunk."""

import keras
import numpy as np
import pytest

import p5_keras as p5
from p5_keras.sharing import Hard, ResidualAdapters
from p5_keras.trunks import Conv, Dense

SHAPE = (16, 16, 3)
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (6, *SHAPE)).astype("float32")


def build(sharing, trunk=None, shape=SHAPE):
    tasks = [p5.tasks.Classification(n, num_classes=3) for n in ("a", "b")]
    return p5.build_model(trunk or Conv(4, 1, levels=4), tasks, shape, sharing=sharing)


def test_at_the_start_it_is_hard_sharing():
    hard, adapted = build(Hard()), build(ResidualAdapters())
    for layer in hard.layers:
        adapted.get_layer(layer.name).set_weights(layer.get_weights())
    for name, y in hard.predict(X, verbose=0).items():
        np.testing.assert_allclose(adapted.predict(X, verbose=0)[name], y, atol=1e-6)


def test_on_a_frozen_trunk_each_task_trains_its_own():
    model = build(ResidualAdapters(rank=3))
    p5.transfer.freeze(model, "trunk")
    # Three stages of 8, 16 and 32 channels; a head of 32 x 3 + 3.
    own = 2 * 3 * (8 + 16 + 32)
    for task in ("a", "b"):
        assert sum(v.numpy().size for v in model.variables_of(task)) == own + 99
    assert not model.shared_variables
    before = {x.name: x.get_weights() for x in model.layers}
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(X, {n: RNG.integers(0, 3, 6) for n in "ab"}, epochs=3, verbose=0)
    for layer in model.layers:
        if not layer.weights:
            continue
        pairs = zip(layer.get_weights(), before[layer.name], strict=True)
        same = all(np.array_equal(v, w) for v, w in pairs)
        assert same == layer.name.startswith("trunk_"), layer.name


@pytest.mark.parametrize("rank", [None, 2])
def test_vectors_and_full_rank(rank):
    model = build(ResidualAdapters(rank=rank), Dense([8, 4]), (5,))
    shapes = [v.shape for v in model.get_layer("adapter_a_vector").weights]
    assert shapes == ([(4, 4)] if rank is None else [(4, 2), (2, 4)])


def test_rank_is_checked():
    with pytest.raises(ValueError, match="`rank` must be 1 or more"):
        build(ResidualAdapters(rank=0))
