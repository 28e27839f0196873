import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import p5_keras as p5
from p5_keras.averaging import averaged_weights
from p5_keras.naming import check_names
from p5_keras.tasks import Classification, Detection, MultiLabel, Regression

NAN = np.nan
X = np.array([[1, 2], [3, 4], [0, 1], [2, 0]], "float32")
Y = {
    "kind": np.array([0, 1, 1, 1]),
    "size": np.array([[1.5], [2.5], [0.5], [3.5]], "float32"),
}
# What `set_by_hand` makes of X and Y: probabilities of 1/4 and 3/4, and sizes of 1/2.
KIND = np.array([np.log(4)] + [np.log(4 / 3)] * 3)
SIZE = np.array([1.0, 4.0, 0.0, 9.0])


def tasks(**kwargs):
    return [
        Classification("kind", num_classes=2, **kwargs),
        Regression("size", mean=[0.0], std=[1.0]),
    ]


def build(names=("kind", "size"), units=(2,), **kwargs):
    chosen = [task for task in tasks() if task.name in names]
    return p5.build_model(p5.trunks.Dense(units), chosen, (2,), **kwargs)


def set_by_hand(model):
    """Sets weights of which all is known."""
    model.get_layer("trunk_vector").set_weights([np.eye(2), np.array([1.0, 0.0])])
    heads = {
        "kind": [np.zeros((2, 2)), np.array([0.0, np.log(3)])],
        "size": [np.array([[0.0], [0.0]]), np.array([0.5])],
    }
    for name in model.task_names:
        model.get_layer(name).set_weights(heads[name])
    return model


def evaluate(model, x=X, y=Y, **kwargs):
    return model.evaluate(x, y, return_dict=True, verbose=0, **kwargs)


def fit(model, x=X, y=Y, **kwargs):
    return model.fit(x, y, **{"verbose": 0, "shuffle": False, **kwargs}).history


def weights(model):
    return [np.array(v) for v in model.trainable_variables]


def assert_equal_logs(one, two):
    assert sorted(one) == sorted(two)
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], 1e-5, 1e-7, err_msg=name)


def assert_equal_weights(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


# Keys

MISTAKES = {
    "mistyped": (
        {"kind": None, "sise": None},
        r"Every key of `{what}`.*Did you mean 'size'\? Received: 'sise'",
    ),
    "extra": (
        {"kind": None, "size": None, "age": None},
        r"Every key of `{what}`.*Received: 'age'; tasks: \['kind', 'size'\]",
    ),
    "missing": (
        {"kind": None},
        r"`{what}` must have a key for every task. Missing: \['size'\]",
    ),
}
mistakes = pytest.mark.parametrize("mistake", MISTAKES)


@mistakes
@pytest.mark.parametrize(
    ("what", "value"), [("loss", "mse"), ("loss_weights", 1.0), ("metrics", ["mae"])]
)
def test_compile_checks_its_keys(what, value, mistake):
    keys, message = MISTAKES[mistake]
    given = {what: dict.fromkeys(keys, value)}
    if mistake == "missing" and what != "loss_weights":
        # What is left out is the task's own.
        build().compile("sgd", **given)
        return
    with pytest.raises(ValueError, match=message.format(what=what)):
        build().compile("sgd", **given)


@pytest.mark.parametrize("what", ["loss", "metrics", "loss_weights"])
@pytest.mark.parametrize("value", ["mse", [1, 2]])
def test_compile_wants_dicts(what, value):
    with pytest.raises(ValueError, match=rf"`{what}` must be a dict keyed by task"):
        build().compile("sgd", **{what: value})


@mistakes
@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize("form", ["arrays", "dataset"])
@pytest.mark.parametrize("what", ["labels", "sample_weight"])
def test_data_is_checked_for_its_keys(method, form, what, mistake):
    keys, message = MISTAKES[mistake]
    y, sample_weight = Y, None
    if what == "labels":
        y = dict.fromkeys(keys, np.zeros(4))
    else:
        sample_weight = dict.fromkeys(keys, np.ones(4))
    data = {"x": X, "y": y, "sample_weight": sample_weight}
    if form == "dataset":
        parts = (X, y) if sample_weight is None else (X, y, sample_weight)
        data = {"x": tf.data.Dataset.from_tensor_slices(parts).batch(2)}
    model = build()
    model.compile("sgd")
    with pytest.raises(ValueError, match=message.format(what=what)):
        getattr(model, method)(**data)


def test_labels_must_be_keyed():
    model = build()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"labels must be a dict.*Received: ndarray"):
        model.fit(X, Y["size"])
    with pytest.raises(ValueError, match=r"labels must be a dict.*\['kind', 'size'\]"):
        model.evaluate(tf.data.Dataset.from_tensor_slices((X, Y["size"])).batch(2))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a"], r"its own `name`.*'a'"),
        (["a", "b/c"], r"letters, digits and underscores.*'b/c'"),
        (["1st"], r"beginning with a letter.*'1st'"),
        ([""], r"letters, digits and underscores.*name=''"),
        (["loss"], r"must differ from .*'loss'"),
        (["l2"], r"must differ from .*'l2'"),
        (["trunk_vector"], r"differ from the trunk's layers.*'trunk_vector'"),
        (["a", "a_loss"], r"logs of task 'a' would hide those of task 'a_loss'"),
        (["val_a", "a"], r"logs of task 'a' would hide those of task 'val_a'"),
    ],
)
def test_names_of_tasks(names, message):
    with pytest.raises(ValueError, match=message):
        check_names(names, ["input", "trunk_vector"])


def test_build_model_checks_names_against_the_trunk():
    for name in ("trunk_vector", "input"):
        task = Classification(name, num_classes=2)
        with pytest.raises(ValueError, match=rf"the trunk's layers.*'{name}'"):
            p5.build_model(p5.trunks.Dense([2]), [task], (2,))


def test_a_model_needs_tasks_and_positive_rates():
    with pytest.raises(ValueError, match="at least one task"):
        p5.build_model(p5.trunks.Dense([2]), [], (2,))
    with pytest.raises(ValueError, match=r"must be 0 or more.*head_l2=-0.1"):
        build(head_l2=-0.1)


def test_outputs_are_keyed_by_task():
    inputs = keras.Input((2,))
    x = layers.Dense(2)(inputs)
    model = p5.MultiTaskModel(inputs, {"kind": x, "size": x}, tasks=tasks())
    assert list(model.output) == ["kind", "size"]
    with pytest.raises(ValueError, match=r"`outputs`.*Did you mean 'size'.*'sise'"):
        p5.MultiTaskModel(inputs, {"kind": x, "sise": x}, tasks=tasks())


def test_it_is_a_functional_keras_model():
    model = build()
    assert isinstance(model, keras.Model)
    assert list(model.output) == ["kind", "size"]
    names = [layer.name for layer in model.layers]
    assert names == ["input", "trunk_vector", "kind", "size"]
    image = p5.trunks.Conv(2, 1, levels=2)
    model = p5.build_model(image, tasks(), (8, 8, 1))
    assert model.layers[0].name == "image"


# Loss weights


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [(None, (1, 3)), ("one", (1 / 4, 3 / 4)), ("tasks", (0.5, 1.5))],
)
def test_loss_weights_are_normalised(normalize, expected):
    model = set_by_hand(build())
    model.compile(
        "sgd", loss_weights={"size": 3, "kind": 1}, normalize_loss_weights=normalize
    )
    assert model.loss_weights == pytest.approx(
        {"kind": expected[0], "size": expected[1]}
    )
    total = expected[0] * KIND.mean() + expected[1] * SIZE.mean()
    assert evaluate(model)["loss"] == pytest.approx(total, rel=1e-5)


def test_loss_weights_default_to_the_tasks():
    chosen = tasks(loss_weight=0.5)
    model = p5.build_model(p5.trunks.Dense([2]), chosen, (2,))
    model.compile("sgd")
    assert model.loss_weights == {"kind": 0.5, "size": 1.0}
    model.compile("sgd", loss_weights={"kind": 7, "size": 0})
    assert model.loss_weights == {"kind": 7.0, "size": 0.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_weights": {"kind": -1, "size": 1}}, r"0 or more.*'kind': -1"),
        ({"loss_weights": {"kind": 1, "size": NAN}}, r"0 or more.*'size': nan"),
        ({"normalize_loss_weights": "sum"}, r"None, 'one' or 'tasks'.*'sum'"),
        (
            {"loss_weights": {"kind": 0, "size": 0}, "normalize_loss_weights": "one"},
            "must not all be 0",
        ),
    ],
)
def test_wrong_loss_weights_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build().compile("sgd", **arguments)


def test_a_variable_weighs_without_recompiling():
    model = set_by_hand(build())
    alpha = keras.Variable(2.0)
    model.compile(keras.optimizers.SGD(0.1), loss_weights={"kind": alpha, "size": 1.0})
    assert evaluate(model)["loss"] == pytest.approx(
        2 * KIND.mean() + SIZE.mean(), rel=1e-5
    )
    fit(model)
    functions = model.train_function, model.test_function
    # It is not one of the model's own variables: nothing trains it.
    assert float(alpha) == 2
    assert len(model.trainable_variables) == 6

    set_by_hand(model)
    alpha.assign(0.0)
    assert model.loss_weights == {"kind": 0.0, "size": 1.0}
    assert evaluate(model)["loss"] == pytest.approx(SIZE.mean(), rel=1e-5)
    head = model.get_layer("kind").get_weights()
    fit(model)
    assert functions == (model.train_function, model.test_function)
    np.testing.assert_array_equal(model.get_layer("kind").get_weights()[1], head[1])


def test_a_variable_is_not_normalised():
    alpha = {"kind": keras.Variable(2.0), "size": 1.0}
    with pytest.raises(ValueError, match=r"`normalize_loss_weights` needs numbers"):
        build().compile("sgd", loss_weights=alpha, normalize_loss_weights="one")


# The joint objective


def test_joint_objective_by_hand():
    model = set_by_hand(build(trunk_l2=0.1, head_l2=0.01))
    model.get_layer("size").set_weights([np.array([[3.0], [-3.0]]), np.array([0.5])])
    model.compile("sgd", loss_weights={"kind": 2.0, "size": 3.0})
    # The trunk gives relu(x + (1, 0)), and the size is 3 * (h0 - h1) + 1/2.
    size = np.mean((np.array([0.5, 0.5, 0.5, 9.5]) - Y["size"][:, 0]) ** 2)
    # A trunk's kernel of ones in the diagonal, and a head's of 3 and -3; no bias.
    l2 = 0.1 * 2 + 0.01 * 18
    logs = evaluate(model)
    assert logs["loss"] == pytest.approx(2 * KIND.mean() + 3 * size + l2, rel=1e-5)
    assert logs["kind_loss"] == pytest.approx(KIND.mean(), rel=1e-5)
    assert logs["size_loss"] == pytest.approx(size, rel=1e-5)
    assert logs["l2"] == pytest.approx(l2, rel=1e-5)
    # All by halves gives the same epoch.
    assert evaluate(model, batch_size=2) == pytest.approx(logs, rel=1e-5)


def test_penalties_shrink_kernels_and_nothing_else():
    model = set_by_hand(build(trunk_l2=0.5, head_l2=0.25))
    model.get_layer("size").set_weights([np.array([[4.0], [2.0]]), np.array([0.5])])
    model.compile(keras.optimizers.SGD(0.1), loss_weights={"kind": 0.0, "size": 0.0})
    fit(model)
    kernel, bias = model.get_layer("trunk_vector").get_weights()
    # One step: 1 - 0.1 * 2 * 0.5 of the trunk, 1 - 0.1 * 2 * 0.25 of the heads.
    np.testing.assert_allclose(kernel, 0.9 * np.eye(2), rtol=1e-6)
    np.testing.assert_array_equal(bias, [1, 0])
    kernel, bias = model.get_layer("size").get_weights()
    np.testing.assert_allclose(kernel, [[3.8], [1.9]], rtol=1e-6)
    np.testing.assert_array_equal(bias, [0.5])


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_normalisation_is_not_penalised(norm):
    model = p5.build_model(
        p5.trunks.Conv(2, 1, norm, levels=2), tasks(), (8, 8, 1), 1.0, 1.0
    )
    for v in model.trainable_variables:
        v.assign(np.zeros(v.shape) if "kernel" in v.path else np.full(v.shape, 5.0))
    assert any("gamma" in v.path for v in model.trunk_variables)
    model.compile("sgd")
    assert evaluate(model, np.zeros((4, 8, 8, 1)))["l2"] == 0
    kernel = next(v for v in model.trunk_variables if "kernel" in v.path)
    kernel.assign(np.ones(kernel.shape))
    found = evaluate(model, np.zeros((4, 8, 8, 1)))["l2"]
    assert found == pytest.approx(np.prod(kernel.shape))


def test_trunk_and_heads_share_out_the_variables():
    model = build()
    head = [v.path for v in model.head_variables]
    trunk = [v.path for v in model.trunk_variables]
    assert len(head) == 4
    assert [v.shape for v in model.trunk_variables] == [(2, 2), (2,)]
    assert {*head, *trunk} == {v.path for v in model.trainable_variables}


def test_losses_of_layers_are_added():
    inputs = keras.Input((2,))
    regularizer = keras.regularizers.L2(0.5)
    outputs = layers.Dense(2, name="out", kernel_regularizer=regularizer)(inputs)
    trunk = p5.trunks.Cut(keras.Model(inputs, outputs), {"vector": "out"})
    model = p5.build_model(trunk, tasks(), (2,))
    set_by_hand(model)
    model.compile("sgd")
    logs = evaluate(model)
    assert logs["loss"] == pytest.approx(
        logs["kind_loss"] + logs["size_loss"] + 0.5 * 2, rel=1e-5
    )


# Missing labels


def test_an_epochs_loss_is_the_mean_over_labelled_examples():
    model = set_by_hand(build())
    model.compile(keras.optimizers.SGD(0.0), loss_weights={"kind": 10, "size": 0})
    # Of three batches of two, one has no size at all and one has half of them.
    x, y = (
        np.concatenate([X, X[:2]]),
        {k: np.concatenate([v, v[:2]]) for k, v in Y.items()},
    )
    weight = {"kind": np.ones(6), "size": np.array([1, 1, 0, 1, 0, 0.0])}
    expected = (SIZE[0] + SIZE[1] + SIZE[3]) / 3
    for logs in (
        evaluate(model, x, y, sample_weight=weight, batch_size=2),
        {
            k: v[0]
            for k, v in fit(model, x, y, sample_weight=weight, batch_size=2).items()
        },
    ):
        assert logs["size_loss"] == pytest.approx(expected, rel=1e-5)
        assert logs["size_rmse"] == pytest.approx(np.sqrt(expected), rel=1e-5)
        # Raw, whatever it weighs.
        assert logs["kind_loss"] == pytest.approx(np.mean([*KIND, *KIND[:2]]), rel=1e-5)
        assert logs["kind_accuracy"] == pytest.approx(4 / 6)


def test_nan_labels_are_missing_labels():
    kinds = Y["kind"].copy()
    sizes = Y["size"].copy()
    kinds[0], sizes[1] = -1, NAN
    weight = {"kind": np.array([0, 1, 1, 1.0]), "size": np.array([1, 0, 1, 1.0])}
    runs = []
    for y, sample_weight in ((Y, weight), ({"kind": kinds, "size": sizes}, None)):
        model = set_by_hand(build())
        model.compile(keras.optimizers.SGD(0.1))
        logs = fit(model, X, y, sample_weight=sample_weight, epochs=3)
        runs.append((logs, weights(model)))
    (logs, one), (others, two) = runs
    assert_equal_logs(logs, others)
    assert np.isfinite(logs["loss"]).all()
    assert_equal_weights(one, two)


def test_a_task_without_any_label_has_nan_metrics_and_no_say():
    model = set_by_hand(build())
    model.compile(keras.optimizers.SGD(0.1))
    before = model.get_layer("kind").get_weights()
    y = {"kind": np.full(4, -1), "size": Y["size"]}
    assert np.isnan(evaluate(model, X, y)["kind_accuracy"])
    fit(model, X, y)
    for a, b in zip(before, model.get_layer("kind").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Losses and metrics of the user


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mae", np.sqrt(SIZE).mean()),
        ("mean_squared_error", SIZE.mean()),
        (keras.losses.MeanAbsoluteError(), np.sqrt(SIZE).mean()),
        (keras.losses.Huber(delta=0.5), np.mean([0.375, 0.875, 0, 1.375])),
        (lambda t, p: keras.ops.mean(7 * (t - p), axis=-1), 7 * np.mean([1, 2, 0, 3])),
    ],
    ids=["name", "long name", "object", "options", "function"],
)
def test_any_keras_loss_will_do(loss, expected):
    model = set_by_hand(build())
    model.compile("sgd", loss={"size": loss})
    logs = evaluate(model)
    assert logs["size_loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["kind_loss"] == pytest.approx(KIND.mean(), rel=1e-5)


def test_a_loss_without_a_mean_is_refused():
    loss = keras.losses.MeanSquaredError(reduction="sum")
    with pytest.raises(ValueError, match=r"mean for its reduction.*reduction='sum'"):
        build().compile("sgd", loss={"size": loss})


def test_no_loss_leaves_a_task_out():
    model = set_by_hand(build())
    model.compile(keras.optimizers.SGD(0.1))
    fit(model)
    set_by_hand(model)
    model.compile(keras.optimizers.SGD(0.1), loss={"kind": None})
    with pytest.warns(UserWarning, match="Gradients do not exist for variables"):
        logs = fit(model)
    # Nothing of an earlier `compile` is left, and the metrics still tell how it is.
    assert sorted(logs) == [
        "kind_accuracy",
        "loss",
        "size_loss",
        "size_mae",
        "size_rmse",
    ]
    assert logs["loss"] == pytest.approx([SIZE.mean()], rel=1e-5)
    np.testing.assert_array_equal(model.get_layer("kind").get_weights()[0], 0)
    assert model.get_layer("size").get_weights()[0].any()
    with pytest.raises(ValueError, match="One task at least must have a loss"):
        model.compile("sgd", loss={"kind": None, "size": None})


def test_metrics_of_the_user_take_the_place_of_the_tasks():
    model = set_by_hand(build())
    half = keras.metrics.MeanSquaredError(name="half")
    model.compile("sgd", metrics={"size": [half]})
    weight = {"kind": np.ones(4), "size": np.array([1, 0, 1, 0.0])}
    logs = evaluate(model, sample_weight=weight)
    assert logs["size_half"] == pytest.approx(0.5)
    assert sorted(logs) == [
        "kind_accuracy",
        "kind_loss",
        "loss",
        "size_half",
        "size_loss",
    ]


# One task


def test_one_task_logs_by_its_name():
    model = set_by_hand(build(["size"]))
    model.compile(keras.optimizers.SGD(0.0))
    y = {"size": Y["size"]}
    expected = {
        "loss": SIZE.mean(),
        "size_loss": SIZE.mean(),
        "size_mae": np.sqrt(SIZE).mean(),
        "size_rmse": np.sqrt(SIZE.mean()),
    }
    assert evaluate(model, X, y) == pytest.approx(expected, rel=1e-5)
    logs = fit(model, X, y, validation_data=(X, y))
    logs = {name: value for name, (value,) in logs.items()}
    validation = {f"val_{name}": value for name, value in expected.items()}
    assert logs == pytest.approx({**expected, **validation}, rel=1e-5)


# fit, evaluate, predict


def test_arrays_and_datasets_give_the_same():
    weight = {"kind": np.array([1, 2, 0, 1.0]), "size": np.array([1, 0, 0, 1.0])}
    dataset = tf.data.Dataset.from_tensor_slices((X, Y, weight)).batch(2)
    runs = []
    for arrays in (True, False):
        model = set_by_hand(build())
        model.compile(keras.optimizers.SGD(0.1))
        if arrays:
            data = {"x": X, "y": Y, "sample_weight": weight, "batch_size": 2}
            held_out = (X, Y, weight)
        else:
            data = {"x": dataset}
            held_out = dataset
        history = model.fit(
            **data, validation_data=held_out, epochs=2, shuffle=False, verbose=0
        ).history
        logs = model.evaluate(**data, return_dict=True, verbose=0)
        values = model.evaluate(**data, verbose=0)
        output = model.predict(data["x"], batch_size=2 if arrays else None, verbose=0)
        assert values == pytest.approx(list(logs.values()))
        assert sorted(history) == sorted([*logs, *(f"val_{name}" for name in logs)])
        runs.append((history, logs, output))
    (history, logs, output), (others, again, same) = runs
    assert others["loss"] == pytest.approx(history["loss"], rel=1e-5)
    assert others["val_loss"][0] != others["val_loss"][1]
    assert again == pytest.approx(logs, rel=1e-5)
    for name in ("kind", "size"):
        np.testing.assert_allclose(same[name], output[name], rtol=1e-5)


def test_predictions_yields_batches_in_order():
    model = set_by_hand(build())
    weight = {"kind": np.array([1, 0, 1, 0.0]), "size": np.ones(4)}
    for data in ((X, Y, weight), (X, Y)):
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(3)
        first, second = model.predictions(dataset)
        assert [len(batch["x"]) for batch in (first, second)] == [3, 1]
        whole = {
            key: {n: np.concatenate([first[key][n], second[key][n]]) for n in Y}
            for key in ("label", "weight")
        }
        np.testing.assert_array_equal(np.concatenate([first["x"], second["x"]]), X)
        for name in Y:
            np.testing.assert_array_equal(whole["label"][name], Y[name])
            expected = weight[name] if len(data) == 3 else np.ones(4)
            np.testing.assert_array_equal(whole["weight"][name], expected)
        assert list(first["fields"]) == ["kind", "size"]
        fields = second["fields"]
        np.testing.assert_allclose(fields["size"]["value"], [[0.5]])
        np.testing.assert_allclose(
            fields["kind"]["probabilities"], [[0.25, 0.75]], rtol=1e-5
        )
        assert fields["kind"]["label"].tolist() == [1]


def test_predictions_takes_the_labels_of_one_task_without_its_name():
    task = p5.tasks.Classification("y", num_classes=4)
    model = p5.build_model(p5.trunks.Conv(width=4, levels=2), [task], (8, 8, 1))
    images = np.zeros((4, 8, 8, 1), "float32")
    dataset = tf.data.Dataset.from_tensors((images, np.arange(4)))
    (found,) = model.predictions(dataset)
    assert found["label"]["y"].reshape(-1).tolist() == [0, 1, 2, 3]


def test_decode_by_task():
    model = set_by_hand(build())
    fields = model.decode(model.predict(X, verbose=0))
    assert {name: sorted(f) for name, f in fields.items()} == {
        "kind": ["label", "probabilities"],
        "size": ["value"],
    }


def test_evaluate_adds_metrics_of_whole_predictions():
    chosen = [
        Detection("boxes", num_classes=1, max_boxes=2, width=8, norm="none"),
        MultiLabel("tags", num_classes=2),
    ]
    model = p5.build_model(p5.trunks.Conv(2, 1, "none"), chosen, (32, 32, 1))
    model.compile("sgd")
    x = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 1))
    boxes = np.zeros((5, 2, 5), "float32")
    boxes[:, 1, 4] = -1
    boxes[:, 0] = [4, 6, 20, 24, 0]
    y = {"boxes": boxes, "tags": np.tile([1.0, 0.0], (5, 1))}
    weight = {"boxes": np.ones(5), "tags": np.ones(5)}
    seen = []

    class Counted:
        def update(self, label, weight, fields):
            seen.append((len(label), float(weight.sum()), sorted(fields)))

        def result(self):
            return {"map": 0.25, "map50": None}

    chosen[0].evaluator = Counted
    dataset = tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(2)
    for data in (
        {"x": x, "y": y, "sample_weight": weight, "batch_size": 2},
        {"x": dataset, "y": None},
    ):
        logs = evaluate(model, **data)
        assert logs["boxes_map"] == 0.25
        assert np.isnan(logs["boxes_map50"])
        assert logs["boxes_loss"] > 0
        assert "tags_accuracy" in logs
        fields = ["boxes", "classes", "count", "scores"]
        assert seen == [(2, 2.0, fields), (2, 2.0, fields), (1, 1.0, fields)]
        seen.clear()
    evaluate(model, dataset, None, steps=1)
    assert [n for n, *_ in seen] == [2]


# Moving averages


def ema_model(**kwargs):
    model = set_by_hand(build())
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, **kwargs))
    return model


def test_averages_by_hand():
    model = ema_model()
    steps = []
    for _ in range(3):
        model.train_on_batch(X, Y)
        steps.append(weights(model))
    expected = [a / 4 + b / 4 + c / 2 for a, b, c in zip(*steps, strict=True)]
    with averaged_weights(model):
        assert_equal_weights(expected, weights(model))
        averaged = model.test_on_batch(X, Y, return_dict=True)["loss"]
    assert_equal_weights(steps[-1], weights(model))
    # `evaluate` measures the averages, and gives the weights back.
    assert evaluate(model)["loss"] == pytest.approx(averaged, rel=1e-6)
    now = model.test_on_batch(X, Y, return_dict=True)["loss"]
    assert now != pytest.approx(averaged, rel=1e-2)
    assert_equal_weights(steps[-1], weights(model))


def test_weights_come_back_after_an_error():
    model = ema_model()
    for _ in range(2):
        model.train_on_batch(X, Y)
    before = weights(model)
    with pytest.raises(RuntimeError, match="stop"), averaged_weights(model):
        assert not np.array_equal(before[0], weights(model)[0])
        raise RuntimeError("stop")
    assert_equal_weights(before, weights(model))


def test_without_a_step_there_are_no_averages():
    model = ema_model()
    plain = evaluate(model)
    assert plain["size_loss"] == pytest.approx(SIZE.mean(), rel=1e-5)
    model.optimizer.build(model.trainable_variables)
    assert evaluate(model) == plain


def test_averages_survive_saving(tmp_path):
    model = ema_model()
    for _ in range(2):
        model.train_on_batch(X, Y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal_weights(weights(model), weights(loaded))
    assert evaluate(loaded) == pytest.approx(evaluate(model), rel=1e-6)


# Saving


def test_saved_models_go_on_where_they_were(tmp_path):
    model = build(units=(4,), trunk_l2=0.01, head_l2=0.02)
    model.tasks[0].label_smoothing = 0.2
    model.compile(
        keras.optimizers.Adam(0.05),
        loss={"size": keras.losses.LogCosh()},
        loss_weights={"kind": 1, "size": 3},
        metrics={"size": [keras.metrics.MeanSquaredError(name="mse")]},
        normalize_loss_weights="tasks",
    )
    fit(model, epochs=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")

    assert type(loaded) is p5.MultiTaskModel
    assert (loaded.trunk_l2, loaded.head_l2) == (0.01, 0.02)
    assert [t.get_config() for t in loaded.tasks] == [
        t.get_config() for t in model.tasks
    ]
    assert loaded.tasks[0].label_smoothing == 0.2
    assert loaded.loss_weights == {"kind": 0.5, "size": 1.5}
    for name, output in model.predict(X, verbose=0).items():
        np.testing.assert_array_equal(output, loaded.predict(X, verbose=0)[name])
    assert evaluate(loaded) == pytest.approx(evaluate(model), rel=1e-6)
    assert "size_mse" in evaluate(loaded)
    # The optimizer's state too: both take the same next steps.
    assert_equal_logs(fit(loaded, epochs=2), fit(model, epochs=2))
    assert_equal_weights(weights(model), weights(loaded))


@pytest.mark.parametrize("value", [0.25, 4.0])
def test_a_saved_variable_is_what_it_was_when_saved(tmp_path, value):
    model = set_by_hand(build())
    alpha = keras.Variable(1.0)
    model.compile("sgd", loss={"size": "mae"}, loss_weights={"kind": 1, "size": alpha})
    fit(model)
    alpha.assign(value)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss_weights == {"kind": 1.0, "size": value}
    assert evaluate(loaded) == pytest.approx(evaluate(model), rel=1e-6)


def test_a_task_without_a_loss_stays_without_one(tmp_path):
    model = build()
    model.compile("sgd", loss={"kind": None})
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "kind_loss" not in evaluate(loaded)
    assert "size_loss" in evaluate(loaded)


def test_own_metrics_of_the_package_are_saved(tmp_path):
    model = build(["kind"])
    metric = p5.metrics.ElementMean(
        keras.losses.sparse_categorical_crossentropy, "surprise"
    )
    model.compile("sgd", metrics={"kind": [metric]})
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    y = {"kind": Y["kind"]}
    assert evaluate(loaded, X, y) == pytest.approx(evaluate(model, X, y), rel=1e-6)
    assert "kind_surprise" in evaluate(loaded, X, y)


def test_weights_alone_can_be_saved(tmp_path):
    model, other = build(), build()
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for name, output in model.predict(X, verbose=0).items():
        np.testing.assert_array_equal(output, other.predict(X, verbose=0)[name])


def test_xla_gives_the_same():
    runs = []
    for jit in (False, True):
        model = set_by_hand(build(trunk_l2=0.1))
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit)
        y = {"kind": np.array([-1, 1, 1, 1]), "size": Y["size"]}
        runs.append(fit(model, X, y, epochs=3))
    assert_equal_logs(*runs)
