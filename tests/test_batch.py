"""Labels by every way in: the same losses, metrics and steps, or an error."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.batch import by_task, prepared
from p5_keras.losses.base import MeanLoss

NAN = np.nan
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
KIND = np.arange(24) % 3
SIZE = np.round(6 * X[:, 0])
SURE = (X[:, 1] > 0).astype("int64")
Y = {"kind": KIND, "size": SIZE, "sure": SURE}
#: The same labels in other clothes.
FORMS = {
    "columns": {n: v[:, None] for n, v in Y.items()},
    "whole numbers": {n: v.astype("int64") for n, v in Y.items()},
    "floats": {n: v.astype("float64") for n, v in Y.items()},
    "lists": {n: v.tolist() for n, v in Y.items()},
    "in order": list(Y.values()),
    "truth values": {**Y, "sure": SURE > 0},
    "one-hot": {**Y, "kind": np.eye(3)[KIND]},
}


def tasks():
    return [
        p5.tasks.Classification("kind", num_classes=3),
        p5.tasks.Regression("size", mean=[1.0], std=[2.0]),
        p5.tasks.Binary("sure"),
    ]


def compiled(chosen=None, **kwargs):
    keras.utils.set_random_seed(0)
    model = p5.build_model(p5.trunks.Dense([4]), chosen or tasks(), (3,))
    model.compile(keras.optimizers.SGD(0.1), **kwargs)
    return model


def batches(y, weight=None, size=8):
    parts = (X, y) if weight is None else (X, y, weight)
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def source(y):
    def read(indices, epochs):
        return {
            "input": tf.gather(X, indices),
            **{name: tf.gather(value, indices) for name, value in y.items()},
        }

    return p5.data.Source(24, read, ordered=True)


@pytest.fixture(scope="module")
def expected():
    """What is measured after an epoch of labels from a source."""
    model = compiled()
    read = source(Y)
    logs = model.fit(
        p5.data.training(read, tasks(), 8), steps_per_epoch=3, verbose=0
    ).history
    found = model.evaluate(
        p5.data.evaluation(read, tasks(), 8), verbose=0, return_dict=True
    )
    values = model.decode(model.predict(X, verbose=0))
    assert found["size_mae"] == pytest.approx(
        np.abs(values["size"]["value"][:, 0] - SIZE).mean(), rel=1e-5
    )
    right = np.array(values["kind"]["label"]) == KIND
    assert found["kind_accuracy"] == pytest.approx(right.mean())
    right = np.array(values["sure"]["label"])[:, 0] == SURE
    assert found["sure_accuracy"] == pytest.approx(right.mean())
    return {name: value[0] for name, value in logs.items()} | {
        f"val_{name}": value for name, value in found.items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_arrays_and_datasets_train_as_a_source(form, expected):
    y = FORMS[form]
    tensors = tuple(y) if isinstance(y, list) else y
    model = compiled()
    logs = model.fit(
        X, y, validation_data=(X, y), batch_size=8, shuffle=False, verbose=0
    ).history
    found = {name: value[0] for name, value in logs.items()}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    if form in ("lists", "floats", "truth values"):
        return  # tensors of these are those of another form
    model = compiled()
    held_out = batches(tensors)
    logs = model.fit(held_out, validation_data=held_out, verbose=0).history
    found = {name: value[0] for name, value in logs.items()}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("how", ["PCGrad", "several steps"])
def test_other_ways_of_a_step_see_the_same_labels(how):
    options = {"weighting": p5.weighting.PCGrad()}
    if how == "several steps":
        options = {"steps_per_execution": 3}
    plain, other = compiled(**options), compiled(**options)
    logs = plain.fit(batches({**Y, "size": SIZE.astype("float32")[:, None]}), verbose=0)
    forms = {**FORMS["columns"], "size": SIZE.astype("int32")}
    found = other.fit(batches(forms), verbose=0)
    for name, value in logs.history.items():
        np.testing.assert_allclose(found.history[name], value, 1e-5, err_msg=name)
    for a, b in zip(plain.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match=r"'kind' must be whole numbers.*largest 3$"):
        other.fit(batches({**forms, "kind": KIND + 1}), verbose=0)


def test_two_replicas_count_wrong_labels(two_replicas):
    with two_replicas.scope():
        model = compiled()
        model.fit(batches({**Y, "sure": SURE > 0, "kind": KIND.astype("uint8")}))
        far = np.where(np.arange(24) == 20, 7, KIND)
        with pytest.raises(ValueError, match=r"'kind'.*1 that are not, the largest 7"):
            model.evaluate(batches({**Y, "kind": far}))


def test_batches_one_by_one():
    model, other = compiled(), compiled()
    one = model.train_on_batch(X, Y, return_dict=True)
    two = other.train_on_batch(X, FORMS["columns"], return_dict=True)
    assert one == pytest.approx(two, rel=1e-5)
    one = model.test_on_batch(X, FORMS["lists"], {n: np.ones(24) for n in Y})
    assert one == pytest.approx(other.test_on_batch(X, FORMS["in order"]), rel=1e-5)
    for method in (model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=r"'kind'.*Received: 3 in example 2"):
            method(X, {**Y, "kind": KIND + 1})
    # Of one batch nobody knows whether a 0 comes in the next.
    model.train_on_batch(X, {**Y, "sure": 2 * SURE - 1})


def test_predictions_have_labels_in_the_tasks_form():
    model = compiled()
    gone = np.where(KIND == 2, NAN, KIND)
    (batch,) = model.predictions(batches({**Y, "kind": gone[:, None]}, size=24))
    np.testing.assert_array_equal(batch["label"]["kind"], KIND % 2)
    np.testing.assert_array_equal(batch["weight"]["kind"], KIND < 2)
    np.testing.assert_array_equal(batch["label"]["size"], SIZE[:, None])
    with pytest.raises(ValueError, match=r"'kind'.*Received: 3 in example 2"):
        list(model.predictions(batches({**Y, "kind": KIND + 1})))


def test_rubbish_of_weight_0_counts_nowhere():
    model = compiled()
    y = {
        "kind": np.where(KIND == 2, 99, KIND),
        "size": np.where(KIND == 2, np.inf, SIZE),
        "sure": np.where(KIND == 2, 5, SURE),
    }
    missing = {
        "kind": np.where(KIND == 2, -1, KIND),
        "size": np.where(KIND == 2, NAN, SIZE),
        "sure": np.where(KIND == 2, -1, SURE),
    }
    shown = []
    for given, weight in ((y, KIND < 2), (y, (KIND < 2)[:, None]), (missing, None)):
        weights = None if weight is None else dict.fromkeys(Y, weight * 1.0)
        for data in ({"x": X, "y": given, "sample_weight": weights}, None):
            data = data or {"x": batches(given, weights)}
            shown.append(model.evaluate(**data, verbose=0, return_dict=True))
    for logs in shown[1:]:
        # Keras' own "loss" is a mean over batches, which differ in size here.
        assert {**logs, "loss": 0} == pytest.approx({**shown[0], "loss": 0}, rel=1e-5)


def test_no_for_which_a_negative_number_stands():
    kind = [p5.tasks.Binary("sure")]
    model = compiled(kind)
    message = r"'sure' must be 0 for no.*Received: \d+ times 1, never 0"
    for number in ("int64", "float32"):
        y = {"sure": (2 * SURE - 1).astype(number)}
        for run in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                run(X, y, verbose=0)
            with pytest.raises(ValueError, match=message):
                run(batches(y), verbose=0)
    with pytest.raises(ValueError, match=message):
        train = p5.data.training(source({"sure": 2 * SURE - 1}), kind, 8)
        model.fit(train, steps_per_epoch=3, verbose=0)
    # With a no among them, or with NaN in a set that is only measured, all is said.
    model.fit(X, {"sure": np.where(np.arange(24) == 3, 0, 2 * SURE - 1)}, verbose=0)
    model.evaluate(X, {"sure": np.where(SURE == 0, NAN, 1)}, verbose=0)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"b": 2, "a": 1}, {"a": 1, "b": 2}),
        ([np.zeros(3), np.ones(3)], {"a": 0, "b": 1}),
        ((np.zeros(3), [1, 1, 1]), {"a": 0, "b": 1}),
    ],
)
def test_labels_by_task(given, found):
    by = by_task("labels", given, ["a", "b"])
    assert {name: np.mean(value) for name, value in by.items()} == found


@pytest.mark.parametrize("given", [np.zeros(2), [1, 2], [np.zeros(2)] * 3])
def test_labels_of_no_task(given):
    with pytest.raises(ValueError, match=r"labels must be a dict .*\['a', 'b'\]"):
        by_task("labels", given, ["a", "b"])


def test_an_only_task_needs_no_key():
    np.testing.assert_array_equal(by_task("labels", [3, 4], ["a"])["a"], [3, 4])
    np.testing.assert_array_equal(by_task("labels", [[3, 4]], ["a"])["a"], [3, 4])
    column = by_task("labels", np.zeros((5, 1)), ["a"])["a"]
    assert column.shape == (5, 1)


def test_a_kind_that_normalizes_nothing_gets_what_it_is_given():
    class Own(p5.tasks.VectorTask):
        units = 1

        def default_loss(self):
            class Squares(MeanLoss):
                def elements(self, y_true, y_pred):
                    error = keras.ops.cast(y_true, "float32") - y_pred
                    return error**2, keras.ops.ones_like(error)

            return Squares()

        def default_metrics(self):
            return []

    model = compiled([Own("size")])
    logs = model.evaluate(X, SIZE[:, None], verbose=0, return_dict=True)
    error = model.predict(X, verbose=0)["size"] - SIZE[:, None]
    assert logs["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)


def test_a_loss_that_is_no_number_ends_the_training():
    model = compiled([p5.tasks.Regression("size", mean=[0.0], std=[1.0])])
    with pytest.raises(
        ValueError, match=r"in epoch 1 .*Received: loss=(inf|nan), by size"
    ):
        model.fit(X, {"size": np.full(len(X), 1e30, "float32")}, epochs=2, verbose=0)
    bad = X.copy()
    bad[1, 0] = np.nan
    with pytest.raises(ValueError, match=r"inputs must be finite.*in 'x'"):
        model.fit(bad, {"size": SIZE}, verbose=0)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        ({**Y, "size": None}, None, "The labels of task 'size' must be an array"),
        ({**Y, "size": np.float32(1)}, None, "Received: a single number"),
        (Y, {**dict.fromkeys(Y), "size": 2.0}, r"the shape \(\) for 24 labels"),
        (Y, {**dict.fromkeys(Y), "size": [1.0]}, r"the shape \(1,\) for 24 labels"),
    ],
)
def test_labels_and_weights_are_one_for_each_example(y, weight, message):
    with pytest.raises(ValueError, match=message):
        prepared(tasks(), y, weight)


def test_classes_that_are_too_high_are_refused_under_losses_of_keras():
    chosen = [p5.tasks.Classification("kind", num_classes=3)]
    model = compiled(
        chosen,
        loss={"kind": "sparse_categorical_crossentropy"},
        metrics={"kind": [keras.metrics.MeanIoU(3), "crossentropy"]},
    )
    with pytest.raises(ValueError, match="8 that are not, the largest 3"):
        model.evaluate(batches({"kind": KIND + 1}), verbose=0)
