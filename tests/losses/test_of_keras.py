"""Losses of Keras compare labels and outputs in one space."""

import keras
import numpy as np
import pytest
from keras import ops

import p5_keras as p5

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(6, 3)).astype("float32")
CLASSES = np.array([0, 2, 1, -1, 2, 0], "int32")
KNOWN = CLASSES >= 0
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
HOT = np.eye(3)[CLASSES]
CROSS_ENTROPY = -np.log(P[np.arange(6), CLASSES])[KNOWN].mean()


def mean(task, loss, label, output):
    """The loss of a batch; its gradient must be finite too."""
    import tensorflow as tf

    output = tf.constant(output)
    with tf.GradientTape() as tape:
        tape.watch(output)
        value = task.training_loss(loss)(ops.convert_to_tensor(label), output)
    assert np.isfinite(tape.gradient(value, output)).all()
    return float(value)


def from_logits(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(
        y_true, y_pred, from_logits=True
    )


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        from_logits,
    ],
)
def test_cross_entropies_of_classes(loss):
    task = p5.tasks.Classification("c", num_classes=3)
    assert mean(task, loss, CLASSES, LOGITS) == pytest.approx(CROSS_ENTROPY, rel=1e-4)


def test_other_losses_of_classes_see_probabilities_and_rows():
    task = p5.tasks.Classification("c", num_classes=3)
    brier = ((P - HOT) ** 2).mean(axis=-1)[KNOWN].mean()
    assert mean(task, "mse", CLASSES, LOGITS) == pytest.approx(brier, rel=1e-5)


def test_classes_of_maps_leave_pixels_out():
    task = p5.tasks.Segmentation("m", num_classes=3)
    label, output = CLASSES.reshape(1, 2, 3), LOGITS.reshape(1, 2, 3, 3)
    for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        value = mean(task, loss, label, output)
        assert value == pytest.approx(CROSS_ENTROPY, rel=1e-4)


def test_an_ordinal_task_has_probabilities_of_classes():
    task = p5.tasks.Ordinal("o", num_classes=4)
    output = np.sort(LOGITS, axis=-1)[:, ::-1].copy()
    p = np.asarray(task.decode(output)["probabilities"])
    label = np.array([0, 1, 2, 3, 3, 1], "int32")
    wanted = -np.log(p[np.arange(6), label]).mean()
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ):
        assert mean(task, loss, label, output) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        "binary_crossentropy",
        keras.losses.BinaryCrossentropy(),
        keras.losses.BinaryCrossentropy(from_logits=True),
    ],
)
def test_cross_entropies_of_labels_leave_single_ones_out(loss):
    task = p5.tasks.MultiLabel("l", num_classes=3)
    label = RNG.integers(0, 2, (6, 3)).astype("float32")
    label[0, 1] = label[4] = np.nan
    p = 1 / (1 + np.exp(-LOGITS))
    each = -np.where(label == 1, np.log(p), np.log(1 - p))
    wanted = each[~np.isnan(label)].mean()
    assert mean(task, loss, label, LOGITS) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "loss", ["mae", keras.losses.MeanAbsoluteError(), lambda t, p: ops.abs(t - p)]
)
def test_values_are_standardised(loss):
    task = p5.tasks.Regression("v", size=3, mean=[40.0, 0.0, 1.0], std=[12.0, 1.0, 2.0])
    label = 40 + 12 * RNG.normal(size=(6, 3)).astype("float32")
    label[2, 1] = np.nan
    each = np.abs((label - [40, 0, 1]) / [12, 1, 2] - LOGITS)
    assert mean(task, loss, label, LOGITS) == pytest.approx(np.nanmean(each), rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", lambda t, p: (t - p) ** 2])
def test_values_of_maps_are_logarithms(loss):
    task = p5.tasks.DenseRegression("d", mean=1.5)
    label = np.exp(RNG.normal(size=(1, 2, 3))).astype("float32")
    label[0, 0, 1] = np.nan
    output = LOGITS[:2].reshape(1, 2, 3, 1)
    each = (np.log(label) - 1.5 - output[..., 0]) ** 2
    assert mean(task, loss, label, output) == pytest.approx(np.nanmean(each), rel=1e-4)


def test_what_no_loss_of_keras_can_compare_is_refused():
    task = p5.tasks.Detection("objects", num_classes=2)
    with pytest.raises(ValueError, match=r"a p5_keras\.losses\.MeanLoss.*'mse'"):
        task.training_loss("mse")


def test_a_name_that_keras_does_not_know():
    task = p5.tasks.Classification("c", num_classes=3)
    with pytest.raises(ValueError, match="Did you mean 'mean_squared_error'"):
        task.training_loss("mean_square_error")


def test_a_loss_of_the_whole_batch_is_refused():
    task = p5.tasks.Binary("b")
    with pytest.raises(ValueError, match="must give a value for each example"):
        mean(task, keras.losses.Dice(), np.ones((6, 1), "float32"), LOGITS[:, :1])


@pytest.mark.parametrize("loss", ["binary_crossentropy", "binary_focal_crossentropy"])
def test_rows_of_classes_are_compared_element_by_element(loss):
    task = p5.tasks.Classification("c", num_classes=3)
    each = -np.where(HOT == 1, np.log(P), np.log(1 - P))
    if "focal" in loss:
        each *= np.where(HOT == 1, 1 - P, P) ** 2
    wanted = each.mean(axis=-1)[KNOWN].mean()
    assert mean(task, loss, CLASSES, LOGITS) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        (p5.tasks.Binary("b"), "categorical_crossentropy"),
        (p5.tasks.Binary("b"), keras.losses.SparseCategoricalCrossentropy()),
        (p5.tasks.MultiLabel("l", num_classes=3), "categorical_hinge"),
        (p5.tasks.Regression("v"), "binary_crossentropy"),
        (p5.tasks.Regression("v"), "msle"),
        (p5.tasks.Regression("v"), keras.losses.Poisson()),
        (p5.tasks.DenseRegression("d"), "mape"),
    ],
)
def test_a_loss_without_a_meaning_is_refused(task, loss):
    with pytest.raises(ValueError, match=r"The `loss` of task .* must.*Received: "):
        task.training_loss(loss)
