"""What holds for every trunk, and what is special of each."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import p5_keras as p5
from p5_keras.trunks import Conv, ConvPool, Cut, Dense, EfficientNetLite0, ResNet50


def plain(shape=(32, 32, 3)):
    """A functional model with a path round its second layer."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 3, 2, padding="same", activation="relu", name="half")(inputs)
    y = layers.Conv2D(4, 3, padding="same", name="inner")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2D(6, 3, 2, padding="same", name="quarter")(x)
    return keras.Model(inputs, x)


def mobilenet():
    """The first blocks of MobileNetV2, for images of any size."""
    model = keras.applications.MobileNetV2(
        (None, None, 3), alpha=0.35, include_top=False, weights=None
    )
    return keras.Model(model.input, model.get_layer("block_3_expand_relu").output)


@dataclass
class Case:
    """A trunk, the shape of an input, and the shapes of its features."""

    make: Any
    input_shape: tuple[int, ...]
    features: dict[str, tuple[int, ...]]


PYRAMID = {"P2": (12, 16, 8), "P3": (6, 8, 16), "P4": (3, 4, 20), "P5": (2, 2, 20)}
CASES = {
    f"conv-{norm}": Case(
        lambda norm=norm: Conv(4, 2, norm, max_width=20, dropout=0.1),
        (45, 61, 3),
        PYRAMID,
    )
    for norm in ("batch", "group", "none")
} | {
    "conv-short": Case(
        lambda: Conv(width=1, depth=1, levels=2), (7, 5, 1), {"P2": (2, 2, 2)}
    ),
    "conv-pool": Case(
        lambda: ConvPool([3, 5]), (7, 10, 3), {"P1": (4, 5, 3), "P2": (2, 3, 5)}
    ),
    "cut": Case(
        lambda: Cut(plain(), {"P1": "sum", "P2": "quarter"}),
        (32, 32, 3),
        {"P1": (16, 16, 4), "P2": (8, 8, 6)},
    ),
    "cut-mobilenet": Case(
        lambda: Cut(
            mobilenet(), {"P1": "block_1_expand_relu", "P2": "block_3_expand_relu"}
        ),
        (44, 64, 3),
        {"P1": (22, 32, 48), "P2": (11, 16, 48)},
    ),
    "dense": Case(lambda: Dense([8, 5], dropout=0.1), (6,), {"vector": (5,)}),
    "dense-flat": Case(lambda: Dense([3]), (2, 3), {"vector": (3,)}),
    "dense-image": Case(lambda: Dense([3]), (2, 3, 1), {"vector": (3,)}),
    "efficientnet-lite0": Case(
        lambda: EfficientNetLite0(levels=4),
        (45, 64, 3),
        {"P2": (12, 16, 24), "P3": (6, 8, 40), "P4": (3, 4, 112)},
    ),
    "resnet50": Case(
        ResNet50,
        (64, 45, 3),
        {
            "P2": (16, 12, 256),
            "P3": (8, 6, 512),
            "P4": (4, 3, 1024),
            "P5": (2, 2, 2048),
        },
    ),
}
every = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[pytest.mark.slow] * (name == "resnet50"))
        for name, case in CASES.items()
    ],
)


def weights(stages):
    return [v for stage in stages.values() for v in stage.trainable_variables]


def run(stages, x):
    """Features by name, stage after stage."""
    features = {}
    for name, stage in stages.items():
        x = features[name] = stage(x, training=False)
    return {name: np.array(value) for name, value in features.items()}


@every
def test_stages_and_copies(case):
    trunk = case.make()
    stages = trunk.stages(case.input_shape)
    assert list(stages) == list(case.features)
    for name, stage in stages.items():
        assert isinstance(stage, keras.Model), name
        assert len(stage.inputs) == len(stage.outputs) == 1, name
    x = np.random.default_rng(0).uniform(0, 255, (2, *case.input_shape))
    features = run(stages, x)
    assert {n: f.shape[1:] for n, f in features.items()} == case.features
    assert all(np.isfinite(f).all() and f.any() for f in features.values())

    # A copy, and a second call, give the same architecture with other weights.
    for again in (trunk.copy(), trunk):
        others = again.stages(case.input_shape)
        ours, theirs = weights(stages), weights(others)
        assert [v.shape for v in ours] == [v.shape for v in theirs]
        assert not {id(v) for v in ours} & {id(v) for v in theirs}
        kernels = [(v, w) for v, w in zip(ours, theirs, strict=True) if v.ndim > 1]
        assert kernels
        assert not any(np.array_equal(v, w) for v, w in kernels)
    for v, w in zip(ours, theirs, strict=True):
        w.assign(v)
    for name, feature in run(others, x).items():
        np.testing.assert_allclose(feature, features[name], rtol=1e-4, atol=1e-5)


@every
def test_call_gives_all_features(case):
    trunk = case.make()
    features = trunk(keras.Input(case.input_shape))
    assert {n: f.shape for n, f in features.items()} == {
        name: (None, *shape) for name, shape in case.features.items()
    }


@every
def test_config_and_repr(case):
    trunk = case.make()
    config = trunk.get_config()
    again = type(trunk)(**config)
    assert again.get_config() == config
    assert repr(trunk).startswith(f"{type(trunk).__name__}(")
    assert all(f"{name}=" in repr(trunk) for name in config)
    assert type(trunk.copy()) is type(trunk)


@pytest.mark.parametrize("name", ["conv-short", "cut", "dense"])
def test_a_model_on_it_trains_and_is_saved(name, tmp_path):
    case = CASES[name]
    task = p5.tasks.Regression("y", mean=[0.0], std=[1.0])
    model = p5.build_model(case.make(), [task], case.input_shape)
    model.compile("adam")
    x = np.random.default_rng(0).uniform(0, 255, (4, *case.input_shape))
    before = [np.array(v) for v in model.trunk_variables]
    assert before
    model.fit(x, {"y": np.arange(4.0)}, epochs=2, batch_size=4, verbose=0)
    changed = [
        not np.array_equal(v, w)
        for v, w in zip(before, model.trunk_variables, strict=True)
    ]
    assert all(changed)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    one, two = (m(x, training=False)["y"] for m in (model, loaded))
    np.testing.assert_array_equal(one, two)


# Conv


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_conv_layers_follow_from_the_arguments():
    stages = Conv(8, depth=3, dropout=0.25, levels=4).stages((32, 32, 3))
    # Two in the stem, then three a stage.
    counts = [kinds(s).count("Conv2D") for s in stages.values()]
    assert counts == [5, 3, 3]
    widths = [layer.filters for layer in stages["P2"].layers if "conv" in layer.name]
    assert widths == [4, 8, 16, 16, 16]
    dropouts = [kinds(s).count("SpatialDropout2D") for s in stages.values()]
    assert dropouts == [0, 1, 1]


@pytest.mark.parametrize(
    ("norm", "layer", "bias"),
    [
        ("batch", "BatchNormalization", False),
        ("group", "GroupNormalization", False),
        ("none", None, True),
    ],
)
def test_conv_norms(norm, layer, bias):
    stage = Conv(8, 1, norm, levels=2).stages((16, 16, 1))["P2"]
    assert kinds(stage).count(layer) == (3 if layer else 0)
    assert {x.use_bias for x in stage.layers if "conv" in x.name} == {bias}
    for x in stage.layers:
        if isinstance(x, layers.BatchNormalization):
            assert x.synchronized
        if isinstance(x, layers.GroupNormalization):
            assert x.groups == {"4": 4, "8": 8, "16": 8}[str(x.gamma.shape[0])]


def test_conv_groups_divide_any_width():
    stages = Conv(12, 1, "group", levels=3).stages((16, 16, 1))
    found = [
        (x.gamma.shape[0], x.groups)
        for stage in stages.values()
        for x in stage.layers
        if isinstance(x, layers.GroupNormalization)
    ]
    assert found == [(6, 2), (12, 4), (24, 8), (48, 8)]


def test_conv_scales_pixels():
    stage = Conv(4, 1, levels=2).stages((8, 8, 1))["P2"]
    rescaling = next(x for x in stage.layers if isinstance(x, layers.Rescaling))
    np.testing.assert_allclose(rescaling(np.array([0.0, 127.5, 255.0])), [-1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "layer"}, r"`norm` must be one of.*norm='layer'"),
        ({"width": 0}, r"`width` and `depth` must be at least 1.*width=0"),
        ({"depth": 0}, r"`width` and `depth` must be at least 1.*depth=0"),
        ({"levels": 1}, r"`levels` from 2 to 12.*levels=1"),
    ],
)
def test_conv_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Conv(**arguments)


@pytest.mark.parametrize("shape", [(32, 32), (None, 32, 3), (8,)])
@pytest.mark.parametrize("trunk", [Conv(), ResNet50()])
def test_images_have_a_fixed_size(trunk, shape):
    with pytest.raises(ValueError, match=r"fixed \(height, width, channels\)"):
        trunk.stages(shape)


# Cut


def test_cut_computes_what_the_model_does():
    model = plain()
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    features = run(Cut(model, {"P1": "sum", "P2": "quarter"}).stages((32, 32, 3)), x)
    inner = keras.Model(model.input, model.get_layer("sum").output)
    np.testing.assert_allclose(features["P1"], inner(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features["P2"], model(x), rtol=1e-5, atol=1e-6)


def test_cut_uses_the_models_own_weights_once():
    model = plain()
    trunk = Cut(model, {"P1": "sum", "P2": "quarter"})
    copy = trunk.copy()
    own = {id(v) for v in model.variables}
    assert {id(v) for v in weights(trunk.stages((32, 32, 3)))} == own
    assert not {id(v) for v in weights(trunk.stages((32, 32, 3)))} & own
    assert not {id(v) for v in weights(copy.stages((32, 32, 3)))} & own


def test_cut_names_the_nearest_layer():
    with pytest.raises(ValueError, match=r"Did you mean 'quarter'.*'P2': 'quater'"):
        Cut(plain(), {"P1": "sum", "P2": "quater"})


def test_cut_needs_a_cut():
    with pytest.raises(ValueError, match="`cuts` must name at least one layer"):
        Cut(plain(), {})


def test_cut_refuses_a_connection_past_a_cut():
    with pytest.raises(ValueError, match=r"cannot be cut at 'sum'.*all paths meet"):
        Cut(plain(), {"P1": "inner", "P2": "sum"}).stages((32, 32, 3))


@pytest.mark.parametrize("shape", [(32, 32, 1), (16, 32, 3), (32,)])
def test_cut_refuses_another_input_shape(shape):
    with pytest.raises(ValueError, match=r"one input of the shape \(.*32, 32, 3"):
        Cut(plain(), {"P2": "quarter"}).stages(shape)


# ConvPool


def test_conv_pool_by_hand():
    stage = ConvPool([1]).stages((3, 2, 1))["P1"]
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, 1] = kernel[1, 2] = 1  # a pixel and its right neighbour
    stage.set_weights([kernel, np.array([-0.5])])
    image = np.array([[0.0, 51], [255, 0], [51, 102]]).reshape(1, 3, 2, 1)
    # Sums less a half: -0.3 -0.3 / 0.5 -0.5 / 0.1 -0.1; the last row pools by itself.
    np.testing.assert_allclose(stage(image)[0, :, :, 0], [[0.5], [0.1]], atol=1e-6)


@pytest.mark.parametrize("widths", [[], [4, 0]])
def test_conv_pool_refuses(widths):
    with pytest.raises(ValueError, match=r"`widths` must be a list of sizes above 0"):
        ConvPool(widths)


# Dense


def test_dense_by_hand():
    stage = Dense([2]).stages((2,))["vector"]
    stage.set_weights([np.array([[1.0, -1.0], [2.0, 0.0]]), np.array([0.5, 0.0])])
    np.testing.assert_allclose(stage(np.array([[1.0, 3.0]])), [[7.5, 0.0]])


def test_dense_brings_an_image_to_0_to_1():
    stage = Dense([1]).stages((1, 2, 1))["vector"]
    stage.set_weights([np.array([[2.0], [-1.0]]), np.array([0.0])])
    image = np.array([[[[255.0], [51.0]]]])
    np.testing.assert_allclose(stage(image), [[2 - 0.2]], rtol=1e-6)


def test_dense_dropout_follows_every_layer():
    stage = Dense([4, 3], dropout=0.2).stages((2,))["vector"]
    assert kinds(stage)[1:] == ["Dense", "Dropout"] * 2


@pytest.mark.parametrize("units", [[], [4, 0]])
def test_dense_refuses(units):
    with pytest.raises(ValueError, match=r"`units` must be a list of sizes above 0"):
        Dense(units)


# ResNet50


def test_resnet_needs_three_channels():
    with pytest.raises(ValueError, match=r"`input_shape` of ResNet50.*\(64, 64, 1\)"):
        ResNet50().stages((64, 64, 1))


def test_resnet_says_how_to_go_on_without_weights():
    with pytest.raises(ValueError, match=r"`weights` of ResNet50.*trunk.weights=none"):
        ResNet50(weights="no/such/file.weights.h5").stages((64, 64, 3))


@pytest.mark.slow
def test_resnet_is_keras_own_with_its_preprocessing(tmp_path):
    shape = (64, 64, 3)
    model = keras.applications.ResNet50(False, None, input_shape=shape)
    path = tmp_path / "resnet.weights.h5"
    model.save_weights(path)
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype("float32")
    features = run(ResNet50(weights=str(path)).stages(shape), images)
    prepared = keras.applications.resnet50.preprocess_input(images.copy())
    np.testing.assert_allclose(
        features["P5"], model(prepared, training=False), rtol=1e-3, atol=1e-4
    )
