"""A small model under any weighting, for the tests of the engine."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import p5_keras as p5

BATCH, STEPS = 8, 4
NAMES = ["kind", "size", "mask"]


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


def data(missing=True, steps=STEPS):
    """Batches in which labels are missing, all those of a task in the first two."""
    rng = np.random.default_rng(0)
    n = steps * BATCH
    x = rng.normal(size=(n, 16, 16, 1)).astype("float32")
    y = {
        "kind": rng.integers(0, 3, n),
        "size": 2 + rng.normal(size=(n, 2)).astype("float32"),
        "mask": rng.integers(0, 2, (n, 16, 16)),
    }
    weight = {name: np.ones(n, "float32") for name in y}
    if missing:
        weight = {k: (rng.uniform(size=n) < 0.7).astype("float32") for k in y}
        weight["mask"][:BATCH] = 0
        weight["size"][BATCH : 2 * BATCH] = 0
    dataset = tf.data.Dataset.from_tensor_slices((x, y, weight))
    return dataset.batch(BATCH, drop_remainder=True)


def build(weighting=None, loss_weights=None, strategy=None, optimizer=None, **kwargs):
    """A compiled model; `kwargs` go to `compile`, but for λ and γ."""
    keras.utils.set_random_seed(0)
    rates = {k: kwargs.pop(k) for k in ("trunk_l2", "head_l2") if k in kwargs}
    with (strategy or tf.distribute.get_strategy()).scope():
        tasks = [
            p5.tasks.Classification("kind", num_classes=3),
            p5.tasks.Regression("size", size=2, mean=[0.0, 0.0], std=[1.0, 1.0]),
            p5.tasks.Segmentation("mask", num_classes=2, width=4),
        ]
        model = p5.build_model(Smooth(), tasks, (16, 16, 1), **rates)
        model.compile(
            optimizer or keras.optimizers.SGD(0.05, 0.9),
            weighting=weighting,
            loss_weights=loss_weights,
            **kwargs,
        )
    return model


def train(weighting=None, loss_weights=None, dataset=None, epochs=2, **kwargs):
    """A trained model, and the logs of its epochs."""
    model = build(weighting, loss_weights, **kwargs)
    dataset = data() if dataset is None else dataset
    return model, model.fit(dataset, epochs=epochs, verbose=0).history


def values(model):
    return [v.numpy() for v in model.variables]


def assert_same(model, other, atol=1e-5):
    for a, b in zip(values(model), values(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)
