"""Tasks that need no label."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import evaluation, pretraining
from p5_keras.pretraining import views
from p5_keras.trunks import Conv

SHAPE = (16, 16, 3)
N = 8
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (N, *SHAPE)).astype("float32")
TASKS = {
    "simclr": lambda: pretraining.SimCLR("simclr", units=8, hidden=8, temperature=0.5),
    "simsiam": lambda: pretraining.SimSiam("simsiam", units=8, hidden=8),
    "rotation": lambda: pretraining.Rotation("rotation", hidden=4),
    "masked": lambda: pretraining.MaskedImage("masked", patch=4, features="P2"),
}
each = pytest.mark.parametrize("name", TASKS)
# One of them quickly; the rest is slow.
grid = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "simclr")) for n in TASKS],
)


def build(*tasks, shape=SHAPE, trunk=None):
    return p5.build_model(trunk or Conv(4, 1, levels=3), tasks, shape)


def zeros(*names):
    return {name: np.zeros(N, "float32") for name in names}


# Every task.


@grid
def test_trains_beside_a_supervised_task_and_is_saved(name, tmp_path):
    """One trunk under both; its weights are there once; a loaded model is the same."""
    task, other = TASKS[name](), p5.tasks.Classification("kind", num_classes=3)
    model = build(other, task)
    stages = [x for x in model.layers if x.name.startswith("trunk_")]
    assert len(stages) == 2
    shared = {id(v) for v in model.shared_variables}
    deepest = stages[0 if name == "masked" else 1].trainable_variables
    assert {id(v) for v in deepest} <= shared
    model.compile(keras.optimizers.Adam(1e-2))
    y = {"kind": RNG.integers(0, 3, N), **zeros(name)}
    history = model.fit(X, y, epochs=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    for key, value in model.predict(X, verbose=0).items():
        np.testing.assert_allclose(again.predict(X, verbose=0)[key], value, atol=1e-5)
    assert again.count_params() == model.count_params()
    alone = p5.export.submodel(model, ["kind"])
    np.testing.assert_allclose(
        alone.predict(X, verbose=0)["kind"], model.predict(X, verbose=0)["kind"]
    )


@grid
def test_alone_it_learns_from_pictures_without_labels(name):
    """From a source of nothing but pictures, and better than the trivial predictor."""
    x = tf.constant(RNG.integers(0, 255, (N, 1, 1, 3)) + np.zeros((N, *SHAPE)))
    source = p5.data.Source(N, lambda i, e: {"image": tf.gather(x, i)})
    task = TASKS[name]()
    model = build(task)
    data = p5.data.evaluation(source, [task], 4)
    labels, val, _ = p5.data.prepare([source] * 3, [task], 4)
    priors = evaluation.priors([task], labels)
    trivial = evaluation.trivial_metrics([task], val, priors)
    assert set(trivial) == {f"{name}_{task.primary}"}
    model.compile(keras.optimizers.Adam(1e-2))
    before = model.evaluate(data, return_dict=True, verbose=0)
    batches = p5.data.training(source, [task], 4)
    model.fit(batches, epochs=1, steps_per_epoch=40, verbose=0)
    after = model.evaluate(data, return_dict=True, verbose=0)
    # Evaluation draws the same each time.
    assert after == model.evaluate(data, return_dict=True, verbose=0)
    if name != "rotation":  # a picture of one colour has no upper side
        assert after[f"{name}_loss"] < before[f"{name}_loss"]
    scores, _, examples, _ = evaluation.assess(model, data, priors, pictures=1)
    assert np.isfinite(scores[name]["mean"]) and len(examples) == 1
    assert task.draw(None, {"error": np.float32(0.5)}) == "error 0.5"


@grid
def test_two_replicas_equal_one_device(name, two_replicas):
    """Negatives come from both replicas, with their gradients."""

    def trained(strategy):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = build(TASKS[name](), trunk=Conv(4, 1, "none", levels=3))
            for layer in model.layers:
                if hasattr(layer, "draw"):  # replicas draw alike what one device draws
                    layer.draw = fixed
            model.compile(keras.optimizers.SGD(1e-3))
        data = tf.data.Dataset.from_tensor_slices((X, zeros(name))).batch(N).repeat()
        logs = model.fit(data, epochs=1, steps_per_epoch=2, verbose=0).history
        return logs, [v.numpy() for v in model.trainable_variables]

    def fixed(shape, low, high, place, fresh):
        return tf.fill(shape, low + (high - low) * (0.3 + 0.05 * place))

    one, two = trained(tf.distribute.get_strategy()), trained(two_replicas)
    for key, value in one[0].items():
        np.testing.assert_allclose(two[0][key], value, rtol=1e-3, err_msg=key)
    for a, b in zip(one[1], two[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5)


@each
def test_other_inputs_are_refused(name):
    trunk = p5.trunks.Dense([4])
    with pytest.raises(ValueError, match=rf"{name}.* needs .*pictures of a fixed"):
        p5.build_model(trunk, [TASKS[name]()], (7,))
    if name == "rotation":
        with pytest.raises(ValueError, match="square pictures"):
            build(TASKS[name](), shape=(16, 20, 3))


# By hand.


def test_nt_xent_by_hand():
    task = TASKS["simclr"]()
    z = RNG.normal(size=(3, 2, 4)).astype("float32")
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    rows = z.reshape(6, 4)
    expected, match = [], []
    for i in range(6):
        other = [j for j in range(6) if j != i]
        logits = rows[i] @ rows[other].T / 0.5
        partner = other.index(i ^ 1)
        expected.append(np.log(np.exp(logits).sum()) - logits[partner])
        match.append(np.argmax(logits) == partner)
    found = task.errors(z)
    np.testing.assert_allclose(found, np.reshape(expected, (3, 2)).mean(1), rtol=1e-5)
    np.testing.assert_allclose(task.measure(z), np.reshape(match, (3, 2)).mean(1))


def test_simsiam_by_hand():
    output = np.zeros((1, 2, 2, 2), "float32")
    output[0, 0] = [[3, 0], [0, 2]]  # view 1: its prediction, its vector
    output[0, 1] = [[1, 1], [5, 0]]  # view 2
    task = TASKS["simsiam"]()
    # Prediction 1 is vector 2; between prediction 2 and vector 1 are 45 degrees.
    np.testing.assert_allclose(task.errors(output), [(1 - np.sqrt(0.5)) / 2], rtol=1e-5)
    x = tf.constant(output)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = task.errors(x)
    assert not tape.gradient(loss, x)[:, :, 1].numpy().any()  # none through vectors


def test_rotation_by_hand():
    picture = np.arange(4.0).reshape(1, 2, 2, 1)
    found = np.array(views.Rotations()(picture))[..., 0]
    for turns in range(4):
        np.testing.assert_array_equal(found[turns], np.rot90(picture[0, ..., 0], turns))
    logits = 9.0 * np.eye(4, dtype="float32")[None]
    logits[0, 3] = [9, 0, 0, 0]
    assert TASKS["rotation"]().measure(logits).numpy().tolist() == [0.75]
    expected = (3 * np.log(1 + 3 * np.exp(-9)) + np.log(np.exp(9) + 3)) / 4
    np.testing.assert_allclose(
        TASKS["rotation"]().errors(logits), [expected], rtol=1e-4
    )


def test_hidden_pixels_alone_are_judged():
    output = np.zeros((2, 2, 2, 3), "float32")
    output[0, 0, 0] = [0.5, 0.25, 1]  # hidden, and wrong by a quarter
    output[0, 0, 1] = [0.5, 0.5, 1]  # hidden, and right
    output[0, 1, 1] = [1, 0, 0]  # not hidden
    np.testing.assert_allclose(TASKS["masked"]().errors(output), [0.125, 0.0])


def test_patches_are_hidden():
    x = keras.ops.convert_to_tensor(np.ones((64, 18, 16, 3), "float32"))
    found = np.array(views.Masks(4, 0.25)(x, training=True))
    assert found.shape == (64, 18, 16, 1) and set(np.unique(found)) == {0, 1}
    assert 0.2 < found.mean() < 0.3
    blocks = found[:, :16].reshape(64, 4, 4, 4, 4)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    model = build(TASKS["masked"]())
    output = model.predict(X, verbose=0)["masked"]
    np.testing.assert_allclose(output[..., 3:6], X / 255, atol=1e-6)


def test_crops():
    """Without any change a view is the picture; with changes it is like none."""
    still = views.Crops(area=1.0, color=0.0, grey=0.0, flip=False)
    still.draw = lambda shape, low, high, *_: tf.fill(shape, (low + high) / 2)
    found = np.array(still(X))
    np.testing.assert_allclose(found, np.repeat(X, 2, axis=0), atol=1e-3)
    mirror = views.Crops(area=1.0, color=0.0, grey=0.0)
    mirror.draw = lambda shape, low, high, place, _: tf.fill(
        shape, 0.0 if place == 5 else (low + high) / 2
    )
    np.testing.assert_allclose(mirror(X)[::2], X[:, :, ::-1], atol=1e-3)
    # A quarter in the upper left corner.
    corner = views.Crops(area=0.25, color=0.0, grey=0.0, flip=False)
    middle = {2: 0.0, 6: 1.0, 7: 1.0}
    corner.draw = lambda shape, low, high, place, _: tf.fill(
        shape, middle.get(place, low) if place != 9 else 1.0
    )
    found = np.array(corner(X))[0]
    np.testing.assert_allclose(found[1, 1], 0.0625 * (
        9 * X[0, 0, 0] + 3 * X[0, 0, 1] + 3 * X[0, 1, 0] + X[0, 1, 1]
    ), atol=1e-2)  # fmt: skip
    layer = views.Crops()
    one, two = (np.array(layer(X, training=True)) for _ in range(2))
    assert not np.allclose(one, two) and not np.allclose(one[0], one[1])
    assert one.min() >= 0 and one.max() <= 255
    np.testing.assert_array_equal(layer(X), layer(X))


@pytest.mark.slow
def test_steps_compile_with_xla():
    model = build(*[make() for make in TASKS.values()])
    model.compile(keras.optimizers.SGD(0.1), jit_compile=True)
    history = model.fit(X, zeros(*TASKS), epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


# What has been learned.


def test_probe():
    """It finds what is in the features, logs it, and leaves the model as it is."""
    label = np.arange(60) % 2
    pictures = RNG.uniform(0, 60, (60, *SHAPE)) + 150 * label[:, None, None, None]
    columns = {"image": tf.constant(pictures), "bright": tf.constant(label)}
    source = p5.data.Source(
        60, lambda i, e: {n: tf.gather(c, i) for n, c in columns.items()}
    )
    kind = p5.tasks.Classification("bright", num_classes=2)
    probe = pretraining.Probe(kind, source, source.first(30), every=2)
    task = TASKS["rotation"]()
    model = build(task)
    model.compile(keras.optimizers.SGD(0.0))
    batches = p5.data.training(source, [task], 20)
    data = p5.data.evaluation(source, [task], 20)
    history = model.fit(
        batches,
        epochs=2,
        steps_per_epoch=1,
        validation_data=data,
        callbacks=[probe],
        verbose=0,
    ).history
    assert history["val_probe_bright_linear"] == [1.0]
    assert history["val_probe_bright_knn"][0] > 0.9
    assert len(history["val_loss"]) == 2


@each
def test_its_cost_is_counted(name):
    model = build(TASKS[name]())
    found = p5.cost.parts(model)
    assert found["parameters"]["heads"][name] == model.get_layer(name).count_params()
    assert found["flops"]["heads"][name] > 0


def test_views_leave_no_bottleneck():
    """Their gradients pass the trunk elsewhere than those of the other tasks."""
    kinds = [p5.tasks.Classification(n, num_classes=3) for n in ("a", "b")]
    assert build(*kinds).bottleneck
    model = build(*kinds, TASKS["simclr"]())
    assert model.bottleneck is None
    with pytest.raises(ValueError, match="gradients='full'"):
        model.compile("sgd", weighting=p5.weighting.MGDA(gradients="features"))
    model.compile("sgd", weighting=p5.weighting.MGDA(gradients="full"))
    y = {"a": RNG.integers(0, 3, N), "b": RNG.integers(0, 3, N), **zeros("simclr")}
    assert np.isfinite(model.fit(X, y, verbose=0).history["loss"]).all()
