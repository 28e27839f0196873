"""One optimizer a part: as each by itself, and what acts on the whole."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.optimizers import PerPart
from p5_keras.tasks import Regression

SGD, Adam, AdamW = (getattr(keras.optimizers, n) for n in ("SGD", "Adam", "AdamW"))
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = {n: np.random.default_rng(i).normal(size=(8, 1)) for i, n in enumerate("ab")}


def data(size=8):
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(size)


def build(optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    tasks = [Regression(n, mean=[0.0], std=[1.0], hidden=2) for n in "ab"]
    model = p5.build_model(p5.trunks.Dense([4]), tasks, (3,))
    model.compile(optimizer, **kwargs)
    return model


def parts(model):
    heads = {t: model.get_layer(t).trainable_variables for t in "ab"}
    return {"trunk": model.trunk_variables, **heads}


def values(variables):
    return [np.array(v) for v in variables]


def by_hand(optimizers, steps, change=None):
    """Each part trained by an optimizer of its own, on the same gradients."""
    model = build("sgd")
    for step in range(steps):
        with tf.GradientTape() as tape:
            y_pred = model(X, training=True)
            loss = model.compute_loss(X, Y, y_pred)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [v.value for v in variables])
        gradients = change(gradients) if change else gradients
        known = {id(v): g for v, g in zip(variables, gradients, strict=True)}
        for name, own in parts(model).items():
            optimizers[name].apply([known[id(v)] for v in own], own)
        if step == 0:
            first = values(variables)
    return first, values(model.trainable_variables)


def assert_same(ours, theirs, **kwargs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-5, "atol": 1e-6, **kwargs})


def schedule():
    return keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)


CASES = {
    "two": lambda: (SGD(0.05, 0.9), Adam(0.01)),
    "each": lambda: (SGD(0.05), {"a": Adam(0.02), "b": SGD(0.3, 0.9)}),
    "schedules": lambda: (SGD(schedule()), {"a": Adam(schedule()), "b": SGD(0.1)}),
    "decay": lambda: (AdamW(0.05, weight_decay=0.1), SGD(0.1)),
    "own step": lambda: (keras.optimizers.Nadam(0.05), SGD(0.1)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_each_part_trains_as_by_itself(case):
    trunk, heads = CASES[case]()
    model = build(PerPart(trunk, heads))
    model.fit(data(), epochs=5, verbose=0)
    trunk, heads = CASES[case]()
    if not isinstance(heads, dict):
        twin = type(heads).from_config(heads.get_config())
        heads = {"a": heads, "b": twin}
    _, expected = by_hand({"trunk": trunk, **heads}, 5)
    assert_same(values(model.trainable_variables), expected)
    assert {int(p._iterations.numpy()) for p in model.optimizer.parts} == {5}


def test_exclusions_from_weight_decay_are_the_parts_own():
    trunk = AdamW(0.0 + 1e-9, weight_decay=1e6)
    trunk.exclude_from_weight_decay(var_names=["bias"])
    model = build(PerPart(trunk, SGD(0.0)))
    kernel, bias = model.trunk_variables
    bias.assign(np.ones(4))
    before = values([kernel, bias])
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(kernel, before[0] * (1 - 1e-3), rtol=1e-5)
    np.testing.assert_allclose(bias, before[1], rtol=1e-5)


@pytest.mark.parametrize(
    "clip", [{"clipnorm": 0.1}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}]
)
def test_clipping_is_over_the_whole(clip):
    model = build(PerPart(SGD(0.1), SGD(0.2), **clip))
    model.fit(data(), verbose=0)
    clipper = SGD(0.1, **clip)
    optimizers = {"trunk": SGD(0.1), "a": SGD(0.2), "b": SGD(0.2)}
    _, expected = by_hand(optimizers, 1, clipper._clip_gradients)
    _, unclipped = by_hand({"trunk": SGD(0.1), "a": SGD(0.2), "b": SGD(0.2)}, 1)
    found = values(model.trainable_variables)
    assert_same(found, expected)
    assert (
        max(np.abs(a - b).max() for a, b in zip(found, unclipped, strict=True)) > 0.01
    )


def test_moving_averages_are_over_the_whole():
    model = build(PerPart(SGD(0.1), SGD(0.2), use_ema=True, ema_momentum=0.5))
    for _ in range(2):
        model.train_on_batch(X, Y)
    first, second = by_hand({"trunk": SGD(0.1), "a": SGD(0.2), "b": SGD(0.2)}, 2)
    assert_same(values(model.trainable_variables), second)
    with p5.averaged_weights(model):
        averages = values(model.trainable_variables)
    assert_same(averages, [(a + b) / 2 for a, b in zip(first, second, strict=True)])


def test_the_learning_rate_is_the_trunks_and_scales_all():
    optimizer = PerPart(SGD(0.1), {"a": Adam(0.02), "b": SGD(0.4)})
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    optimizer.learning_rate = 0.05
    rates = [float(part.learning_rate) for part in optimizer.parts]
    np.testing.assert_allclose(rates, [0.05, 0.01, 0.2], rtol=1e-6)


def test_reduce_on_plateau_scales_all_parts():
    model = build(PerPart(SGD(0.1), SGD(0.4)))
    plateau = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=1e9, mode="min"
    )
    logs = model.fit(data(), epochs=3, callbacks=[plateau], verbose=0).history
    np.testing.assert_allclose(logs["learning_rate"], [0.1, 0.1, 0.05], rtol=1e-6)
    rates = [float(part.learning_rate) for part in model.optimizer.parts]
    np.testing.assert_allclose(rates, [0.025, 0.1], rtol=1e-6)


@pytest.mark.parametrize(
    "parts",
    [(SGD(schedule()), SGD(0.1)), (SGD(0.1), SGD(schedule())), (SGD(0.0), "sgd")],
)
def test_setting_the_learning_rate_is_refused(parts):
    optimizer = PerPart(*parts)
    with pytest.raises(ValueError, match="`learning_rate` of PerPart can be set to a"):
        optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match="`learning_rate` of PerPart can be set to a"):
        PerPart("sgd", "sgd").learning_rate = schedule()


@pytest.mark.parametrize(
    "option",
    [
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0},
        {"use_ema": True},
        {"loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2},
    ],
    ids=lambda option: next(iter(option)),
)
def test_what_a_part_may_not_have(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=f"must not have `{name}`: .*SGD"):
        PerPart("adam", {"a": SGD(0.1, **option)})


def test_accumulation_is_no_argument():
    with pytest.raises(TypeError, match="gradient_accumulation_steps"):
        PerPart("sgd", "sgd", gradient_accumulation_steps=2)


def test_heads_that_are_no_tasks():
    with pytest.raises(ValueError, match=r"`heads` must .* Did you mean 'a'"):
        build(PerPart("sgd", {"aa": "sgd", "b": "sgd"}))
    with pytest.raises(ValueError, match=r"`heads` must .* Missing: \['b'\]"):
        build(PerPart("sgd", {"a": "sgd"}))


def test_a_model_that_is_not_ours():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(PerPart("sgd", "sgd"), loss="mse")
    with pytest.raises(ValueError, match="PerPart must be compiled into a `MultiTask"):
        model.fit(X, Y["a"], verbose=0)


def test_save_and_load_go_on_exactly(tmp_path):
    optimizer = PerPart(
        SGD(schedule(), 0.9),
        {"a": Adam(0.05), "b": AdamW(0.05, weight_decay=0.1)},
        global_clipnorm=1.0,
        use_ema=True,
    )
    model = build(optimizer)
    model.fit(data(), epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == optimizer.get_config()
    assert_same(values(loaded.optimizer.variables), values(model.optimizer.variables))
    for each in (model, loaded):
        each.fit(data(), epochs=3, verbose=0)
    assert_same(values(loaded.variables), values(model.variables), rtol=0, atol=0)


@pytest.mark.parametrize("kwargs", [{}, {"global_clipnorm": 0.2}, {"use_ema": True}])
def test_two_replicas_train_as_one_device(two_replicas, kwargs):
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            heads = {"a": AdamW(0.02, weight_decay=0.1), "b": Adam(schedule())}
            model = build(PerPart(SGD(0.1, 0.9), heads, **kwargs))
        model.fit(data(), epochs=4, verbose=0)
        found.append(values(model.variables))
    assert_same(*found)


def test_half_precision(tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(PerPart(SGD(0.05, 0.9), Adam(0.01)))
        before = values(model.trainable_variables)
        model.fit(data(), epochs=3, verbose=0)
        assert all(np.isfinite(v).all() for v in values(model.variables))
        for old, v in zip(before, model.trainable_variables, strict=True):
            assert not np.array_equal(old, v)
        model.optimizer.learning_rate = 0.025
        assert float(model.optimizer.inner_optimizer.heads.learning_rate) == (
            pytest.approx(0.005)
        )
    finally:
        keras.config.set_dtype_policy(policy)


def test_with_a_weighting_of_gradients():
    model = build(PerPart(SGD(0.1), Adam(0.1)), weighting=p5.weighting.UPGrad())
    first = model.fit(data(), epochs=1, verbose=0).history["loss"][0]
    last = model.fit(data(), epochs=30, verbose=0).history["loss"][-1]
    assert last < first
