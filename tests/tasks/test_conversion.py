"""Conversion after a click: one task's head reads another's output."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras import sharing
from p5_keras.tasks import Binary, Conversion, MultiLabel, Regression
from p5_keras.tasks.conversion import AndLogit, ConversionCrossEntropy
from p5_keras.trunks import Dense

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 5)).astype("float32")
CLICK = (RNG.uniform(size=(16, 1)) < 0.6).astype("float32")
Y = {
    "buy": CLICK * (RNG.uniform(size=(16, 1)) < 0.5).astype("float32"),
    "click": CLICK,
    "size": RNG.normal(size=(16, 1)).astype("float32"),
}


def tasks():
    """What is read stands behind what reads it."""
    return [
        Conversion("buy", click="click", hidden=3),
        Binary("click"),
        Regression("size", mean=[0.0], std=[1.0]),
    ]


def build(chosen=None, **kwargs):
    keras.utils.set_random_seed(0)
    return p5.build_model(Dense([6, 6]), chosen or tasks(), (5,), **kwargs)


def labels(model):
    return {name: Y[name] for name in model.task_names}


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, "float64")))


# By hand.


def test_the_logit_of_both():
    a, b = np.meshgrid([-3.0, 0.0, 2.5], [-2.0, 0.5, 4.0])
    p = sigmoid(a) * sigmoid(b)
    found = AndLogit()([a.astype("float32"), b.astype("float32")])
    np.testing.assert_allclose(found, np.log(p / (1 - p)), rtol=1e-5)


def test_no_probability_is_rounded_away():
    """Far out the product is one factor, or e^(a + b), and gradients are finite."""
    a = tf.constant([-200.0, 200.0, 200.0, -100.0, 0.0])
    b = tf.constant([200.0, -200.0, 200.0, -100.0, -90.0])
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        found = AndLogit()([a, b])
    expected = [-200, -200, 200 - np.log(2), -200, -90 - np.log(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    da, db = tape.gradient(found, [a, b])
    np.testing.assert_allclose(da, [1, 0, 0.5, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(db, [0, 1, 0.5, 1, 1], atol=1e-6)


def test_loss_metrics_and_fields():
    task = Conversion("buy", click="click")
    click, buy = sigmoid([1.0, -1.0, 3.0]), sigmoid([0.5, 2.0, 1.0])
    p = click * buy
    logit = np.log(p / (1 - p))
    output = np.stack([logit, [0.5, 2.0, 1.0]], axis=1).astype("float32")
    label = np.array([[1.0], [0.0], [1.0]], "float32")
    expected = -(np.log(p[0]) + np.log(1 - p[1]) + np.log(p[2])) / 3
    assert float(task.default_loss()(label, output)) == pytest.approx(expected)
    fields = task.decode(output)
    np.testing.assert_allclose(fields["probability"][:, 0], p, rtol=1e-5)
    np.testing.assert_allclose(fields["conversion"][:, 0], buy, rtol=1e-5)
    assert np.ravel(fields["label"]).tolist() == [0, 0, 1]
    found = {m.name: m(label, output) for m in task.default_metrics()}
    assert float(found["accuracy"]) == pytest.approx(2 / 3)
    assert float(found["auc"]) == pytest.approx(1)  # 0.45 and 0.70 before 0.24
    truth = task.truth(np.array([[1.0], [0.0], [np.nan]], "float32"))
    np.testing.assert_array_equal(truth["conversion"], [[1], [np.nan], [np.nan]])


def test_options_of_the_loss_are_those_of_a_binary_task():
    kind = {"label_smoothing": 0.1, "gamma": 2.0, "positive_weights": [3.0]}
    ours = Conversion("buy", click="click", **kind).default_loss()
    theirs = Binary("buy", **kind).default_loss()
    assert isinstance(ours, ConversionCrossEntropy)
    output = RNG.normal(size=(16, 2)).astype("float32")
    np.testing.assert_allclose(ours(CLICK, output), theirs(CLICK, output[:, :1]))


# In a model.


def test_who_shares_what():
    model = build()
    assert list(model.output) == ["buy", "click", "size"]
    click = model.get_layer("click").trainable_variables
    trunk = model.trunk_variables
    assert {id(v) for v in model.shared_variables} == {id(v) for v in trunk + click}
    assert model.variables_of("click") == []
    assert len(model.variables_of("buy")) == 4
    assert sorted(x.shape[1] for x in model.bottleneck) == [1, 6]
    # Both losses reach the head of the click, and that of buying is reached by one.
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(X)
        found = {n: tf.reduce_sum(outputs[n][:, 0]) for n in ("click", "buy")}
    for name, total in found.items():
        assert tape.gradient(total, click[0].value) is not None, name
    assert tape.gradient(found["click"], model.variables_of("buy")[0].value) is None


@pytest.mark.parametrize(
    "kind",
    [
        sharing.Hard(),
        sharing.Cascade(reads={"size": ("buy",)}),
        pytest.param(sharing.MMoE(experts=2), marks=pytest.mark.slow),
        sharing.CGC(),
        pytest.param(sharing.CrossStitch(), marks=pytest.mark.slow),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_every_sharing_trains_saves_and_loads(kind, tmp_path):
    model = build(sharing=kind)
    model.compile("adam", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    for _ in range(2):
        logs = model.train_on_batch(X, labels(model), return_dict=True)
    assert np.isfinite(logs["loss"])
    for old, v in zip(before, model.trainable_variables, strict=True):
        assert not np.array_equal(old, v), v.path
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    for name, y in model(X).items():
        np.testing.assert_allclose(again(X)[name], y, atol=1e-6)
    fields = again.decode(again(X))["buy"]
    p = fields["conversion"] * again.decode(again(X))["click"]["probability"]
    np.testing.assert_allclose(fields["probability"], p, rtol=1e-5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ones(p5.weighting.GramWeighting):
    """The plain sum of the losses, by way of everything that a Gram matrix needs."""

    def solve(self, gram, losses, present, clock, seed, state):
        return tf.cast(present, gram.dtype), state


@pytest.mark.parametrize("source", ["full", "features", "last_shared"])
def test_weights_of_one_are_the_plain_sum(source):
    found = []
    for weighting in (None, Ones(gradients=source)):
        model = build()
        model.compile(keras.optimizers.SGD(0.1), weighting=weighting, run_eagerly=True)
        model.train_on_batch(X, labels(model))
        found.append([v.numpy() for v in model.variables])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    ["GradDrop", *(pytest.param(n, marks=SLOW) for n in ("NashMTL", "FAMO"))],
)
def test_weightings_train(name):
    model, weighting = build(), getattr(p5.weighting, name)()
    model.compile("adam", weighting=weighting, run_eagerly=True)
    for _ in range(2):
        logs = model.train_on_batch(X, labels(model), return_dict=True)
    assert np.isfinite(list(logs.values())).all()


def test_an_optimizer_for_each_part():
    still = {name: keras.optimizers.SGD(0.0) for name in Y}
    heads = {**still, "click": keras.optimizers.SGD(0.1)}
    model = build()
    optimizer = p5.optimizers.PerPart(trunk=keras.optimizers.SGD(0.0), heads=heads)
    model.compile(optimizer, run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(X, labels(model))
    pairs = zip(before, model.trainable_variables, strict=True)
    moved = {id(v) for old, v in pairs if (old != v.numpy()).any()}
    assert moved == {id(v) for v in model.get_layer("click").trainable_variables}


def test_a_task_that_stops_leaves_what_the_other_needs():
    """The click's head goes on for what reads it; a frozen one does not."""
    for act, moves in (("stop", True), ("freeze", False)):
        model = build()
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        getattr(model, act)("click")
        head = model.get_layer("click")
        before = head.get_weights()[0]
        model.train_on_batch(X, labels(model))
        assert np.array_equal(before, head.get_weights()[0]) != moves


@SLOW
def test_two_replicas_train_as_one_device(two_replicas):
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            model = build()
            model.compile(keras.optimizers.SGD(0.1))
        y = labels(model)
        weight = {n: np.ones(16, "float32") for n in y}
        weight["buy"][:7] = 0
        batches = tf.data.Dataset.from_tensor_slices((X, y, weight)).batch(16)
        logs = model.fit(batches, verbose=0).history
        found.append(([v.numpy() for v in model.variables], logs))
    for a, b in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    for key, value in found[0][1].items():
        np.testing.assert_allclose(found[1][1][key], value, rtol=1e-4, err_msg=key)


@pytest.mark.parametrize("names", [pytest.param(["buy", "click"], marks=SLOW), ["buy"]])
def test_export(names, tmp_path):
    """With the task that is read, and without it."""
    model = build()
    p5.export.saved_model(p5.export.submodel(model, names), tmp_path)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    fields = served(tf.constant(X))
    assert ("click_probability" in fields) == ("click" in names)
    for field, value in model.decode(model(X))["buy"].items():
        np.testing.assert_allclose(fields[f"buy_{field}"], value, atol=1e-6)


# More and fewer tasks.


def test_tasks_that_are_added_and_removed():
    model = build([Binary("click")])
    grown = p5.grow.add_task(model, Conversion("buy", click="click"))
    np.testing.assert_array_equal(grown(X)["click"], model(X)["click"])
    learner = p5.grow.learner(grown, ["buy"], frozen=True)
    learner.compile("adam", run_eagerly=True)
    learner.train_on_batch(X, {"buy": Y["buy"]})
    np.testing.assert_array_equal(grown(X)["click"], model(X)["click"])
    kept = p5.grow.learner(grown, ["buy"], model)
    assert kept.task_names == ["buy", "keep_click"]
    # What reads keeps the head that it reads.
    alone = p5.grow.remove_task(grown, "click")
    assert alone.task_names == ["buy"]
    np.testing.assert_allclose(alone(X)["buy"], grown(X)["buy"], atol=1e-6)
    with pytest.raises(ValueError, match=r"'click', which is read by \['buy'\]"):
        p5.grow.replace_head(grown, Binary("click", hidden=3))
    other = p5.grow.replace_head(grown, Conversion("buy", click="click", hidden=3))
    np.testing.assert_array_equal(other(X)["click"], grown(X)["click"])
    with pytest.raises(ValueError, match=r"'buy' reads the output of task 'clik'.*Did"):
        p5.grow.add_task(model, Conversion("buy", click="clik"))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([Conversion("buy", click="click")], r"'click', which must be in .*tasks=\[\]"),
        ([Conversion("buy", click="clik"), Binary("click")], "Did you mean 'click'"),
        (
            [Conversion("buy", click="kind"), MultiLabel("kind", num_classes=2)],
            r"`click` must be a task with one logit.*'kind', whose output is \(None, 2",
        ),
        (
            [Conversion("a", click="b"), Conversion("b", click="a")],
            "must not go round in a circle. Received: [ab] reads [ab] reads [ab]",
        ),
        (
            [Conversion("buy", click="vector"), Binary("vector")],
            "must not be named as a feature is. Received: 'vector'",
        ),
    ],
)  # fmt: skip
def test_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        build(chosen)


def test_without_the_click_it_is_a_binary_task(tmp_path, capsys):
    """As in the single-task models of a comparison."""
    recipe = tmp_path / "shop.py"
    recipe.write_text(
        "import dataclasses\n"
        "import p5_keras as p5\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Config(p5.recipe.Config):\n"
        "    trunk: p5.Trunk = p5.trunks.Dense([4])\n"
        "def tasks(config):\n"
        "    return [p5.tasks.Binary('click'),\n"
        "        p5.tasks.Conversion('buy', click='click', label='sold', gamma=1.0)]\n"
        "def data(config, tasks, split): ...\n"
        "def model(config, tasks): return p5.recipe.build(config, tasks, (5,))\n"
    )
    recipe = p5.recipe.load(str(recipe))

    def plan(chosen):
        return p5.plan.Plan(recipe, recipe.Config(), None, {"tasks": chosen})

    (task,) = plan(["buy"]).tasks()
    assert "buy: binary classification, for it lacks click" in capsys.readouterr().out
    assert type(task) is Binary and (task.label, task.gamma) == ("sold", 1.0)
    assert task.better == Conversion.better  # so they can be compared
    assert plan(["buy"]).model([task]).task_names == ["buy"]
    for chosen in (None, ["click", "buy"]):
        assert [type(t) for t in plan(chosen).tasks()] == [Binary, Conversion]
    assert not capsys.readouterr().out
