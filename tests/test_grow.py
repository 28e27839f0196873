"""Models that get tasks, lose tasks, and keep what they knew."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.losses import divergence
from p5_keras.trunks import Conv

SHAPE = (16, 16, 3)
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (8, *SHAPE)).astype("float32")
Y = {"kind": RNG.integers(0, 3, 8), "size": RNG.normal(size=(8, 1)).astype("float32")}
NEW = {"mask": RNG.integers(0, 2, (8, 16, 16))}


def tasks():
    return [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
    ]


def mask():
    return p5.tasks.Segmentation("mask", num_classes=2, width=8)


@pytest.fixture(scope="module")
def model():
    return trained(Conv(4, 1, levels=3, dropout=0.2))


def trained(trunk):
    model = p5.build_model(trunk, tasks(), SHAPE)
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def outputs(model):
    return {n: np.array(y) for n, y in model.predict(X, verbose=0).items()}


def train(model, y, epochs=3):
    model.compile(keras.optimizers.Adam(3e-3))
    zeros = {n: np.zeros(8, "float32") for n in model.task_names if n not in y}
    return model.fit(X, {**y, **zeros}, epochs=epochs, verbose=0)


def test_a_new_task_leaves_the_old_outputs_as_they_are(model, tmp_path):
    before = outputs(model)
    grown = p5.grow.add_task(model, mask())
    assert grown.task_names == ["kind", "size", "mask"]
    learner = p5.grow.learner(grown, ["mask"], frozen=True)
    assert learner.task_names == ["mask"]
    first = outputs(grown)["mask"]
    train(learner, NEW)
    after = outputs(grown)
    for name, y in before.items():
        np.testing.assert_array_equal(y, after[name])  # to the bit
        np.testing.assert_array_equal(y, outputs(model)[name])
    assert not np.array_equal(first, after["mask"])
    # The trunk is there once, and it all is saved.
    assert sum(x.name.startswith("trunk_") for x in grown.layers) == 2
    grown.save(tmp_path / "m.keras")
    again = outputs(keras.saving.load_model(tmp_path / "m.keras"))
    for name, y in after.items():
        np.testing.assert_array_equal(y, again[name])


@pytest.mark.slow
def test_tuned_without_the_old_model_they_change(model):
    before = outputs(model)
    grown = p5.grow.add_task(model, mask())
    train(p5.grow.learner(grown, ["mask"]), NEW)
    assert not np.array_equal(before["kind"], outputs(grown)["kind"])
    np.testing.assert_array_equal(before["kind"], outputs(model)["kind"])


@pytest.mark.slow
def test_distillation_holds_the_old_outputs(tmp_path):
    model = trained(Conv(4, 1, "group", levels=3))
    before = outputs(model)

    def drift(weight):
        grown = p5.grow.add_task(model, mask())
        old = model if weight else None
        learner = p5.grow.learner(grown, ["mask"], old, weight=weight)
        if weight:
            assert learner.task_names == ["mask", "keep_kind", "keep_size"]
        train(learner, NEW, epochs=10)
        after = outputs(grown)
        return np.mean(
            [np.abs(after[n] - y).mean() for n, y in before.items()]
        ), learner

    keras.utils.set_random_seed(1)
    free, _ = drift(0.0)
    keras.utils.set_random_seed(1)
    held, learner = drift(3.0)
    assert held < free / 2
    # The teacher is saved with what learns of it, and says the same.
    learner.save(tmp_path / "learner.keras")
    again = outputs(keras.saving.load_model(tmp_path / "learner.keras"))
    for name, y in outputs(learner).items():
        np.testing.assert_allclose(y, again[name], atol=1e-6)
    np.testing.assert_allclose(again["keep_kind"][:, 1], before["kind"], atol=1e-5)


def test_at_the_start_nothing_differs(model):
    grown = p5.grow.add_task(model, mask())
    learner = p5.grow.learner(grown, ["mask"], model)
    learner.compile()
    y = {**NEW, "keep_kind": np.zeros(8), "keep_size": np.zeros(8)}
    logs = learner.evaluate(X, y, return_dict=True, verbose=0)
    assert logs["keep_kind_loss"] == pytest.approx(0, abs=1e-6)
    assert logs["keep_size_error"] == pytest.approx(0, abs=1e-6)
    # It drops nothing in training either, and nothing trains it.
    said = learner(X, training=True)["keep_kind"][:, 1]
    np.testing.assert_allclose(said, outputs(model)["kind"], atol=1e-5)
    assert not any("old" in v.path for v in learner.trainable_variables)
    with pytest.raises(ValueError, match="`old` must have a task"):
        p5.grow.learner(grown, ["kind", "size"], model)


def test_remove_and_replace(model):
    before = outputs(model)
    smaller = p5.grow.remove_task(model, "size")
    assert smaller.task_names == ["kind"]
    np.testing.assert_array_equal(outputs(smaller)["kind"], before["kind"])
    other = p5.grow.replace_head(model, p5.tasks.Classification("size", num_classes=5))
    found = outputs(other)
    assert found["size"].shape == (8, 5) and other.task_names == ["kind", "size"]
    np.testing.assert_array_equal(found["kind"], before["kind"])
    for wrong in (
        lambda: p5.grow.remove_task(model, "kinds"),
        lambda: p5.grow.replace_head(model, mask()),
        lambda: p5.grow.learner(model, ["kinds"]),
    ):
        with pytest.raises(ValueError, match="must have the task"):
            wrong()
    with pytest.raises(ValueError, match="one task at least"):
        p5.grow.remove_task(smaller, "kind")


def test_names_and_trunks_are_checked(model):
    for name in ("kind", "trunk_P2", "image"):
        with pytest.raises(ValueError, match=name):
            p5.grow.add_task(model, p5.tasks.Classification(name, num_classes=2))
    sharing = p5.sharing.CrossStitch()
    columns = p5.build_model(Conv(2, 1, levels=3), tasks(), SHAPE, sharing=sharing)
    with pytest.raises(ValueError, match="must have one trunk"):
        p5.grow.add_task(columns, mask())


@pytest.mark.slow
def test_changes(model):
    grown = p5.grow.add_task(model, mask())
    train(p5.grow.learner(grown, ["mask"]), NEW)
    weights = {n: np.ones(8, "float32") for n in (*Y, *NEW)}
    data = tf.data.Dataset.from_tensors((X, {**Y, **NEW}, weights))
    found = p5.grow.changes(model, grown, data, {"mask_miou": 0.3})
    before = model.evaluate(X, Y, return_dict=True, verbose=0)
    row = found["size_mae"]
    assert row["before"] == pytest.approx(before["size_mae"], rel=1e-5)
    assert row["gain"] == pytest.approx(row["before"] - row["after"])  # an error
    row = found["kind_accuracy"]
    assert row["gain"] == pytest.approx(row["after"] - row["before"])
    assert found["mask_miou"]["before"] == 0.3
    assert (
        np.isnan(found["mask_accuracy"]["gain"]) if "mask_accuracy" in found else True
    )


def test_divergences():
    """By hand, and 0 with no gradient where nothing differs."""
    p, q = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    kl = (p * np.log(p / q)).sum()
    new, old = (2 * np.log(x)[None].astype("float32") for x in (q, p))
    np.testing.assert_allclose(divergence.softened(new, old), [4 * kl], rtol=1e-5)
    new, old = (np.log([[x[1] / x[0]]]).astype("float32") for x in (q, p))
    np.testing.assert_allclose(divergence.bernoulli(new, old), [[kl]], rtol=1e-5)
    old = RNG.normal(size=(2, 5, 7)).astype("float32")
    new = tf.Variable(old)
    with tf.GradientTape() as tape:
        found = divergence.detections(new, old)
    np.testing.assert_allclose(found, 0, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(found, new), 0, atol=1e-6)
    moved = old.copy()
    moved[0, 2, 1] += 3.0
    score = 1 / (1 + np.exp(-old[0, :, 4:].max(-1)))
    expected = score[2] * 9 / 4 / (score.sum() + 1)
    np.testing.assert_allclose(
        divergence.detections(moved, old), [expected, 0], rtol=1e-4, atol=1e-6
    )
