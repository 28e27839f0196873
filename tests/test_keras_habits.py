"""What works with any functional `keras.Model` works, or says what to do instead."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.tasks import Classification, Detection, Regression

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = {
    "kind": (X[:, 0] > 0).astype("int32"),
    "size": X[:, 1:2] + 2 * X[:, 2:3],
}


def tasks():
    return [
        Classification("kind", num_classes=2),
        Regression("size", mean=[1.0], std=[2.0]),
    ]


def build(weighting=None, units=(4, 4), **kwargs):
    keras.utils.set_random_seed(0)
    model = p5.build_model(p5.trunks.Dense(units), tasks(), (4,), **kwargs)
    model.compile(keras.optimizers.SGD(0.1), weighting=weighting)
    return model


@pytest.fixture(scope="module")
def model():
    return build(trunk_l2=0.5)


def part(i, size=4):
    rows = slice(size * i, size * i + size)
    return X[rows], {name: y[rows] for name, y in Y.items()}


class Batches(keras.utils.PyDataset):
    """Three batches, without workers."""

    def __init__(self, made=part):
        super().__init__()
        self.made, self.epochs, self.read = made, 0, []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        self.read.append(i)
        return self.made(i)

    def on_epoch_end(self):
        self.epochs += 1


def weights(model):
    return [np.array(v) for v in model.trainable_variables]


def outputs(model):
    return model.predict(X, verbose=0)


def same(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], atol=1e-6, err_msg=name)


# Copies


def test_a_clone_is_a_model_of_the_same_tasks_with_weights_of_its_own(model):
    clone = keras.models.clone_model(model)
    assert type(clone) is p5.MultiTaskModel
    assert [t.get_config() for t in clone.tasks] == [
        t.get_config() for t in model.tasks
    ]
    assert all(a is not b for a, b in zip(clone.tasks, model.tasks, strict=True))
    assert clone.trunk_l2 == 0.5
    clone.set_weights(model.get_weights())
    same(outputs(clone), outputs(model))
    before = weights(model)
    clone.compile("sgd", weighting=p5.weighting.PCGrad())
    clone.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(before[0], weights(model)[0])
    assert np.abs(before[0] - weights(clone)[0]).max() > 0


def test_a_clone_may_have_other_layers(model):
    def other(layer):
        config = layer.get_config()
        if config["name"] == "kind":
            config["trainable"] = False
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, clone_function=other)
    assert not clone.get_layer("kind").trainable
    assert clone.task_names == model.task_names


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_goes_on_by_itself(model, copied):
    other = copied(model)
    same(outputs(other), outputs(model))
    before = weights(model)
    other.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(before[0], weights(model)[0])
    assert np.abs(before[0] - weights(other)[0]).max() > 0


def test_a_model_is_a_layer_of_another(model, tmp_path):
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, model(inputs))
    same(outputs(outer), outputs(model))
    outer.save(tmp_path / "outer.keras")
    same(outputs(keras.saving.load_model(tmp_path / "outer.keras")), outputs(model))
    scaled = keras.Sequential([keras.Input((4,)), keras.layers.Identity(), model])
    same(outputs(scaled), outputs(model))


@pytest.mark.parametrize("name", ["x.h5", "x.hdf5"])
@pytest.mark.parametrize("save", [p5.MultiTaskModel.save, keras.saving.save_model])
def test_old_hdf5_is_refused(model, tmp_path, name, save):
    with pytest.raises(ValueError, match=r"saved as \.keras"):
        save(model, str(tmp_path / name))


# Batches made in Python


def test_a_py_dataset_is_as_good_as_arrays(model):
    batches = Batches()
    expected = model.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    got = model.evaluate(batches, verbose=0, return_dict=True)
    assert got == pytest.approx(expected, abs=1e-6)
    one, two = build(), build()
    one.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    two.fit(batches, epochs=2, shuffle=False, validation_data=Batches(), verbose=0)
    np.testing.assert_allclose(weights(one)[0], weights(two)[0], atol=1e-6)
    assert batches.epochs == 3


def test_a_py_dataset_is_shuffled_by_fit_alone(model):
    batches = Batches()
    keras.utils.set_random_seed(0)
    copy.deepcopy(model).fit(batches, epochs=9, verbose=0)
    orders = np.reshape(batches.read[1:28], (9, 3))
    assert (np.sort(orders) == [0, 1, 2]).all()
    assert (orders != [0, 1, 2]).any()


def endless():
    while True:
        for i in range(3):
            yield part(i)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # as in Keras
def test_a_generator_is_as_good_as_arrays():
    one, two = build(), build()
    one.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    two.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0)
    np.testing.assert_allclose(weights(one)[0], weights(two)[0], atol=1e-6)
    logs = two.evaluate(endless(), steps=3, verbose=0, return_dict=True)
    arrays = two.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["size_mae"] == pytest.approx(arrays["size_mae"], abs=1e-6)
    lists = ([x, y] for x, y in map(part, range(3)))  # lists, as Keras 2 allowed
    logs = two.evaluate(lists, verbose=0, return_dict=True)
    assert logs["size_mae"] == pytest.approx(arrays["size_mae"], abs=1e-6)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    "data, message",
    [
        (
            lambda: ((x, {"kind": y["kind"]}) for x, y in [part(0)]),
            r"Missing: \['size'",
        ),
        (lambda: ((x, {**y, "sizee": y["size"]}) for x, y in [part(0)]), "'sizee'"),
        (lambda: iter([(X,)]), "labels"),
        (lambda: iter([{"x": X}]), "Each batch must be"),
        (lambda: iter(()), "no batch"),
        (lambda: Batches(lambda i: (X, Y["kind"])), "dict"),
        (lambda: endless, "call it"),
    ],
)
def test_the_first_batch_is_checked(model, method, data, message):
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(data(), verbose=0)


def test_a_batch_unlike_the_first_is_named(model):
    data = iter([part(0), (X, {"kind": Y["kind"]})])
    with pytest.raises(
        tf.errors.OpError, match=r"Received: \['an array', \['kind'\]\]"
    ):
        copy.deepcopy(model).fit(data, verbose=0)


def test_metrics_of_two_passes_need_more_than_a_generator():
    boxes = [Detection("boxes", num_classes=1, max_boxes=1)]
    model = p5.build_model(p5.trunks.Conv(width=4), boxes, (32, 32, 1))
    model.compile("sgd")
    with pytest.raises(ValueError, match="second pass"):
        model.evaluate(iter([]))


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_data_without_labels_are_refused(model, method):
    rows = tf.data.Dataset.from_tensor_slices
    for data in (rows(X).batch(4), rows({"input": X}).batch(4)):
        with pytest.raises(ValueError, match="must hold labels"):
            getattr(model, method)(data, verbose=0)
    with pytest.raises(ValueError, match="must hold labels"):
        next(model.predictions(rows(X).batch(4)))


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # as in Keras
def test_predict_needs_no_labels(model):
    rows = tf.data.Dataset.from_tensor_slices
    for data in (rows(X), rows({"input": X}), rows((X, Y))):
        same(model.predict(data.batch(4), verbose=0), outputs(model))
    same(model.predict({"input": X}, verbose=0), outputs(model))
    same(model.predict(Batches(), verbose=0), outputs(model))
    same(model.predict_on_batch(X), outputs(model))


# Arguments and single batches


def test_class_weight_names_what_to_use(model):
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match="class_weights="):
            call(X, Y, class_weight={"kind": {0: 1.0, 1: 2.0}})
    with pytest.raises(ValueError, match="`metrics="):
        build().compile("sgd", weighted_metrics=["mae"])


def test_a_validation_split_is_the_last_of_the_arrays():
    logs = build().fit(X, Y, validation_split=0.25, verbose=0, shuffle=False).history
    model = build()
    model.fit(X[:9], {n: y[:9] for n, y in Y.items()}, verbose=0, shuffle=False)
    held_out = {n: y[9:] for n, y in Y.items()}
    expected = model.evaluate(X[9:], held_out, verbose=0, return_dict=True)
    assert logs["val_size_mae"][0] == pytest.approx(expected["size_mae"], abs=1e-6)


def test_single_batches():
    one, two = build(p5.weighting.PCGrad()), build(p5.weighting.PCGrad())
    expected = one.evaluate(X, Y, verbose=0, return_dict=True)
    assert two.test_on_batch(X, Y, return_dict=True) == pytest.approx(expected)
    one.fit(X, Y, batch_size=12, verbose=0)
    two.train_on_batch(X, Y)
    np.testing.assert_allclose(weights(one)[0], weights(two)[0], atol=1e-6)
    for method in (two.train_on_batch, two.test_on_batch):
        with pytest.raises(ValueError, match="Missing"):
            method(X, {"kind": Y["kind"]})


# Trunks that are frozen, in whole or in part


@pytest.mark.parametrize("frozen", ["trainable", "freeze"])
def test_a_frozen_trunk_leaves_nothing_to_weigh(frozen, monkeypatch):
    told = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: told.append(text % args)
    )
    plain, weighed = build(), build()
    for model, weighting in ((plain, None), (weighed, p5.weighting.PCGrad())):
        trunk = [n.name for n in model.layers if n.name.startswith("trunk_")]
        if frozen == "trainable":
            for name in trunk:
                model.get_layer(name).trainable = False
        model.compile(keras.optimizers.SGD(0.1), weighting=weighting)
        if frozen == "freeze":
            model.freeze(*trunk)
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    assert sum("PCGrad" in line and "all tasks count 1" in line for line in told) == 1
    for a, b in zip(plain.get_weights(), weighed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_array_equal(weighed.engine.weights.numpy(), [1, 1])
    assert int(weighed.engine.step.numpy()) == 2


@pytest.mark.parametrize(
    "weighting",
    [
        p5.weighting.MGDA(),
        p5.weighting.GradNorm(),
        p5.weighting.MGDA(gradients="features"),
        p5.weighting.NashMTL(update_every=2),
    ],
)
def test_every_gradient_method_takes_a_frozen_trunk(weighting):
    model = build()
    for layer in model.layers:
        layer.trainable = not layer.name.startswith("trunk_")
    model.compile("sgd", weighting=weighting)
    before = model.get_layer("kind").get_weights()
    model.fit(X, Y, epochs=3, verbose=0)
    assert np.abs(before[0] - model.get_layer("kind").get_weights()[0]).max() > 0


class TwoStages(p5.Trunk):
    """A dense layer below another one."""

    def __init__(self):
        pass

    def stages(self, input_shape):
        found = {}
        for name, width in (("below", input_shape[-1]), ("above", 4)):
            inputs = keras.Input((width,))
            dense = keras.layers.Dense(4, activation="tanh")
            found[name] = keras.Model(inputs, dense(inputs))
        return found


@pytest.mark.parametrize("gradients", ["full", "last_shared"])
def test_what_is_frozen_is_not_in_the_gram_matrix(gradients):
    """Frozen either way, the rest is trained as a model that reads what is below."""
    found = []
    for how in ("trainable", "freeze", "apart"):
        keras.utils.set_random_seed(0)
        model = p5.build_model(TwoStages(), tasks(), (4,))
        below, x = model.get_layer("trunk_below"), X
        if how == "trainable":
            below.trainable = False
        if how == "apart":
            x, inputs = np.array(below(X)), keras.Input((4,))
            features = {"above": model.get_layer("trunk_above")(inputs)}
            heads = {n: model.get_layer(n)(features) for n in model.task_names}
            model = p5.MultiTaskModel(inputs, heads, tasks=tasks())
        weighting = p5.weighting.MGDA(gradients=gradients)
        model.compile(keras.optimizers.SGD(0.1), weighting=weighting)
        before = [np.array(v) for v in below.variables]
        if how == "freeze":
            model.freeze("trunk_below")
        model.fit(x, Y, batch_size=12, epochs=2, verbose=0)
        np.testing.assert_array_equal(before[0], below.variables[0])
        found.append([model.engine.weights.numpy(), *model.get_layer("kind").weights])
    for one in found[:2]:
        for a, b in zip(one, found[2], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(found[2][0] - 1).max() > 0.01
