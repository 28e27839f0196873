"""Metrics of Keras see probabilities and values in their unit, as NumPy would."""

import keras
import numpy as np
import pytest
from sklearn import metrics as sk

import p5_keras as p5

RNG = np.random.default_rng(0)
N = 60
WEIGHT = np.ones(N, "float32")
WEIGHT[:5] = 0
USED = WEIGHT > 0


def result(task, metric, label, output, weight=WEIGHT):
    (metric,) = task.training_metrics([metric])
    half = N // 2
    for rows in (slice(None, half), slice(half, None)):
        metric.update_state(label[rows], output[rows], sample_weight=weight[rows])
    value = np.asarray(metric.result())
    metric.reset_state()
    metric.update_state(label, output, sample_weight=weight)
    np.testing.assert_allclose(np.asarray(metric.result()), value, rtol=1e-5)
    return value


def test_binary():
    task = p5.tasks.Binary("b")
    output = RNG.normal(size=(N, 1)).astype("float32") - 1
    label = (output + RNG.normal(size=(N, 1)) > -1).astype("float32")
    label[7] = np.nan
    used = USED & (np.arange(N) != 7)
    t, z = label[used, 0], output[used, 0]
    assert result(task, "accuracy", label, output) == pytest.approx(
        ((z > 0) == t).mean()
    )
    for metric, wanted in (
        (keras.metrics.Precision(), sk.precision_score(t, z > 0)),
        (keras.metrics.Recall(), sk.recall_score(t, z > 0)),
        (keras.metrics.F1Score(threshold=0.5), sk.f1_score(t, z > 0)),
    ):
        found = np.ravel(result(task, metric, label, output))[0]
        assert found == pytest.approx(wanted, abs=1e-5)
    auc = result(task, keras.metrics.AUC(num_thresholds=2000), label, output)
    assert auc == pytest.approx(sk.roc_auc_score(t, z), abs=5e-3)


@pytest.mark.parametrize("kind", ["AUC", "BinaryCrossentropy"])
def test_metrics_that_were_made_for_logits(kind):
    task = p5.tasks.Binary("b")
    output = RNG.normal(size=(N, 1)).astype("float32")
    label = RNG.integers(0, 2, (N, 1)).astype("float32")
    make = getattr(keras.metrics, kind)
    one, two = make(), make(from_logits=True)
    wanted = result(task, one, label, output)
    assert result(task, two, label, output) == pytest.approx(wanted, rel=1e-4)


def test_the_likeliest_of_one_label_is_no_answer():
    with pytest.raises(ValueError, match="give F1Score a threshold"):
        p5.tasks.Binary("b").training_metrics([keras.metrics.F1Score()])


def test_labels_are_counted_one_by_one():
    task = p5.tasks.MultiLabel("l", num_classes=3)
    output = RNG.normal(size=(N, 3)).astype("float32")
    label = RNG.integers(0, 2, (N, 3)).astype("float32")
    label[10, 1] = np.nan
    known = USED[:, None] & ~np.isnan(label)
    right = ((output > 0) == label)[known].mean()
    assert result(task, "accuracy", label, output) == pytest.approx(right)


def test_classes():
    task = p5.tasks.Classification("c", num_classes=4)
    output = RNG.normal(size=(N, 4)).astype("float32")
    label = RNG.integers(0, 4, N).astype("int32")
    t, z = label[USED], output[USED]
    best = z.argmax(axis=-1)
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    wanted = {
        "accuracy": (best == t).mean(),
        "categorical_accuracy": (best == t).mean(),
        "sparse_categorical_crossentropy": -np.log(p[np.arange(len(t)), t]).mean(),
        "categorical_crossentropy": -np.log(p[np.arange(len(t)), t]).mean(),
    }
    for metric, value in wanted.items():
        found = result(task, metric, label, output)
        assert found == pytest.approx(value, rel=1e-4), metric
    top = (np.argsort(z)[:, -2:] == t[:, None]).any(axis=-1).mean()
    for metric in (
        keras.metrics.TopKCategoricalAccuracy(2),
        keras.metrics.SparseTopKCategoricalAccuracy(2),
    ):
        assert result(task, metric, label, output) == pytest.approx(top)
    f1 = result(task, keras.metrics.F1Score("macro"), label, output)
    assert f1 == pytest.approx(sk.f1_score(t, best, average="macro"), abs=1e-5)
    iou = result(task, keras.metrics.MeanIoU(4), label, output)
    assert iou == pytest.approx(sk.jaccard_score(t, best, average="macro"), abs=1e-5)


def test_of_two_classes_the_second_is_the_positive_one():
    task = p5.tasks.Classification("c", num_classes=2)
    output = RNG.normal(size=(N, 2)).astype("float32")
    label = RNG.integers(0, 2, N).astype("int32")
    best = output[USED].argmax(axis=-1)
    found = result(task, keras.metrics.Precision(), label, output)
    assert found == pytest.approx(sk.precision_score(label[USED], best))


def test_pixels_without_a_class_are_left_out():
    task = p5.tasks.Segmentation("m", num_classes=3)
    output = RNG.normal(size=(N, 2, 2, 3)).astype("float32")
    label = RNG.integers(0, 3, (N, 2, 2)).astype("int32")
    label[:, 0, 0] = -1
    known = USED[:, None, None] & (label >= 0)
    right = (output.argmax(axis=-1) == label)[known].mean()
    assert result(task, "accuracy", label, output) == pytest.approx(right)


def test_values_have_their_unit():
    task = p5.tasks.Regression("v", mean=[40.0], std=[12.0])
    output = RNG.normal(size=(N, 1)).astype("float32")
    value = 40 + 12 * output
    label = value + RNG.normal(size=(N, 1)).astype("float32")
    label[20] = np.nan
    used = USED & (np.arange(N) != 20)
    wanted = sk.r2_score(label[used], value[used])
    found = result(task, keras.metrics.R2Score(), label, output)
    assert found == pytest.approx(wanted, abs=1e-5)
    wanted = np.abs(label - value)[used].mean()
    assert result(task, "mae", label, output) == pytest.approx(wanted, rel=1e-5)


def test_maps_of_values_have_their_unit():
    task = p5.tasks.DenseRegression("d", mean=1.5)
    output = RNG.normal(size=(N, 2, 2, 1)).astype("float32")
    label = np.exp(RNG.normal(size=(N, 2, 2))).astype("float32")
    label[:, 1, 1] = np.nan
    known = USED[:, None, None] & ~np.isnan(label)
    wanted = np.abs(np.exp(output[..., 0] + 1.5) - label)[known].mean()
    found = result(task, keras.metrics.MeanAbsoluteError(), label, output)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_what_has_no_accuracy_says_so():
    with pytest.raises(ValueError, match="is a regression and has no accuracy"):
        p5.tasks.Regression("v").training_metrics(["accuracy"])
    with pytest.raises(ValueError, match=r"must be of p5_keras\.metrics"):
        p5.tasks.Detection("o", num_classes=2).training_metrics(["mse"])


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        (p5.tasks.Binary("b"), "categorical_accuracy"),
        (p5.tasks.Binary("b"), keras.metrics.SparseCategoricalAccuracy()),
        (p5.tasks.Regression("v"), "binary_accuracy"),
        (p5.tasks.Regression("v"), keras.metrics.AUC()),
        (p5.tasks.Regression("v"), keras.metrics.PearsonCorrelation()),
        (p5.tasks.Regression("v"), keras.metrics.Mean()),
    ],
)
def test_a_metric_without_a_meaning_is_refused(task, metric):
    with pytest.raises(ValueError, match=r"The `metrics` of task .* must.*Received: "):
        task.training_metrics([metric])


@pytest.mark.parametrize("name", ["mae", "AUC", "acc", "binary_crossentropy"])
def test_a_metric_has_the_name_that_it_was_given(name):
    task = p5.tasks.Regression("v") if name == "mae" else p5.tasks.Binary("b")
    (metric,) = task.training_metrics([name])
    assert metric.name == name


def test_labels_of_yes_and_no_as_areas_and_one_of_several():
    task = p5.tasks.MultiLabel("l", num_classes=3)
    output = RNG.normal(size=(N, 3)).astype("float32")
    label = RNG.integers(0, 2, (N, 3)).astype("float32")
    t, z = label[USED], output[USED]
    wanted = sk.jaccard_score(t.ravel(), z.ravel() > 0, average="macro")
    iou = result(task, keras.metrics.MeanIoU(2), label, output)
    assert iou == pytest.approx(wanted, abs=1e-5)
    precision = result(task, keras.metrics.Precision(class_id=1), label, output)
    assert precision == pytest.approx(sk.precision_score(t[:, 1], z[:, 1] > 0))


def test_classes_are_compared_element_by_element():
    task = p5.tasks.Classification("c", num_classes=3)
    output = RNG.normal(size=(N, 3)).astype("float32")
    label = RNG.integers(0, 3, N).astype("int32")
    p = np.exp(output) / np.exp(output).sum(axis=-1, keepdims=True)
    each = -np.where(np.eye(3)[label] == 1, np.log(p), np.log(1 - p))
    found = result(task, "binary_crossentropy", label, output)
    assert found == pytest.approx(each[USED].mean(), rel=1e-4)


def test_a_metric_that_another_model_used_begins_anew():
    task = p5.tasks.Binary("b")
    output = np.array([[1.0], [-1.0]], "float32")
    used, label = keras.metrics.BinaryAccuracy(), (output > 0).astype("float32")
    for truth, right in ((1 - label, 0), (label, 1)):
        (metric,) = task.training_metrics([used])
        metric.update_state(truth, output)
        assert float(metric.result()) == right
