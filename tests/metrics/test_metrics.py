import keras
import numpy as np
import pytest
from keras import ops

from p5_keras.metrics import ElementMean, LabelAUC, MeanIoU

NAN = np.nan


@keras.saving.register_keras_serializable("tests")
def gap(y_true, y_pred):
    return ops.abs(y_true - y_pred)


def floats(*values):
    return np.array(values, "float32")


def sure(classes, count):
    """Logits that leave no doubt of a class map."""
    return np.eye(count, dtype="float32")[np.array(classes)]


# ElementMean


def test_mean_leaves_missing_labels_out():
    metric = ElementMean(gap, "gap")
    metric.update_state(floats([1, 2], [NAN, 4], [9, 9]), np.zeros((3, 2)), [1, 1, 0])
    assert float(metric.result()) == pytest.approx((1 + 2 + 4) / 3)


def test_mean_leaves_negative_integers_out():
    metric = ElementMean(lambda t, p: ops.cast(t, "float32") + p, "sum")
    metric.update_state(np.array([1, -1, 3]), floats(0, 50, 0))
    assert float(metric.result()) == pytest.approx(2)


def test_mean_of_batches_and_reset():
    metric = ElementMean(gap, "gap")
    metric.update_state(floats(1, 1, 1), floats(0, 0, 0))
    metric.update_state(floats(5), floats(0))
    assert float(metric.result()) == pytest.approx(2)
    metric.reset_state()
    metric.update_state(floats(7), floats(0))
    assert float(metric.result()) == pytest.approx(7)


def test_mean_is_weighted():
    metric = ElementMean(gap, "gap")
    metric.update_state(floats(1, 5), floats(0, 0), floats(3, 1))
    assert float(metric.result()) == pytest.approx(2)


def test_mean_of_one_value_an_example_with_a_column_of_labels():
    metric = ElementMean(lambda t, p: ops.squeeze(gap(t, p), -1), "gap")
    metric.update_state(floats([1], [NAN], [3]), np.zeros((3, 1)), floats(1, 1, 1))
    assert float(metric.result()) == pytest.approx(2)


def test_mean_of_one_value_an_example_with_a_vector_of_labels():
    metric = ElementMean(lambda t, p: t[:, 0] + p[:, 0], "sum")
    metric.update_state(floats([1, 2], [3, NAN], [5, 6]), floats([0], [0], [1]))
    assert float(metric.result()) == (1 + 6) / 2


def test_root_is_taken_after_the_mean():
    metric = ElementMean(lambda t, p: (t - p) ** 2, "rmse", root=True)
    metric.update_state(floats(1, 7), floats(0, 0))
    assert float(metric.result()) == pytest.approx(5)


def test_an_infinite_value_of_weight_zero_is_dropped():
    metric = ElementMean(gap, "gap")
    metric.update_state(floats(np.inf, 2), floats(0, 0), floats(0, 1))
    assert float(metric.result()) == pytest.approx(2)


# LabelAUC


def test_auc_by_hand():
    # Of the 2 x 2 pairs of a positive and a negative only (0.4, 0.5) is wrong.
    metric = LabelAUC(1)
    p = floats([0.9], [0.4], [0.5], [0.1])
    metric.update_state(floats([1], [1], [0], [0]), np.log(p / (1 - p)))
    assert float(metric.result()) == pytest.approx(3 / 4, abs=1e-4)


def test_auc_of_mixed_labels_goes_by_the_larger_part():
    outputs = floats([2], [1], [-1], [0])
    found = []
    for labels in (floats([0.7], [0.4], [0.1], [0.9]), floats([1], [0], [0], [1])):
        metric = LabelAUC(1)
        metric.update_state(labels, outputs)
        found.append(float(metric.result()))
    assert found[0] == found[1] == pytest.approx(0.75, abs=0.01)


def test_auc_leaves_missing_labels_and_examples_out():
    metric = LabelAUC(2)
    labels = floats([1, 0], [0, 1], [NAN, 1], [1, 0], [0, 1])
    logits = floats([2, 2], [-2, 1], [-9, 3], [3, -1], [9, -9])
    metric.update_state(labels, logits, floats(1, 1, 1, 1, 0))
    # First label: 2 and 3 above -2. Second: 1 and 3 against 2 and -1; (1, 2) is wrong.
    assert float(metric.result()) == pytest.approx((1 + 3 / 4) / 2, abs=1e-4)


def test_auc_is_the_mean_over_labels_with_two_sides():
    metric = LabelAUC(3)
    labels = floats([1, 1, 0], [0, 1, 0])
    metric.update_state(labels, floats([1, 5, -4], [2, 5, 4]))
    assert float(metric.result()) == pytest.approx(0, abs=1e-4)


def test_auc_agrees_with_keras_where_all_is_labelled():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, (50, 3)), rng.normal(size=(50, 3))
    ours, keras_own = (
        LabelAUC(3),
        keras.metrics.AUC(multi_label=True, num_labels=3, from_logits=True),
    )
    for part in (slice(0, 20), slice(20, 50)):
        ours.update_state(labels[part].astype("float32"), logits[part])
        keras_own.update_state(labels[part], logits[part])
    assert float(ours.result()) == pytest.approx(float(keras_own.result()), abs=1e-5)


# MeanIoU


def test_iou_by_hand():
    metric = MeanIoU(2)
    metric.update_state(np.array([[[0, 0, 1, 1]]]), sure([[[0, 1, 1, 1]]], 2))
    assert float(metric.result()) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_iou_of_batches_pools_pixels():
    metric = MeanIoU(2)
    metric.update_state(np.array([[[0, 0]]]), sure([[[0, 0]]], 2))
    metric.update_state(np.array([[[0, 1]]]), sure([[[1, 1]]], 2))
    # Class 0: 2 of 3 pixels, class 1: 1 of 2.
    assert float(metric.result()) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_iou_leaves_ignored_pixels_and_examples_out():
    metric = MeanIoU(2)
    labels = np.array([[[0, 0, 1, 1, -1, -1]], [[0] * 6]])
    outputs = sure([[[0, 1, 1, 1, 0, 1]], [[1] * 6]], 2)
    metric.update_state(labels, outputs, np.array([1, 0]))
    assert float(metric.result()) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_iou_counts_a_class_that_is_only_found_and_no_class_that_is_nowhere():
    metric = MeanIoU(4)
    metric.update_state(np.array([[[0, 0, 1]]]), sure([[[0, 2, 1]]], 4))
    # Classes 0, 1, 2: 1/2, 1 and 0. Class 3 is nowhere.
    assert float(metric.result()) == pytest.approx(1.5 / 3)


def test_iou_agrees_with_keras():
    rng = np.random.default_rng(0)
    labels, found = rng.integers(0, 3, (2, 4, 5, 6))
    ours, keras_own = MeanIoU(3), keras.metrics.MeanIoU(3)
    ours.update_state(labels, sure(found, 3))
    keras_own.update_state(labels, found)
    assert float(ours.result()) == pytest.approx(float(keras_own.result()), abs=1e-6)


# All of them

CASES = {
    "mean": (lambda: ElementMean(gap, "gap", root=True), floats([4.0]), floats([0.0])),
    "auc": (lambda: LabelAUC(2), floats([1, 0], [0, 1]), floats([1, 1], [0, 0])),
    "iou": (lambda: MeanIoU(2, "iou"), np.array([[[0, 1]]]), sure([[[0, 0]]], 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_labelled_is_nan(case):
    make, labels, outputs = CASES[case]
    metric = make()
    assert np.isnan(metric.result())
    metric.update_state(labels, outputs, np.zeros(len(labels)))
    assert np.isnan(metric.result())


@pytest.mark.parametrize("case", CASES)
def test_config_round_trip(case):
    make, labels, outputs = CASES[case]
    metric = make()
    config = keras.saving.serialize_keras_object(metric)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.name == metric.name
    for one in (metric, copy):
        one.update_state(labels, outputs)
    assert float(copy.result()) == float(metric.result()) > 0
