"""The engine: where gradients come from, how they are combined, what is remembered."""

import dataclasses
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.weighting import GramWeighting, Weighting, base

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from models import BATCH, NAMES, STEPS, assert_same, build, data, train, values

SOURCES = base.SOURCES
HEAVY = (pytest.mark.slow, pytest.mark.heavy)
ALPHA = {"kind": 1.0, "size": 2.0, "mask": 0.5}
ONES = dict.fromkeys(NAMES, 1.0)


@keras.saving.register_keras_serializable("test")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(GramWeighting):
    """Weights that are given, and a state that counts steps by the clock."""

    rescale: str = "none"
    weights: tuple[float, ...] = (1.0, 2.0, 0.5)
    ramp: float = 0.0

    def start(self, tasks):
        return {"grams": np.zeros((len(tasks), len(tasks)), "float32")}

    def solve(self, gram, losses, present, clock, seed, state):
        weights = tf.constant(self.weights, gram.dtype)
        weights += self.ramp * tf.cast(clock.step, gram.dtype)
        grams = state["grams"] + tf.cast(gram, tf.float32)
        return tf.where(present, weights, 0), {"grams": grams}


def state(model, name="grams"):
    return model.engine.state[name].numpy()


@pytest.mark.parametrize("source", SOURCES)
def test_given_weights_are_loss_weights(source):
    ours, logs = train(Given(gradients=source, scale_heads=True), trunk_l2=0.01)
    theirs, expected = train(loss_weights=ALPHA, trunk_l2=0.01)
    assert_same(ours, theirs)
    for key, value in expected.items():
        assert logs[key] == pytest.approx(value, rel=1e-5, abs=1e-6)
    assert logs["weighting/weight/size"] == [2.0, 2.0]


@pytest.mark.parametrize(
    "source",
    [
        s if s == "features" else pytest.param(s, marks=pytest.mark.slow)
        for s in SOURCES
    ],
)
def test_heads_learn_at_their_own_pace(source):
    one = data(missing=False, steps=1)
    ours, _ = train(Given(gradients=source), dataset=one, epochs=1)
    scaled, _ = train(loss_weights=ALPHA, dataset=one, epochs=1)
    plain, _ = train(dataset=one, epochs=1)
    for pairs in (
        zip(ours.head_variables, plain.head_variables, strict=True),
        zip(ours.trunk_variables, scaled.trunk_variables, strict=True),
    ):
        for a, b in pairs:
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def task_gradients(model, dataset, sources):
    """(tasks, size) gradients of each α·L by a plain tape."""
    x, y, weight = next(iter(dataset))
    rows = []
    for i in range(len(NAMES)):
        with tf.GradientTape() as tape:
            shares, _ = model.loss_shares(y, model(x, training=True), weight)
            loss = shares[i]
        found = tape.gradient(
            loss,
            [v.value for v in sources],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        rows.append(np.concatenate([np.ravel(g) for g in found]))
    return np.stack(rows)


def test_the_full_gram_matrix_is_that_of_all_shared_parameters():
    one = data(missing=False, steps=1)
    model = build(loss_weights=ALPHA)
    rows = task_gradients(model, one, model.trunk_variables)
    ours, _ = train(Given(gradients="full"), ALPHA, dataset=one, epochs=1)
    np.testing.assert_allclose(state(ours), rows @ rows.T, rtol=1e-4, atol=1e-8)


def test_that_of_the_last_shared_layer_is_of_its_kernel():
    one = data(missing=False, steps=1)
    model = build()
    # The mask's head reads both features, so the last kernel is that of P3.
    kernel = next(v for v in reversed(model.trunk_variables) if len(v.shape) == 4)
    assert kernel.shape[-1] == 4
    rows = task_gradients(model, one, [kernel])
    ours, _ = train(Given(gradients="last_shared"), dataset=one, epochs=1)
    np.testing.assert_allclose(state(ours), rows @ rows.T, rtol=1e-4, atol=1e-8)


def test_that_of_the_features_is_of_what_the_heads_read():
    one = data(missing=False, steps=1)
    model = build()
    x, y, weight = next(iter(one))
    parts = p5.weighting.step.Parts(model)
    leaves = [tf.constant(z) for z in parts.trunk(x, training=True)]
    rows = []
    for i in range(len(NAMES)):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            y_pred = parts.heads([*leaves, x], training=True)
            loss = model.loss_shares(y, y_pred, weight)[0][i]
        found = tape.gradient(
            loss, leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        rows.append(np.concatenate([np.ravel(g) for g in found]))
    rows = np.stack(rows)
    ours, _ = train(Given(gradients="features"), dataset=one, epochs=1)
    np.testing.assert_allclose(state(ours), rows @ rows.T, rtol=1e-4, atol=1e-8)


def test_the_record_is_that_of_the_gradients():
    one = data(missing=False, steps=1)
    model = build()
    rows = task_gradients(model, one, model.trunk_variables)
    norms = np.linalg.norm(rows, axis=1)
    cosines = rows @ rows.T / norms[:, None] / norms
    _, logs = train(Given(), dataset=one, epochs=1)
    for i, name in enumerate(NAMES):
        assert logs[f"weighting/norm/{name}"] == pytest.approx([norms[i]], rel=1e-4)
        for j in range(i + 1, 3):
            key = f"weighting/cosine/{name}/{NAMES[j]}"
            assert logs[key] == pytest.approx([cosines[i, j]], abs=1e-4)
    conflicts = np.mean(cosines[np.triu_indices(3, 1)] < 0)
    assert logs["weighting/conflict"] == pytest.approx([conflicts])
    eigen = np.linalg.eigvalsh(cosines)
    expected = np.log10(eigen[-1] / eigen[0])
    assert logs["weighting/condition"] == pytest.approx([expected], abs=1e-3)


def test_absent_tasks_count_in_no_mean_of_the_record():
    whole = data(steps=3)  # no mask in batch 0, no size in batch 1
    model = build(Given(ramp=1.0))
    logs = model.fit(whole, verbose=0).history
    assert logs["weighting/weight/kind"] == [1 + (0 + 1 + 2) / 3]
    assert logs["weighting/weight/size"] == [2 + (0 + 2) / 2]
    assert logs["weighting/weight/mask"] == [0.5 + (1 + 2) / 2]
    np.testing.assert_array_equal(model.engine.diagnostics.weights.numpy(), 0)


@pytest.mark.parametrize(
    ("source", "executions"),
    [
        ("full", 1),
        ("features", 3),
        ("last_shared", 1),
        pytest.param("full", 3, marks=HEAVY),
        pytest.param("features", 1, marks=HEAVY),
        pytest.param("last_shared", 3, marks=HEAVY),
    ],
)
def test_weights_are_kept_between_solves(source, executions):
    """Weights of step k - k % 3: by hand, with loss weights that change as they do."""
    dataset = data(missing=False, steps=6)
    weighting = Given(gradients=source, ramp=1.0, update_every=3, scale_heads=True)
    ours, logs = train(
        weighting, dataset=dataset, epochs=1, steps_per_execution=executions
    )
    alpha = {name: keras.Variable(value) for name, value in ALPHA.items()}
    theirs = build(loss_weights=alpha)
    for step, batch in enumerate(dataset):
        for name, value in ALPHA.items():
            alpha[name].assign(value + step - step % 3)
        theirs.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
    assert_same(ours, theirs)
    assert logs["weighting/weight/kind"] == [1 + (0 + 3) / 2]


def test_a_schedule_goes_on_in_the_next_fit():
    dataset = data(missing=False, steps=2)
    model = build(Given(ramp=1.0, update_every=3))
    for _ in range(3):  # steps 0 to 5, of which 0 and 3 solve
        model.fit(dataset, verbose=0)
    np.testing.assert_allclose(model.engine.weights.numpy(), [4.0, 5.0, 3.5])
    assert int(model.engine.step.numpy()) == 6


def test_a_task_that_was_absent_at_the_solve_counts_plainly_until_the_next():
    first = data(steps=1)  # no mask
    model = build(Given(update_every=2))
    model.fit(first, verbose=0)
    np.testing.assert_array_equal(model.engine.weights.numpy(), [1.0, 2.0, 1.0])


def test_alpha_of_zero_is_absence():
    seen = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Look(Given):
        def solve(self, gram, losses, present, clock, seed, state):
            seen.append(True)
            tf.debugging.assert_equal(present, [True, False, True])
            tf.debugging.assert_equal(gram[1], tf.zeros(3, gram.dtype))
            return super().solve(gram, losses, present, clock, seed, state)

    alpha = {**ONES, "size": 0.0}
    train(Look(), alpha, dataset=data(missing=False, steps=1), epochs=1)
    assert seen


def test_l2_is_outside_the_rows():
    one = data(missing=False, steps=1)
    sgd = {"optimizer": keras.optimizers.SGD(1.0)}
    weighting = Given(weights=(0.0, 3.0, 0.0))
    before = values(build())
    plain, _ = train(weighting, dataset=one, epochs=1, **sgd)
    sgd = {"optimizer": keras.optimizers.SGD(1.0)}
    decayed, _ = train(
        weighting, dataset=one, epochs=1, trunk_l2=0.1, head_l2=0.2, **sgd
    )
    rates = {id(v): 0.1 for v in decayed.trunk_variables if len(v.shape) > 1}
    rates |= {id(v): 0.2 for v in decayed.head_variables if len(v.shape) > 1}
    trainable = {id(v) for v in decayed.trainable_variables}
    rows = zip(before, plain.variables, decayed.variables, strict=True)
    for start, one_, other in rows:
        if id(other) in trainable:
            expected = one_.numpy() - 2 * rates.get(id(other), 0.0) * start
            np.testing.assert_allclose(other.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("source", SOURCES)
def test_activity_losses_reach_the_trunk(source):
    def with_activity(weighting, alpha=None):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        x = keras.layers.Dense(3, activation="tanh", activity_regularizer="l2")(inputs)
        net = keras.Model(inputs, x)
        trunk = p5.trunks.Cut(net, {"vector": x._keras_history.operation.name})
        tasks = [
            p5.tasks.Regression(n, mean=[0.0], std=[1.0], hidden=2) for n in ("a", "b")
        ]
        model = p5.build_model(trunk, tasks, (4,))
        model.compile(keras.optimizers.SGD(0.1), weighting=weighting)
        rng = np.random.default_rng(0)
        y = {n: rng.normal(size=(8, 1)).astype("float32") for n in ("a", "b")}
        x = rng.normal(size=(8, 4)).astype("float32")
        model.fit(tf.data.Dataset.from_tensors((x, y)), verbose=0)
        return model

    ours = with_activity(Given(gradients=source, weights=(1.0, 1.0)))
    assert_same(ours, with_activity(None))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(s, marks=pytest.mark.slow if s == "full" else HEAVY)
        for s in SOURCES
    ],
)
def test_two_replicas_are_one_device(source, two_replicas):
    weighting = Given(gradients=source, rescale="norm", update_every=2)
    clipped = [keras.optimizers.SGD(0.05, 0.9, global_clipnorm=0.05)]
    with two_replicas.scope():
        clipped.append(keras.optimizers.SGD(0.05, 0.9, global_clipnorm=0.05))
    one, logs = train(weighting, trunk_l2=0.01, optimizer=clipped[0])
    two, logs2 = train(
        weighting, trunk_l2=0.01, optimizer=clipped[1], strategy=two_replicas
    )
    assert_same(one, two)
    for key, value in logs.items():
        atol = 5e-3 if key.endswith(("miou", "accuracy")) else 1e-5
        assert logs2[key] == pytest.approx(value, rel=1e-4, abs=atol), key
    np.testing.assert_allclose(state(two), state(one), rtol=1e-4, atol=1e-7)


METHODS = {
    name: method
    for name in p5.weighting.__all__
    if isinstance(method := getattr(p5.weighting, name), type)
    and issubclass(method, Weighting)
    and method not in (Weighting, GramWeighting)
}
ARGUMENTS = {
    "CosineGate": {"primary": "kind"},
    "Difficulty": {"targets": {"kind_accuracy": 0.9, "size_mae": 0.1, "mask_miou": 1}},
    "FAMO": {"same_batch": True},
}


def test_every_method_is_here():
    assert len(METHODS) == 24


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_two_replicas_are_one_device_under_every_method(name, two_replicas):
    weighting = METHODS[name](**ARGUMENTS.get(name, {}))
    one, logs = train(weighting, validation_data=data())
    two, logs2 = train(weighting, strategy=two_replicas, validation_data=data())
    assert_same(one, two, atol=1e-4)
    for v, w in zip(one.engine.variables, two.engine.variables, strict=True):
        np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-3, atol=1e-4)
    assert logs2["loss"] == pytest.approx(logs["loss"], rel=1e-4)


@pytest.mark.parametrize(
    "source",
    ["features", *(pytest.param(s, marks=HEAVY) for s in ("full", "last_shared"))],
)
def test_xla_compiles_the_step(source):
    ours, _ = train(Given(gradients=source, update_every=2), jit_compile=True)
    theirs, _ = train(Given(gradients=source, update_every=2))
    assert_same(ours, theirs)


@pytest.mark.parametrize("source", SOURCES)
def test_the_loss_scale_of_float16_is_taken_out_of_the_gram_matrix(source):
    one = data(missing=False, steps=1)
    exact, _ = train(Given(gradients=source), dataset=one, epochs=1)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half, logs = train(
            Given(gradients=source),
            dataset=one,
            epochs=1,
            optimizer=keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(0.05, 0.9), initial_scale=128.0
            ),
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(logs["loss"]).all()
    scale = np.sqrt(np.outer(np.diag(state(exact)), np.diag(state(exact))))
    np.testing.assert_allclose(state(half) / scale, state(exact) / scale, atol=0.05)
    for a, b in zip(values(half), values(exact), strict=True):
        np.testing.assert_allclose(a, b, atol=5e-3)


def test_bfloat16_gives_a_gram_matrix_in_higher_precision(bfloat16):
    dtypes = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Look(Given):
        def solve(self, gram, losses, present, clock, seed, state):
            dtypes.append(gram.dtype)
            return super().solve(gram, losses, present, clock, seed, state)

    _, logs = train(Look(gradients="features"), epochs=1)
    assert np.isfinite(logs["loss"]).all()
    assert dtypes and set(dtypes) == {tf.float64}


def test_a_batch_that_overflows_leaves_the_state_as_it_was():
    model = build(Given())
    model.fit(data(missing=False, steps=1), verbose=0)
    before = state(model)
    assert before.any()
    weights = values(model)
    x, y, weight = next(iter(data(missing=False, steps=1)))
    x *= np.float32(1e38)
    with pytest.raises(ValueError, match=r"The loss must be finite, and in epoch 1"):
        model.fit(tf.data.Dataset.from_tensors((x, y, weight)), verbose=0)
    np.testing.assert_array_equal(state(model), before)
    np.testing.assert_array_equal(model.engine.weights.numpy(), 1.0)
    assert not all(np.isfinite(v).all() for v in values(model))  # it is not hidden
    assert all(np.isfinite(v).all() for v in weights)


def test_a_saved_model_goes_on(tmp_path):
    weighting = p5.weighting.GradNorm(learning_rate=0.1)
    whole = build(weighting)
    whole.fit(data(), epochs=2, verbose=0)
    half = build(weighting)
    half.fit(data(), verbose=0)
    half.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.engine.weighting == weighting
    for ours, theirs in zip(again.engine.variables, half.engine.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    again.fit(data(), initial_epoch=1, epochs=2, verbose=0)
    assert_same(again, whole)
    for ours, theirs in zip(
        again.engine.variables, whole.engine.variables, strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    # Without its compilation a model needs no weighting.
    keras.saving.load_model(tmp_path / "model.keras", compile=False)


def test_evaluation_does_not_weigh():
    model, _ = train(Given(weights=(5.0, 5.0, 5.0)))
    steps = int(model.engine.step.numpy())
    logs = model.evaluate(data(), return_dict=True, verbose=0)
    assert int(model.engine.step.numpy()) == steps
    assert not [key for key in logs if "weighting" in key]
    plain = build()
    plain.set_weights(model.get_weights())
    expected = plain.evaluate(data(), return_dict=True, verbose=0)
    assert logs == pytest.approx(expected, rel=1e-5)


def test_a_second_look_changes_nothing_else():
    """FAMO with a learning rate of 0: what it saw must have left no trace."""
    famo = p5.weighting.FAMO(learning_rate=0.0)
    ours, logs = train(dataclasses.replace(famo, same_batch=True))
    theirs, expected = train(famo)
    assert_same(ours, theirs)
    for key, value in expected.items():
        assert logs[key] == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_a_second_look_is_of_the_same_batch():
    one = data(missing=False, steps=1)
    famo = p5.weighting.FAMO(learning_rate=0.1, weight_decay=0.0, same_batch=True)
    ours, _ = train(famo, dataset=one, epochs=1)
    # With one batch again and again, the next batch's losses are the same batch's.
    twice = one.repeat(2)
    theirs, _ = train(
        dataclasses.replace(famo, same_batch=False), dataset=twice, epochs=1
    )
    np.testing.assert_allclose(
        state(ours, "logits"), state(theirs, "logits"), rtol=1e-3, atol=1e-6
    )
    assert np.abs(state(ours, "logits")).max() > 0.01


def test_the_weights_are_constants_to_the_gradient():
    """w = 1 / L: the gradient is that of Σ log L, where Σ w L is always T."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Inverse(Weighting):
        def step(self, losses, gram, present, clock, seed, state):
            return tf.math.divide_no_nan(tf.cast(present, tf.float32), losses), state

    one = data(missing=False, steps=1)
    model = build()
    x, y, weight = next(iter(one))
    with tf.GradientTape() as tape:
        shares, _ = model.loss_shares(y, model(x, training=True), weight)
        loss = tf.add_n([tf.math.log(share) for share in shares])
    variables = [v.value for v in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    expected = [v - 0.05 * g for v, g in zip(variables, gradients, strict=True)]
    ours, logs = train(Inverse(), dataset=one, epochs=1)
    for v, e in zip(ours.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(v.numpy(), e, rtol=1e-4, atol=1e-6)
    assert logs["loss"] == pytest.approx([3.0])


def test_the_clock_and_the_seed():
    model = build(Given())
    model.fit(data(), epochs=5, initial_epoch=3, verbose=0)
    clock = model.engine.clock()
    assert (int(clock.step), int(clock.epoch)) == (2 * STEPS, 4)
    first = model.engine.step_seed().numpy()
    model.engine.tick()
    assert first[0] == model.engine.step_seed().numpy()[0]
    assert first[1] + 1 == model.engine.step_seed().numpy()[1]
    assert build(Given()).engine.seed.numpy() == model.engine.seed.numpy()


def test_what_an_epoch_logged_reaches_the_weighting():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Listen(Given):
        def epoch_end(self, logs, state):
            return {"grams": np.full((3, 3), logs["val_kind_accuracy"], "float32")}

    model = build(Listen())
    logs = model.fit(data(), validation_data=data(), epochs=1, verbose=0).history
    np.testing.assert_allclose(state(model), logs["val_kind_accuracy"][0])


def test_errors():
    with pytest.raises(ValueError, match=r"such as p5_keras.weighting.NashMTL\(\)"):
        build("NashMTL")
    with pytest.raises(ValueError, match=r"`gradients` must be one of .*'feature'"):
        p5.weighting.MGDA(gradients="feature")
    with pytest.raises(ValueError, match="`update_every` must be 1 or more"):
        p5.weighting.MGDA(update_every=0)


def two_numbers(trunk, **features):
    tasks = [
        p5.tasks.Regression(n, features=features.get(n), mean=[0.0], std=[1.0])
        for n in ("a", "b")
    ]
    model = p5.build_model(trunk, tasks, (4,))
    model.compile("sgd", weighting=Given(gradients="last_shared", weights=(1.0, 1.0)))
    return model


def test_no_feature_that_all_read():
    class Columns(p5.Trunk):
        def __call__(self, inputs):
            return {n: keras.layers.Dense(2, name=n)(inputs) for n in ("left", "right")}

    with pytest.raises(ValueError, match="needs features that all tasks read"):
        two_numbers(Columns(), a="left", b="right")


def test_no_layer_that_all_share():
    class Norm(p5.Trunk):
        def __call__(self, inputs):  # it has variables, but no kernel
            return {"vector": keras.layers.BatchNormalization(name="norm")(inputs)}

    model = two_numbers(Norm())
    x, y = np.ones((4, 4)), {n: np.ones((4, 1)) for n in ("a", "b")}
    with pytest.raises(ValueError, match="needs a layer that every task's loss"):
        model.fit(tf.data.Dataset.from_tensors((x, y)), verbose=0)


def test_scale_has_no_effect_and_says_so(caplog):
    build(p5.weighting.NashMTL(), ALPHA)
    assert "no effect on the direction of NashMTL" in caplog.text
    caplog.clear()
    build(p5.weighting.NashMTL(), dict.fromkeys(NAMES, 2.0))
    build(p5.weighting.CAGrad(), ALPHA)
    assert not caplog.text


@pytest.mark.slow
def test_the_cost_is_measured_and_leaves_no_trace():
    for every in (1, 2):
        model = build(p5.weighting.NashMTL(update_every=every), ONES)
        before = [*values(model), *(v.numpy() for v in model.engine.variables)]
        cost = p5.weighting.measure(model, data().repeat())
        after = [*values(model), *(v.numpy() for v in model.engine.variables)]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
        assert int(model.optimizer.iterations.numpy()) == 0
        shared = sum(v.value.shape.num_elements() for v in model.trunk_variables)
        assert cost.gradients == 3 * 4 * shared
        assert ("update_every=10" in str(cost)) == (every == 1)
        logs = model.fit(data(), epochs=2, verbose=0).history
        _, expected = train(p5.weighting.NashMTL(update_every=every), ONES)
        for key, value in expected.items():
            assert logs[key] == pytest.approx(value, rel=1e-5, abs=1e-6), key
    assert p5.weighting.measure(build(), data().repeat()) is None


def test_the_words_of_a_cost():
    cost = p5.weighting.Cost("NashMTL", 0.1, 0.25, 0.11, 5, 3 * 2**20)
    assert str(cost) == (
        "weighting NashMTL: a step takes 1.38 times a plain one (138 against 100 ms) "
        "and holds 3.0 MiB of gradients by task"
    )
    cost = p5.weighting.Cost("GradNorm", 0.1, 0.2, 0.1, 1, 2**19)
    assert str(cost).endswith(
        "0.5 MiB of gradients by task; update_every=10 would make it 1.10 times"
    )
    cost = p5.weighting.Cost("DWA", 0.1, 0.101, 0.1, 1, 0)
    assert str(cost) == (
        "weighting DWA: a step takes 1.01 times a plain one (101 against 100 ms)"
    )


def test_a_base_that_is_no_method():
    with pytest.raises(NotImplementedError):
        Weighting().step(None, None, None, None, None, {})
    assert BATCH == 8
