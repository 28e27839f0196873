"""Where a model's weights come from, and which of them are trained."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import p5_keras as p5
from p5_keras.trunks import Conv

SHAPE = (16, 16, 3)
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (8, *SHAPE)).astype("float32")


def make(names=("a",), levels=3, width=4, sharing=None):
    tasks = [p5.tasks.Classification(n, num_classes=3) for n in names]
    trunk = Conv(width, 1, levels=levels)
    return p5.build_model(trunk, tasks, SHAPE, sharing=sharing)


def trained(model):
    """Trains a little; batch statistics move too."""
    model.compile(keras.optimizers.SGD(0.1))
    y = {n: RNG.integers(0, 3, 8) for n in model.task_names}
    model.fit(X, y, epochs=2, verbose=0)
    return model


def values(model, start="trunk_"):
    found = [x for x in model.layers if x.name.startswith(start)]
    return {x.name: x.get_weights() for x in found}


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# Weights to start from.


@pytest.fixture
def run(tmp_path):
    """A workdir with a best model of another task, and that model."""
    model = trained(make(["other"]))
    (tmp_path / "checkpoints").mkdir()
    model.save(tmp_path / "checkpoints" / "best.keras")
    return tmp_path, model


def test_from_a_run(run):
    path, earlier = run
    model = make(["a", "b"])
    heads = values(model, "a") | values(model, "b")
    taken = p5.transfer.init_from(model, f"run:{path}")
    assert taken == ["trunk_P2", "trunk_P3"]
    for name, found in values(model).items():
        assert same(found, values(earlier)[name]), name
    assert all(same(v, model.get_layer(n).get_weights()) for n, v in heads.items())
    # A deeper trunk keeps what the other does not have.
    deeper = make(levels=4)
    before = values(deeper)["trunk_P4"]
    source = str(path / "checkpoints" / "best.keras")
    assert p5.transfer.init_from(deeper, source) == taken
    assert same(values(deeper)["trunk_P4"], before)
    assert same(values(deeper)["trunk_P3"], values(earlier)["trunk_P3"])


def test_from_any_keras_model(run, tmp_path):
    """A model without our names gives its weights in their order."""
    earlier = run[1]
    inputs = x = keras.Input(SHAPE)
    for stage in p5.transfer.trunk_of(earlier).layers[1:]:
        for layer in stage.layers[1:]:
            x = type(layer).from_config({**layer.get_config(), "name": None})(x)
    x = layers.Dropout(0.1)(x)
    plain = keras.Model(inputs, layers.Dense(7)(layers.Flatten()(x)))
    flat = [w for stage in values(earlier).values() for w in stage]
    plain.set_weights([*flat, *plain.get_weights()[len(flat) :]])
    plain.save(tmp_path / "plain.keras")
    model = make()
    p5.transfer.init_from(model, str(tmp_path / "plain.keras"))
    for name, found in values(model).items():
        assert same(found, values(earlier)[name]), name


def test_from_weights_files(run, tmp_path):
    earlier = run[1]
    p5.transfer.trunk_of(earlier).save_weights(tmp_path / "trunk.weights.h5")
    model = make(["a", "b"])
    p5.transfer.init_from(model, str(tmp_path / "trunk.weights.h5"))
    assert all(same(v, values(earlier)[n]) for n, v in values(model).items())
    earlier.save_weights(tmp_path / "whole.weights.h5")
    model = make(["other"])
    p5.transfer.init_from(model, str(tmp_path / "whole.weights.h5"))
    assert all(same(v, values(earlier)[n]) for n, v in values(model).items())
    wide = make(width=6)
    before = values(wide)
    with pytest.raises(ValueError, match=r"very model or of its trunk alone"):
        p5.transfer.init_from(wide, str(tmp_path / "trunk.weights.h5"))
    assert all(same(v, before[n]) for n, v in values(wide).items())


def test_what_does_not_fit_is_refused(run, tmp_path):
    path, _ = run
    wide = make(width=6)
    before = values(wide)
    with pytest.raises(ValueError, match=r"fit trunk_P2: weight 0 .*\(3, 3, 3, 3\)"):
        p5.transfer.init_from(wide, f"run:{path}")
    assert all(same(v, before[n]) for n, v in values(wide).items())
    for source, words in {
        "run:nowhere": "must hold a trained model",
        "nowhere.keras": "run:PATH with the workdir",
        __file__: "must end in .keras or .weights.h5",
    }.items():
        with pytest.raises(ValueError, match=words):
            p5.transfer.init_from(make(), source)


# Freezing.


@pytest.mark.parametrize(
    "what, stays",
    [
        ("trunk", ["trunk_P2", "trunk_P3", "trunk_P4"]),
        ("stage:2", ["trunk_P2", "trunk_P3"]),
        ("none", []),
        (None, []),
    ],
)
def test_freeze(what, stays):
    model = make(levels=4)
    assert p5.transfer.freeze(model, what) == stays
    before = values(model) | values(model, "a")
    trained(model)
    after = values(model) | values(model, "a")
    for name, found in after.items():
        assert same(found, before[name]) == (name in stays), name
    x = model.get_layer("trunk_P2")(X, training=True)
    y = model.get_layer("trunk_P2")(X, training=False)
    assert np.array_equal(x, y) == bool(stays)  # by the moving statistics


def test_frozen_stages_of_columns():
    model = make(["a", "b"], levels=3, sharing=p5.sharing.CrossStitch())
    found = p5.transfer.freeze(model, "stage:1")
    assert found == [
        x.name
        for x in model.layers
        if x.name.endswith("_P2") and x.name.startswith("trunk_")
    ]
    assert len(found) == 2


def test_freeze_is_saved(tmp_path):
    model = make()
    p5.transfer.freeze(model, "trunk")
    trained(model).save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert not again.trunk_variables and again.head_variables


@pytest.mark.parametrize("what", ["stage:4", "stage:0", "stage", "trunks"])
def test_freeze_names_what_there_is(what):
    with pytest.raises(ValueError, match=r"freeze.*stage:3"):
        p5.transfer.freeze(make(levels=4), what)


# Stage by stage, and at different rates.


def test_unfreeze():
    model = make(levels=4)
    model.compile(keras.optimizers.SGD(0.1))
    moved = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.before = kernels()

        def on_epoch_end(self, epoch, logs=None):
            after = kernels()
            moved.append([n for n in after if not same(after[n], self.before[n])])

    def kernels():
        found = [x for x in model.layers if x.name.startswith("trunk_")]
        return {x.name[6:]: [v.numpy() for v in x.trainable_variables] for x in found}

    steps = [p5.transfer.Unfreeze(2), Watch()]
    y = {"a": RNG.integers(0, 3, 8)}
    model.fit(X, y, epochs=7, verbose=0, callbacks=steps)
    one, two = ["P4"], ["P3", "P4"]
    assert moved == [[], [], one, one, two, two, ["P2", *two]]
    # A run that goes on decides by the number of the epoch.
    moved.clear()
    model.fit(X, y, initial_epoch=4, epochs=5, verbose=0, callbacks=steps)
    assert moved == [two]
    with pytest.raises(ValueError, match="`every` must be 1 or more"):
        p5.transfer.Unfreeze(0)


def test_trunk_rate():
    config = p5.recipe.Config(Conv(), trunk_rate=0.1, learning_rate=0.2, ema=0.9)
    config = dataclasses.replace(config, clip_norm=1.0, weight_decay=0.01)
    optimizer = p5.recipe.default_optimizer(config, 100)
    assert isinstance(optimizer, p5.optimizers.PerPart)
    assert (optimizer.global_clipnorm, optimizer.use_ema) == (1.0, True)
    for step in (5, 40, 99):
        rates = [
            float(p._learning_rate(step)) for p in (optimizer.trunk, optimizer.heads)
        ]
        assert rates[0] == pytest.approx(0.1 * rates[1])
    assert optimizer.heads.weight_decay == 0.01
    plain = p5.recipe.default_optimizer(dataclasses.replace(config, trunk_rate=None), 9)
    assert isinstance(plain, keras.optimizers.AdamW)
    with pytest.raises(ValueError, match="`trunk_rate` must be above 0"):
        p5.recipe.default_optimizer(dataclasses.replace(config, trunk_rate=0.0), 9)
    model = make()
    model.compile(optimizer)
    model.fit(X, {"a": RNG.integers(0, 3, 8)}, epochs=1, verbose=0)
