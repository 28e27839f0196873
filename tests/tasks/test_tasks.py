"""What holds for every kind of task, and the numbers of each kind."""

import json
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import p5_keras as p5
from p5_keras.batch import LabelCheck, prepared
from p5_keras.evaluation import trivial_metrics
from p5_keras.tasks import (
    Binary,
    Classification,
    Conversion,
    DenseRegression,
    Detection,
    MultiLabel,
    Ordinal,
    Ranking,
    Regression,
    Segmentation,
    Seq2Seq,
    SequenceTask,
    Transcription,
)

NAN = np.nan
SIZE = (24, 20)


def floats(values):
    return np.array(values, "float32")


def maps(*rows):
    """Maps of `SIZE`, each with the left half and the right half of one value."""
    halves = np.repeat(np.array(rows), SIZE[1] // 2, axis=1)
    return np.repeat(halves[:, None], SIZE[0], axis=1)


@dataclass
class Case:
    """A kind of task with labels of four examples, the last of them unlabelled."""

    make: Any
    #: The field as a dataset has it, and as the task wants it.
    given: Any
    label: Any
    #: A wrong label for the first example, and what the error says of it.
    bad: Any
    message: str
    #: The metrics of the prior on the three labelled examples.
    prior: dict[str, float]
    arguments: dict[str, Any] = field(default_factory=dict)
    perfect: float = 1.0
    #: Further fields of the examples.
    fields: dict[str, Any] = field(default_factory=dict)

    def task(self, **kwargs):
        return self.make("answer", **self.arguments, **kwargs)


BOX = [0.25, 0.2, 0.75, 0.8]  # yxyx in parts; 4, 6, 16, 18 in xyxy pixels
PIXELS = [4.0, 6.0, 16.0, 18.0]
EMPTY = [0.0, 0.0, 0.0, 0.0, -1.0]
TEXTS = np.array([[0, 1, 1], [2, -1, -1], [1, 0, -1], [-1, -1, -1]])
CASES = {
    "classification": Case(
        Classification,
        arguments={"num_classes": 3},
        given=np.array([0, 2, 2, -1]),
        label=np.array([0, 2, 2, 0], "int32"),
        bad=3,
        message="must be whole numbers from 0 to 2.*Received: 3 in example 0",
        # The majority class.
        prior={"accuracy": 2 / 3},
    ),
    "binary": Case(
        Binary,
        given=floats([1, 0, 0, NAN]),
        label=floats([[1], [0], [0], [NAN]]),
        bad=2.0,
        message="must be 0, 1 or missing.*2 in example 0",
        prior={"accuracy": 2 / 3, "auc": 1 / 2},
    ),
    "conversion": Case(
        Conversion,
        arguments={"click": "click"},
        given=floats([1, 0, 0, NAN]),
        label=floats([[1], [0], [0], [NAN]]),
        bad=2.0,
        message="must be 0, 1 or missing.*2 in example 0",
        prior={"accuracy": 2 / 3, "auc": 1 / 2},
    ),
    "ordinal": Case(
        Ordinal,
        arguments={"num_classes": 3},
        given=np.array([0, 2, 2, -1]),
        label=np.array([0, 2, 2, 0], "int32"),
        bad=3,
        message="must be whole numbers from 0 to 2.*Received: 3 in example 0",
        # The median class.
        prior={"mae": 2 / 3, "accuracy": 2 / 3},
        perfect=0.0,
    ),
    "ranking": Case(
        Ranking,
        arguments={"group": "user"},
        fields={"user": np.array([7, 7, 7, 7])},
        given=floats([1, 0, 2, NAN]),
        label=floats([[1, 0, 7], [0, 0, 7], [2, 0, 7], [NAN, 0, 7]]),
        bad=[np.inf, 0.0, 7.0],
        message="must be finite relevances.*inf.*in example 0",
        # All tie: the mean over all orders of gains 2, 1, 0.
        prior={
            "ndcg": np.mean(1 / np.log2([2, 3, 4])) * 3 / (2 + 1 / np.log2(3)),
            "auc": 1 / 2,
        },
    ),
    "multi-label": Case(
        MultiLabel,
        arguments={"num_classes": 2},
        given=np.array([[0, 1], [1, -1], [1, 1], [-1, -1]]),
        label=floats([[0, 1], [1, NAN], [1, 1], [NAN, NAN]]),
        bad=[0.0, 2.0],
        message="must be 0, 1 or missing.*2 in example 0",
        # Both mostly on: 2 of 3 and 2 of 2; only the first label has two sides.
        prior={"accuracy": 4 / 5, "auc": 1 / 2},
    ),
    "regression": Case(
        Regression,
        arguments={"size": 2},
        given=floats([[1, 10], [3, NAN], [5, 30], [NAN, NAN]]),
        label=floats([[1, 10], [3, NAN], [5, 30], [NAN, NAN]]),
        bad=[1.0, np.inf],
        message="must be finite.*or NaN.*inf in example 0",
        # Off the means 3 and 20 by 2, 10; 0; 2, 10.
        prior={"mae": 24 / 5, "rmse": np.sqrt(208 / 5)},
        perfect=0.0,
    ),
    "dense regression": Case(
        DenseRegression,
        arguments={"width": 4},
        given=maps([1, 2], [4, 0], [16, 2], [-1, NAN]).astype("float32")[..., None],
        label=maps([1, 2], [4, NAN], [16, 2], [NAN, NAN]).astype("float32"),
        bad=maps([1, np.inf])[0],
        message="must be finite.*NaN.*inf in example 0",
        # The geometric mean of each pixel: 4 on the left, 2 on the right.
        prior={
            "abs_rel": (3 + 0 + 0.75 + 0 + 0) / 5,
            "rmse": np.sqrt((9 + 0 + 144 + 0 + 0) / 5),
            "delta1": 3 / 5,
        },
        perfect=0.0,
    ),
    "segmentation": Case(
        Segmentation,
        arguments={"num_classes": 3, "width": 4},
        given=maps([0, 1], [0, 1], [2, 255], [255, 255])[..., None].astype("uint8"),
        label=maps([0, 1], [0, 1], [2, -1], [-1, -1]).astype("int32"),
        bad=maps([0, 7])[0],
        message="must be whole numbers from 0 to 2.*Received: 7 in example 0",
        # Class 0 on the left, class 1 on the right: IoU 2/3, 1 and 0.
        prior={"miou": (2 / 3 + 1 + 0) / 3, "pixel_accuracy": 4 / 5},
    ),
    "detection": Case(
        Detection,
        arguments={"num_classes": 2, "max_boxes": 2, "width": 8},
        given={
            "bbox": floats([[BOX], [BOX], [BOX], [[NAN] * 4]]),
            "label": np.array([[1], [1], [1], [0]]),
        },
        label=floats([[[*PIXELS, 1], EMPTY]] * 3 + [[EMPTY, EMPTY]]),
        bad=[[4.0, 6.0, 16.0, 18.0, 2.0], EMPTY],
        message="must have a class below 2.*example 0 is .*class 2",
        # All images have the same object in the same place.
        prior={"map": 1.0, "map50": 1.0, "recall": 1.0},
    ),
    "transcription": Case(
        Transcription,
        arguments={"class_names": list("abc")},
        given=TEXTS,
        label=TEXTS.astype("int32"),
        bad=[0, 3, -1],
        message="must be whole numbers from 0 to 2.*Received: 3 in example 0",
        # It says nothing.
        prior={"error_rate": 1.0, "accuracy": 0.0},
        perfect=0.0,
    ),
    "seq2seq": Case(
        Seq2Seq,
        arguments={"class_names": list("abc"), "length": 3, "units": 4},
        given=TEXTS,
        label=TEXTS.astype("int32"),
        bad=[0, -1, 1],
        message="must be .*negative behind their end only.*1 in example 0",
        prior={"error_rate": 1.0, "accuracy": 0.0},
        perfect=0.0,
    ),
}
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def test_every_kind_has_its_case():
    # Tagging has a label for each step, others none; they have tests of their own.
    bases = {"MapTask", "SequenceTask", "VectorTask"}
    others = bases | {"Tagging", "Unlabelled", "Kept", "Clustering"}
    kinds = set(p5.tasks.__all__) - others
    assert {case.make.__name__ for case in CASES.values()} == kinds


@pytest.mark.parametrize(
    ("task", "label", "words"),
    [
        (p5.tasks.Classification("a", num_classes=3), np.zeros((4, 2), int), "()"),
        (p5.tasks.Regression("a", size=2), np.zeros((4, 3)), "(2,)"),
        (p5.tasks.MultiLabel("a", num_classes=2), np.zeros(4), "(2,)"),
        (p5.tasks.Segmentation("a", num_classes=2), np.zeros((4, 9, 9), int), "(8, 6)"),
    ],
)
def test_label_of_another_shape(task, label, words):
    fields = {"image": tf.zeros((4, 8, 6, 1)), "a": tf.constant(label)}
    with pytest.raises(ValueError, match=re.escape(f"'a' must have the shape {words}")):
        task.target(fields)


def example(case, **fields):
    image = np.zeros((4, *SIZE, 3))
    return {"image": image, "answer": case.given, **case.fields, **fields}


def read(task, examples):
    """Label and weight through `tf.data`, as in training."""
    dataset = tf.data.Dataset.from_tensors(examples).map(task.target)
    assert all(None not in spec.shape for spec in dataset.element_spec)
    return tuple(x.numpy() for x in dataset.get_single_element())


def adapted(case, **kwargs):
    task = case.task(**kwargs)
    task.adapt(case.label, floats([1, 1, 1, 0]))
    return task


class Rows(p5.Trunk):
    """An image as the sequence of its rows."""

    def stages(self, input_shape):
        rows, columns, channels = input_shape
        inputs = keras.Input(input_shape)
        x = layers.Reshape((rows, columns * channels))(inputs)
        stages = {"P2": keras.Model(inputs, layers.Dense(4)(x))}
        for name in ("P3", "sequence"):
            inputs = keras.Input((rows, 4))
            stages[name] = keras.Model(inputs, layers.Dense(4)(inputs))
        return stages


def build(task, shape=(*SIZE, 3)):
    if isinstance(task, SequenceTask):
        return p5.build_model(Rows(), [task], shape)
    trunk = p5.trunks.Conv(width=4, depth=1, norm="none", levels=4)
    read = [Binary(name) for name in task.reads]
    model = p5.build_model(trunk, [*read, task], shape)
    return p5.export.submodel(model, [task.name])


def metrics(task, label, output, weight):
    """All metrics of outputs, evaluator included."""
    logs = {}
    for metric in task.default_metrics():
        metric.update_state(label, output, sample_weight=weight)
        logs[metric.name] = float(metric.result())
    if (evaluator := task.evaluator()) is not None:
        fields = {k: np.array(v) for k, v in task.decode(output).items()}
        evaluator.update(label, weight, fields)
        logs.update({k: NAN if v is None else v for k, v in evaluator.result().items()})
    return logs


@every
def test_target_marks_missing_labels(case):
    task = adapted(case)
    label, weight = read(task, example(case))
    np.testing.assert_allclose(label, case.label, rtol=1e-6)
    assert label.dtype == case.label.dtype
    np.testing.assert_array_equal(weight, [1, 1, 1, 0])
    assert weight.dtype == "float32"


#: All that NumPy has of numbers, but for half of which nothing is said.
DTYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64"
DTYPES = [*DTYPES.split(), "float16", "float32", "float64"]


def in_other_types(value):
    """The same values in each type that can hold them, by the name of the type."""
    for dtype in DTYPES:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NaN in whole numbers
            cast = np.asarray(value).astype(dtype)
        if np.array_equal(cast.astype("float64"), value, equal_nan=True):
            yield dtype, cast


@every
def test_labels_of_every_type_and_with_a_last_axis_are_the_same(case):
    task = adapted(case)
    build(task)  # a detector's labels are in pixels of its input
    given, label = case.given, case.label[:3]
    if case.make is Ranking:
        given = case.label  # relevance and group are one array
    if case.make is Detection:
        forms = [
            {"bbox": given["bbox"][:3], "label": ids}
            for _, ids in in_other_types(given["label"][:3])
        ]
        forms += [rows for _, rows in in_other_types(label)]
    else:
        forms = [form for _, form in in_other_types(given[:3])]
        forms += [given[:3].tolist()]
    if case.make in (Regression, MultiLabel, Classification, Binary):
        forms += [form[..., None] for form in forms[:-1]]
    assert len(forms) >= 3
    for form in forms:
        found, weight = task.normalize(form)
        np.testing.assert_allclose(found, label, rtol=1e-3)
        assert found.dtype == case.label.dtype
        np.testing.assert_array_equal(weight, np.ones(3))
        # What is in the task's form stays as it is.
        again, weight = task.normalize(found)
        np.testing.assert_array_equal(again, found)
        np.testing.assert_array_equal(weight, np.ones(3))


@every
@pytest.mark.parametrize("jit", [False, True])
def test_wrong_labels_are_refused_in_every_way_in(case, jit):
    task = adapted(case)
    build(task)
    bad = np.array(case.label)
    bad[0] = case.bad
    weight = floats([1, 1, 1, 0])
    check = LabelCheck([task])
    step = tf.function(check.normalized, jit_compile=jit)
    for labels, weights, wrong in (
        (case.label, weight, None),
        (bad, floats([0, 1, 1, 0]), None),
        (bad, weight, "The labels of task 'answer' must be .*Received"),
        (case.label, -weight, "The sample weights of task 'answer' must be finite"),
        (case.label, weight * NAN, "The sample weights of task 'answer' must be fin"),
    ):
        check.reset()
        step({"answer": labels}, {"answer": weights})
        if wrong is None:
            check.refuse()
            prepared([task], {"answer": labels}, {"answer": weights}, True)
        else:
            with pytest.raises(ValueError, match=wrong):
                check.refuse()
            with pytest.raises(ValueError, match=wrong):
                prepared([task], {"answer": labels}, {"answer": weights}, True)


@every
def test_labels_that_are_no_numbers_are_refused(case):
    words = np.full((4, 3), "cat")
    with pytest.raises(ValueError, match=r"of task 'answer' must be an array of num"):
        prepared([adapted(case)], words, None)


@every
def test_target_takes_weights_from_a_field(case):
    task = adapted(case, weight="meta/sure")
    given = {"sure": np.array([[1.0], [0.0], [0.5], [1.0]])}
    _, weight = read(task, example(case, meta=given))
    np.testing.assert_array_equal(weight, [1, 0, 0.5, 0])


@every
def test_target_names_the_nearest_field(case):
    task = adapted(case, label="answr")
    with pytest.raises(ValueError, match=r"'answer'.*'answr'.*Did you mean 'answer'"):
        task.target(example(case))


@every
def test_check_names_what_is_wrong(case):
    task = adapted(case)
    task.check(case.label, floats([1, 1, 1, 0]))
    bad = np.array(case.label)
    bad[0] = case.bad
    with pytest.raises(ValueError, match=f"'answer' {case.message}"):
        task.check(bad, floats([1, 1, 1, 0]))
    # An example of weight 0 is nobody's label.
    task.check(bad, floats([0, 1, 1, 0]))


@every
def test_head_ends_in_float32_and_bears_the_name(case, bfloat16):
    model = build(adapted(case))
    assert list(model.output) == ["answer"]
    assert model.output["answer"].dtype == "float32"
    head = model.get_layer("answer")
    assert isinstance(head, keras.Model)
    assert list(head.input) == [x.name for x in head.inputs]
    # The trunk does compute in half precision.
    features = [x for x in head.inputs if x.name not in model.tasks[0].reads]
    assert {x.dtype for x in features} == {"bfloat16"}
    assert {v.dtype for v in head.trainable_variables} == {"float32"}
    output = model.predict(np.zeros((2, *SIZE, 3)), verbose=0)["answer"]
    assert output.dtype == "float32"
    assert output.shape == (2, *model.output["answer"].shape[1:])


@every
def test_shapes_agree(case):
    task = adapted(case)
    model = build(task)
    label, weight = read(task, example(case))
    output = model(example(case)["image"], training=False)["answer"]

    prior = task.prior(label, weight)
    assert prior.shape == output.shape[1:]
    assert prior.dtype == "float32"

    decoded = {k: np.array(v) for k, v in task.decode(output).items()}
    truth = {k: np.array(v) for k, v in task.truth(label).items()}
    assert list(decoded) == list(truth)
    for name, value in decoded.items():
        assert value.dtype == truth[name].dtype, name
        if task.kind == "detection":  # as many rows as detections, or as objects
            assert value.shape[2:] == truth[name].shape[2:], name
        else:
            assert value.shape == truth[name].shape, name
        assert len(value) == len(truth[name]) == 4
    for fields in (decoded, truth):
        scores = task.example_scores(label[:3], {k: v[:3] for k, v in fields.items()})
        assert scores.shape == (3,)
        assert (scores <= case.perfect).all()
    np.testing.assert_allclose(scores, case.perfect)


@every
def test_names_of_metrics_agree(case):
    task = adapted(case)
    build(task)
    label = np.array(case.label)
    output = np.repeat(task.prior(label, floats([1, 1, 1, 0]))[None], 4, 0)
    found = metrics(task, label, output, floats([1, 1, 1, 0]))
    assert set(found) == set(task.better)
    assert set(task.better.values()) <= {"higher", "lower"}
    assert task.primary in task.better
    assert task.kind and task.score_name


@every
def test_config_round_trip(case):
    task = adapted(case, loss_weight=0.25, weight="sure", features=["P2", "P3"])
    build(task)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(task)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(task)
    assert copy.get_config() == task.get_config()
    assert (copy.loss_weight, copy.weight, copy.features) == (
        0.25,
        "sure",
        ["P2", "P3"],
    )
    label, weight = case.label, floats([1, 1, 1, 0])
    output = task.prior(label, weight)[None]
    for name, value in task.decode(output).items():
        np.testing.assert_array_equal(value, copy.decode(output)[name])
    output = np.repeat(output, 3, axis=0) + 0.5
    one, two = (t.default_loss()(label[:3], output) for t in (task, copy))
    assert float(one) == float(two) > 0


@every
def test_losses_and_metrics_of_the_user_survive_the_config(case):
    # A loss by name, and a metric by object.
    task = case.task(loss="mae", metrics=[keras.metrics.MeanSquaredError(name="mse")])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(task)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.loss == "mae"
    assert (type(copy.metrics[0]).__name__, copy.metrics[0].name) == (
        "MeanSquaredError",
        "mse",
    )
    if task.compares:
        assert copy.training_loss().loss is keras.losses.mean_absolute_error
        assert [metric.name for metric in copy.training_metrics()] == ["mse"]
        return
    with pytest.raises(ValueError, match="must be a p5_keras"):
        copy.training_loss()
    with pytest.raises(ValueError, match="must be of p5_keras"):
        copy.training_metrics()


@every
def test_missing_labels_change_nothing(case):
    task = adapted(case)
    build(task)
    label, weight = np.array(case.label), floats([1, 1, 1, 0])
    rng = np.random.default_rng(0)
    output = np.repeat(task.prior(label, weight)[None], 4, 0)
    output += rng.normal(size=output.shape, scale=0.1).astype("float32")
    loss = task.default_loss()

    def value_and_gradient(label, weight, output):
        output = tf.Variable(output)
        with tf.GradientTape() as tape:
            value = loss(label, output, weight)
        return float(value), tape.gradient(value, output).numpy()

    alone, gradient = value_and_gradient(label[:3], weight[:3], output[:3])
    assert alone > 0
    assert np.isfinite(gradient).all()
    # The missing label in its own form, and any other label with the weight of one.
    for other in (label[3], label[0]):
        label[3] = other
        value, wide = value_and_gradient(label, weight, output)
        assert value == pytest.approx(alone, rel=1e-5)
        np.testing.assert_allclose(wide[:3], gradient, rtol=1e-4, atol=1e-8)
        np.testing.assert_array_equal(wide[3], 0)
        assert metrics(task, label, output, weight) == pytest.approx(
            metrics(task, label[:3], output[:3], weight[:3]), abs=1e-5
        )


@every
def test_nothing_labelled_is_nan_in_metrics_and_zero_in_the_loss(case):
    task = adapted(case)
    build(task)
    output = np.repeat(task.prior(case.label, floats([1, 1, 1, 0]))[None], 4, 0)
    found = metrics(task, case.label, output, np.zeros(4, "float32"))
    assert all(np.isnan(value) for value in found.values())
    assert float(task.default_loss()(case.label, output, np.zeros(4))) == 0


@every
def test_metrics_of_the_prior(case):
    task = adapted(case)
    build(task)
    label, weight = case.label, floats([1, 1, 1, 0])
    dataset = tf.data.Dataset.from_tensors((0, {"answer": label}, {"answer": weight}))
    found = trivial_metrics([task], dataset, {"answer": task.prior(label, weight)})
    expected = {f"answer_{name}": value for name, value in case.prior.items()}
    assert found == pytest.approx(expected, abs=1e-3)


@every
def test_draw_takes_truth_and_prediction(case):
    from matplotlib import pyplot

    task = adapted(case)
    model = build(task)
    output = model(example(case)["image"], training=False)["answer"]
    figure, axes = pyplot.subplots()
    try:
        for fields in (task.truth(case.label), task.decode(output)):
            row = {name: np.array(value)[0] for name, value in fields.items()}
            assert isinstance(task.draw(axes, row), str)
        figure.canvas.draw()
    finally:
        pyplot.close(figure)


@every
def test_a_feature_that_the_trunk_lacks_is_named(case):
    with pytest.raises(
        ValueError, match=r"'answer' reads the feature 'P7'.*'P2', 'P3'"
    ):
        build(adapted(case, features="P7"))


@every
def test_a_negative_loss_weight_is_refused(case):
    with pytest.raises(ValueError, match=r"`loss_weight`.*loss_weight=-1.*'answer'"):
        case.task(loss_weight=-1)


# Heads of vectors


@pytest.mark.parametrize(
    ("pool", "pooled"), [("avg", [3, 3]), ("max", [6, 4]), ("flatten", [0, 2, 6, 4])]
)
def test_pooling(pool, pooled):
    task = Regression("y", size=len(pooled), pool=pool, mean=[0.0], std=[1.0])
    head = task.build({"P2": keras.Input((2, 1, 2))}, (8, 8, 1))
    head.layers[-1].set_weights([np.eye(len(pooled)), np.zeros(len(pooled))])
    feature = floats([[[[0, 2]], [[6, 4]]]])
    found = head({"P2": feature}, training=False)
    np.testing.assert_allclose(found, [pooled])


def test_a_vector_head_joins_its_features_and_has_hidden_layers():
    features = {"P2": keras.Input((4, 4, 3)), "vector": keras.Input((5,))}
    task = Classification(
        "kind", num_classes=2, features=["P2", "vector"], hidden=7, dropout=0.5
    )
    head = task.build(features, (16, 16, 3))
    shapes = [tuple(v.shape) for v in head.trainable_variables]
    assert shapes == [(3 + 5, 7), (7,), (7, 2), (2,)]
    assert [x.rate for x in head.layers if isinstance(x, layers.Dropout)] == [0.5]


def test_sequences_are_pooled_too():
    task = Classification("kind", num_classes=2)
    head = task.build({"sequence": keras.Input((9, 6))}, (9,))
    assert tuple(head.trainable_variables[0].shape) == (6, 2)


def test_an_unknown_pool_is_refused():
    with pytest.raises(ValueError, match=r"`pool` must be one of.*pool='mean'.*'kind'"):
        Classification("kind", num_classes=2, pool="mean")


# Heads of maps


@pytest.mark.parametrize("size", [(32, 48), (45, 61), (9, 40), (33, 7), (4, 4)])
def test_a_map_has_the_size_of_the_input(size):
    task = Segmentation("mask", num_classes=3, width=4)
    model = build(task, (*size, 3))
    assert model.output["mask"].shape == (None, *size, 3)


def test_a_map_reads_the_features_that_it_is_told():
    task = DenseRegression("depth", mean=0.0, width=4, features=["P3"])
    model = build(task, (16, 24, 3))
    assert [x.name for x in model.get_layer("depth").inputs] == ["P3"]
    assert model.output["depth"].shape == (None, 16, 24, 1)


@pytest.mark.parametrize("features", [["P2", "P3"], ["P3", "P2"]])
def test_a_map_is_as_fine_as_its_finest_feature_and_stays_in_place(features):
    task = Segmentation("mask", num_classes=2, width=4, features=features)
    shapes = {"P2": keras.Input((8, 12, 3)), "P3": keras.Input((4, 6, 5))}
    head = task.build(shapes, (32, 48, 1))
    zeros = {n: np.zeros((1, *x.shape[1:]), "float32") for n, x in shapes.items()}
    spot = {n: x.copy() for n, x in zeros.items()}
    spot["P2"][0, 5, 2] = 10.0
    one, two = (np.array(head(x, training=False)) for x in (zeros, spot))
    rows, columns = np.nonzero((one != two).any(axis=-1)[0])
    # The cell's 4 pixels each way, a cell more for the smoothing, and 2 pixels of the
    # neighbours' transposed convolution.
    assert (rows.min(), rows.max()) == (20 - 4 - 2, 23 + 4 + 2)
    assert (columns.min(), columns.max()) == (8 - 4 - 2, 11 + 4 + 2)


def test_a_map_needs_maps():
    task = Segmentation("mask", num_classes=2)
    with pytest.raises(ValueError, match=r"'mask' answers with a map.*'vector'"):
        p5.build_model(p5.trunks.Dense([4]), [task], (8,))


# Classes


def test_class_names_are_enough():
    task = Classification("kind", class_names=["cat", "dog"])
    assert task.units == 2
    fields = {"label": np.array(1), "probabilities": floats([0.2, 0.8])}
    assert task.draw(None, fields) == "dog (80%)"
    assert task.draw(None, {"label": np.array(-1)}) == "unlabelled"
    truth = task.truth(np.array([0]))
    assert task.draw(None, {k: np.array(v)[0] for k, v in truth.items()}) == "cat"


@pytest.mark.parametrize("make", [Classification, MultiLabel, Segmentation, Detection])
@pytest.mark.parametrize(
    "arguments", [{}, {"num_classes": 0}, {"num_classes": 2, "class_names": ["a"]}]
)
def test_classes_must_be_given_and_agree(make, arguments):
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 1.*'kind'"):
        make("kind", **arguments)


@pytest.mark.parametrize("make", [Classification, Segmentation])
@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], "even"])
def test_wrong_class_weights_are_refused(make, weights):
    with pytest.raises(ValueError, match=r"`class_weights`.*2 classes of task 'kind'"):
        make("kind", num_classes=2, class_weights=weights)


def test_positive_weights_must_be_one_a_label():
    with pytest.raises(
        ValueError, match=r"`positive_weights`.*2 labels of task 'kind'"
    ):
        MultiLabel("kind", num_classes=2, positive_weights=[1.0])


def test_balanced_weights_of_classes():
    task = Classification("kind", num_classes=3, class_weights="balanced")
    with pytest.raises(ValueError, match=r"'kind'.*'balanced'.*data\.adapt"):
        task.default_loss()
    task.adapt(np.array([0, 0, 0, 1, 1]), floats([1, 1, 1, 1, 0]))
    # Each class seen has the same total: 3 * 2/3 = 1 * 2; the mean over labels is 1.
    assert task.class_weights == pytest.approx([2 / 3, 2, 0])
    logits = np.zeros((2, 3), "float32")
    terms = task.default_loss().terms(np.array([0, 1]), logits)
    assert [float(t) for t in terms] == pytest.approx([8 / 3 * np.log(3), 8 / 3])


def test_balanced_weights_of_pixels_leave_ignored_ones_out():
    task = Segmentation("mask", num_classes=2, class_weights="balanced")
    task.adapt(np.array([[[0, 0, 0, 1, -1, -1]], [[1] * 6]]), floats([1, 0]))
    assert task.class_weights == pytest.approx([2 / 3, 2])


def test_options_reach_the_losses():
    task = Classification(
        "kind", num_classes=2, label_smoothing=0.1, class_weights=[1, 2], gamma=2.0
    )
    config = task.default_loss().get_config()
    assert config["label_smoothing"] == 0.1
    assert config["class_weights"] == [1.0, 2.0]
    assert config["gamma"] == 2.0
    task = MultiLabel(
        "kind", num_classes=2, label_smoothing=0.1, positive_weights=[1, 2], gamma=2.0
    )
    config = task.default_loss().get_config()
    assert config["label_smoothing"] == 0.1
    assert config["positive_weights"] == [1, 2]
    assert config["gamma"] == 2.0
    task = Segmentation("mask", num_classes=2, class_weights=[1, 2], gamma=3.0)
    config = task.default_loss().get_config()
    assert (config["class_weights"], config["gamma"]) == ([1.0, 2.0], 3.0)


def test_classification_by_hand():
    task = Classification("kind", num_classes=2)
    fields = task.decode(np.log(floats([[1, 3], [4, 1]])))
    np.testing.assert_array_equal(fields["label"], [1, 0])
    np.testing.assert_allclose(
        fields["probabilities"], [[0.25, 0.75], [0.8, 0.2]], 1e-5
    )
    label = np.array([1, 1])
    scores = task.example_scores(label, {k: np.array(v) for k, v in fields.items()})
    np.testing.assert_array_equal(scores, [1, 0])
    # 3 of 4 labels: the log of frequencies, and hardly any for a class never seen.
    prior = task.prior(np.array([1, 1, 1, 0, 0]), floats([1, 1, 1, 1, 0]))
    np.testing.assert_allclose(np.exp(prior), [0.25, 0.75], rtol=1e-3)


def test_multi_label_by_hand():
    task = MultiLabel("tags", class_names=["red", "big", "old"])
    fields = task.decode(floats([[np.log(3), -np.log(3), 0]]))
    np.testing.assert_allclose(fields["probability"], [[0.75, 0.25, 0.5]], 1e-6)
    np.testing.assert_array_equal(fields["label"], [[1, 0, 0]])
    label = floats([[1, 1, NAN]])
    fields = {k: np.array(v) for k, v in fields.items()}
    assert task.example_scores(label, fields).tolist() == [0.5]
    np.testing.assert_array_equal(task.truth(label)["label"], [[1, 1, -1]])
    assert task.draw(None, {"label": np.array([1, -1, 1])}) == "red, old"
    assert task.draw(None, {"label": np.array([0, 0, -1])}) == "none"
    # Log-odds of (1 + 1/2) / 3, (2 + 1/2) / 3 and, of one known label, (1/2) / 2.
    prior = task.prior(floats([[1, 1, 0], [0, 1, NAN]]), floats([1, 1]))
    np.testing.assert_allclose(prior, [0, np.log(5), -np.log(3)], atol=1e-6)


def test_binary_captions():
    task = Binary("ill")
    for label, p, caption in (
        (1, 0.9, "yes (90%)"),
        (0, 0.1, "no (10%)"),
        (1, 1.0, "yes"),
        (-1, NAN, "unlabelled"),
    ):
        fields = {"label": np.array([label]), "probability": floats([p])}
        assert task.draw(None, fields) == caption


# Regression


def test_regression_learns_its_scale_and_answers_in_the_users_units():
    task = Regression("size", size=2, unit="cm")
    for method in (task.default_loss, lambda: task.decode(floats([[0, 0]]))):
        with pytest.raises(ValueError, match=r"'size' standardises.*data\.adapt"):
            method()
    label = floats([[1, 10], [3, NAN], [5, 10], [99, 99]])
    task.adapt(label, floats([1, 1, 1, 0]))
    # A value that never changes keeps its unit.
    assert task.mean == pytest.approx([3, 10])
    assert task.std == pytest.approx([np.sqrt(8 / 3), 1])
    values = task.decode(floats([[0, 0], [1, -2]]))["value"]
    np.testing.assert_allclose(values, [[3, 10], [3 + np.sqrt(8 / 3), 8]], rtol=1e-6)
    assert task.draw(None, {"value": floats([1.234, 5])}) == "1.23, 5 cm"


def test_regression_keeps_a_given_scale():
    task = Regression("size", mean=[1.0], std=[2.0], error="mae")
    task.adapt(floats([[50], [60]]), floats([1, 1]))
    assert (task.mean, task.std) == ([1.0], [2.0])
    loss = task.default_loss()(floats([[5.0]]), floats([[0.5]]))
    assert float(loss) == pytest.approx(1.5)


def test_regression_of_a_value_that_is_never_labelled():
    task = Regression("size", size=2)
    label = floats([[1, NAN], [3, NAN]])
    task.adapt(label, floats([1, 1]))
    assert task.mean == pytest.approx([2, 0])
    assert task.std == pytest.approx([1, 1])
    np.testing.assert_allclose(task.prior(label, floats([1, 1])), [0, 0], atol=1e-6)


@pytest.mark.parametrize("kind", ["float64", "int32"])
def test_regression_metrics_of_labels_in_other_types(kind):
    task = Regression("size", mean=[0.0], std=[1.0])
    label, weight = np.array([[1], [5]], kind), floats([1, 1])
    found = metrics(task, label, np.zeros((2, 1), "float32"), weight)
    assert found == pytest.approx({"mae": 3, "rmse": np.sqrt(13)})


def test_regression_scores_are_over_known_values():
    task = Regression("size", size=2, mean=[0.0, 0.0], std=[1.0, 1.0])
    label = floats([[1, NAN], [1, 5], [NAN, NAN]])
    scores = task.example_scores(label, {"value": floats([[3, 9], [2, 2], [1, 1]])})
    np.testing.assert_allclose(scores[:2], [-2, -2])


# Dense regression


def test_dense_regression_by_hand():
    task = DenseRegression("depth", error="l1", unit="m")
    with pytest.raises(ValueError, match=r"'depth' centres.*data\.adapt"):
        task.default_loss()
    label = maps([1, np.e**2], [NAN, NAN]).astype("float32")
    task.adapt(label, floats([1, 0]))
    assert task.mean == pytest.approx(1)
    output = np.zeros((1, 1, 1, 1), "float32")
    np.testing.assert_allclose(task.decode(output)["value"], [[[np.e]]], rtol=1e-6)
    assert float(task.default_loss()(floats([[[np.e**3]]]), output)) == pytest.approx(2)
    scores = task.example_scores(
        floats([[[1, NAN]], [[2, 4]]]), {"value": floats([[[3, 1]], [[1, 5]]])}
    )
    np.testing.assert_allclose(scores, [-2, -(0.5 + 0.25) / 2])


def test_dense_regression_refuses_an_unknown_error():
    with pytest.raises(ValueError, match=r"`error` must be 'silog' or 'l1'.*'mse'"):
        DenseRegression("depth", error="mse")


# Segmentation


def test_segmentation_by_hand():
    task = Segmentation("mask", num_classes=3, ignore_label=None)
    label, weight = read(task, {"mask": np.array([[[0, 1]], [[2, -1]]])})
    np.testing.assert_array_equal(label, [[[0, 1]], [[2, -1]]])
    found = np.array([[[0, 0]], [[2, 1]]])
    # First image: class 0 has 1 of 2, class 1 has 0 of 1. Second: class 2 is right.
    scores = task.example_scores(label, {"classes": found})
    np.testing.assert_allclose(scores, [1 / 4, 1])
    np.testing.assert_allclose(
        np.exp(task.prior(label, weight))[0, 0], [0.5, 0, 0.5], atol=1e-2
    )


def test_segmentation_with_dice():
    task = Segmentation("mask", num_classes=2, loss=p5.losses.Dice(0.5))
    assert isinstance(task.training_loss(), p5.losses.Dice)
    copy = Segmentation.from_config(task.get_config())
    assert copy.training_loss().smooth == 0.5
