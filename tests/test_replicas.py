"""Two replicas train as one device does, on the same global batches."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import p5_keras as p5
from p5_keras.tasks import (
    Classification,
    Detection,
    MultiLabel,
    Regression,
    Segmentation,
    Seq2Seq,
    Transcription,
)

STEPS, BATCH = 6, 8
SIZE = STEPS * BATCH
NAN = np.nan


def uneven(rng):
    """Weights that leave the second replica, the first, both or some without labels."""
    weight = (rng.uniform(size=(STEPS, BATCH)) < 0.6).astype("float32")
    weight[0] = [1, 1, 0, 1, 0, 0, 0, 0]
    weight[1] = [0, 0, 0, 0, 0, 0, 1, 0]
    weight[2] = 0
    return weight.ravel()


class Smooth(p5.Trunk):
    """A small pyramid without kinks, at which rounding errors would grow."""

    def stages(self, input_shape):
        stages = {}
        for name, width in (("P2", 3), ("P3", 4)):
            inputs = keras.Input(input_shape)
            x = layers.Conv2D(width, 3, 4 if name == "P2" else 2, "same")(inputs)
            x = layers.BatchNormalization(synchronized=True, momentum=0.8)(x)
            x = layers.Activation("tanh")(x)
            stages[name] = keras.Model(inputs, x, name=f"trunk_{name}")
            input_shape = x.shape[1:]
        return stages


def images(size):
    return np.random.default_rng(0).normal(size=(SIZE, size, size, 1))


def train(strategy, build, optimizer, data, whole=True, **kwargs):
    """Weights, logs and predictions of a short training."""
    keras.utils.set_random_seed(0)
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(BATCH, drop_remainder=True)
    with strategy.scope():
        model = build()
        start = np.random.default_rng(1)
        for v in model.trainable_variables:
            if len(v.shape) > 1:
                v.assign(start.normal(size=v.shape, scale=0.2))
        model.compile(optimizer(), **kwargs)
    replicas = model.distribute_strategy.num_replicas_in_sync
    assert replicas == strategy.num_replicas_in_sync
    logs = model.fit(dataset, epochs=2, verbose=0).history
    batches = []
    if whole:
        logs.update(model.evaluate(dataset, return_dict=True, verbose=0))
        batches = list(model.predictions(dataset))
    return [np.array(v) for v in model.variables], logs, batches


def assert_equal_runs(two_replicas, *args, **kwargs):
    """Trains on one device and on two, and returns the logs."""
    one_device = tf.distribute.get_strategy()
    weights, logs, batches = train(one_device, *args, **kwargs)
    weights2, logs2, batches2 = train(two_replicas, *args, **kwargs)
    for one, two in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
    assert sorted(logs) == sorted(logs2)
    for name, values in logs.items():
        # A single pixel may be on the edge between two classes.
        atol = 1e-5 if "loss" in name or name == "l2" else 5e-3
        np.testing.assert_allclose(logs2[name], values, 1e-5, atol, err_msg=name)
    for one, two in zip(batches, batches2, strict=True):
        for key in ("x", "label", "weight"):
            tf.nest.map_structure(np.testing.assert_array_equal, one[key], two[key])
        for name, fields in one["fields"].items():
            assert list(fields) == list(two["fields"][name])
    return logs


@pytest.mark.slow
def test_all_but_boxes(two_replicas):
    rng = np.random.default_rng(0)
    tags = rng.integers(0, 2, (SIZE, 2)).astype("float32")
    tags[rng.uniform(size=tags.shape) < 0.4] = NAN
    masks = rng.integers(-1, 3, (SIZE, 16, 16))
    masks[uneven(rng) == 0] = -1
    y = {
        "kind": rng.integers(0, 3, SIZE),
        "tags": tags,
        "size": rng.normal(size=(SIZE, 2)).astype("float32"),
        "mask": masks,
    }
    weight = {name: uneven(rng) for name in y}
    weight["mask"] = np.ones(SIZE)

    def build():
        tasks = [
            Classification("kind", num_classes=3, class_weights=[1.0, 2.0, 5.0]),
            MultiLabel("tags", num_classes=2, positive_weights=[1.0, 3.0]),
            Regression("size", size=2, mean=[0.0, 0.0], std=[1.0, 2.0]),
            Segmentation("mask", num_classes=3, width=4),
        ]
        return p5.build_model(Smooth(), tasks, (16, 16, 1), trunk_l2=0.01, head_l2=0.02)

    def optimizer():
        return keras.optimizers.SGD(0.05, 0.9, use_ema=True, ema_momentum=0.7)

    logs = assert_equal_runs(
        two_replicas,
        build,
        optimizer,
        (images(16), y, weight),
        loss_weights={"kind": 1.0, "tags": 0.5, "size": 2.0, "mask": 3.0},
    )
    assert logs["l2"] > 0
    assert np.isfinite(logs["loss"])


@pytest.mark.slow
def test_boxes(two_replicas):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 16, (SIZE, 3, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(6, 16, corners.shape)], -1)
    ids = rng.integers(0, 2, (SIZE, 3, 1))
    label = np.concatenate([boxes, ids], -1).astype("float32")
    # From no object to three, and none at all in the images of one replica.
    label[np.arange(3) >= rng.integers(0, 4, SIZE)[:, None]] = [0, 0, 0, 0, -1]
    label[3 * BATCH : 3 * BATCH + BATCH // 2] = [0, 0, 0, 0, -1]

    def build():
        task = Detection(
            "boxes",
            num_classes=2,
            max_boxes=3,
            width=4,
            depth=0,
            anchor_size=2.0,
            candidates=20,
            features=["P2", "P3"],
        )
        return p5.build_model(Smooth(), [task], (32, 32, 1))

    assert_equal_runs(
        two_replicas,
        build,
        lambda: keras.optimizers.SGD(0.05, 0.9),
        (images(32), {"boxes": label}, {"boxes": uneven(rng)}),
    )


class Steps(p5.Trunk):
    """A sequence of vectors, each step by itself."""

    def stages(self, input_shape):
        inputs = keras.Input(input_shape)
        x = layers.Dense(4, activation="tanh")(inputs)
        return {"sequence": keras.Model(inputs, x)}


def test_sequences(two_replicas):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (SIZE, 3))
    label[np.arange(3) >= rng.integers(0, 4, SIZE)[:, None]] = -1
    y = {"said": label, "answer": label[:, ::-1]}
    y["answer"] = -np.sort(-y["answer"], axis=1)  # -1 behind the end again

    def build():
        tasks = [
            Transcription("said", num_classes=3),
            Seq2Seq("answer", num_classes=3, length=3, units=4),
        ]
        return p5.build_model(Steps(), tasks, (5, 3))

    x = rng.normal(size=(SIZE, 5, 3)).astype("float32")
    x[::3, 3:] = 0
    data = (x, y, {name: uneven(rng) for name in y})
    optimizer = functools.partial(keras.optimizers.SGD, 0.05, 0.9)
    logs = assert_equal_runs(two_replicas, build, optimizer, data, whole=False)
    assert logs["said_loss"][1] < logs["said_loss"][0]


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipped_gradients(two_replicas, clip):
    rng = np.random.default_rng(0)
    y = {
        "kind": rng.integers(0, 3, SIZE),
        "size": 10 * rng.normal(size=(SIZE, 1)).astype("float32"),
    }

    def build():
        tasks = [
            Classification("kind", num_classes=3),
            Regression("size", mean=[0.0], std=[1.0]),
        ]
        return p5.build_model(p5.trunks.Dense([4]), tasks, (3,), trunk_l2=0.01)

    def optimizer():
        # What the gradients are without clipping is well above this.
        return keras.optimizers.SGD(0.2, 0.9, **{clip: 0.05})

    weight = {name: uneven(rng) for name in y}
    data = (rng.normal(size=(SIZE, 3)), y, weight)
    assert_equal_runs(two_replicas, build, optimizer, data, whole=False)


def test_a_variable_loss_weight(two_replicas):
    with two_replicas.scope():
        alpha = keras.Variable(0.0)
        model = p5.build_model(
            p5.trunks.Dense([2]), [Regression("y", mean=[0.0], std=[1.0])], (1,)
        )
        model.compile(keras.optimizers.SGD(0.1), loss_weights={"y": alpha})
    data = (np.ones((4, 1)), {"y": np.full((4, 1), 5.0)})
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(4)
    before = [np.array(v) for v in model.trainable_variables]
    model.fit(dataset, verbose=0)
    for a, b in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    alpha.assign(1.0)
    model.fit(dataset, verbose=0)
    assert not np.array_equal(before[-1], model.trainable_variables[-1])


@pytest.mark.parametrize("size", [5, 7])
def test_evaluation_of_a_part_of_a_batch(two_replicas, size):
    rng = np.random.default_rng(0)
    y = {"kind": rng.integers(0, 3, size), "size": rng.normal(size=(size, 1))}
    dataset = tf.data.Dataset.from_tensor_slices((rng.normal(size=(size, 3)), y))
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            tasks = [
                Classification("kind", num_classes=3),
                Regression("size", mean=[0.0], std=[1.0]),
            ]
            model = p5.build_model(p5.trunks.Dense([4]), tasks, (3,))
            model.compile("sgd")
        logs = model.evaluate(dataset.batch(4), return_dict=True, verbose=0)
        # Keras weighs the whole objective by replica, not by example.
        del logs["loss"]
        values = [
            b["fields"]["size"]["value"] for b in model.predictions(dataset.batch(4))
        ]
        found.append((logs, np.concatenate(values)))
    (logs, values), (logs2, values2) = found
    assert logs2 == pytest.approx(logs, rel=1e-5)
    np.testing.assert_allclose(values2, values, rtol=1e-5, atol=1e-6)
