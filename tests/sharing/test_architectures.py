"""What is special of each sharing: values by hand, wiring, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5
from p5_keras.sharing import (
    CGC,
    MTAN,
    PLE,
    Branching,
    Cascade,
    CrossStitch,
    Gate,
    Hard,
    Hierarchical,
    Mixture,
    MMoE,
    Sluice,
    Stitch,
)
from p5_keras.sharing.graph import TaskGraph
from p5_keras.sharing.maps import fit
from p5_keras.tasks import Classification, Detection, Regression, Segmentation

SHAPE = (16, 16, 1)


def regressions(*names):
    return [Regression(name, mean=[0.0], std=[1.0]) for name in names]


def conv(levels=4):
    return p5.trunks.Conv(2, 1, "none", levels=levels)


def build(sharing, tasks=None, trunk=None, shape=SHAPE):
    tasks = tasks or regressions("a", "b")
    return p5.build_model(trunk or conv(), tasks, shape, sharing=sharing)


def names(model, start):
    return sorted(x.name for x in model.layers if x.name.startswith(start))


# Layers by hand.


def test_stitch_by_hand():
    layer = Stitch(same=0.9)
    a, b = np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])
    first, second = layer([a, b])
    np.testing.assert_allclose(first, [[0.9 * 1 + 0.1 * 10, 0.9 * 2 + 0.1 * 20]])
    np.testing.assert_allclose(second, [[0.1 * 1 + 0.9 * 10, 0.1 * 2 + 0.9 * 20]])
    layer.stitch.assign([1.0, 2.0, 3.0, 4.0])
    first, second = layer([a, b])
    np.testing.assert_allclose(first, 1 * a + 2 * b)
    np.testing.assert_allclose(second, 3 * a + 4 * b)


def test_stitch_of_three_spreads_the_rest_evenly():
    layer = Stitch(same=0.8)
    layer([np.ones((1, 1))] * 3)
    alpha = np.array(layer.stitch).reshape(3, 3)
    np.testing.assert_allclose(alpha, 0.7 * np.eye(3) + 0.1, rtol=1e-6)


def test_stitch_per_channel_by_hand():
    layer = Stitch(per_channel=True)
    x = [np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]
    layer(x)
    assert layer.stitch.shape == (2 * 2 * 2,)
    # α_ij of channel c: [[[1, 0], [0, 1]], [[0, 0], [1, 2]]].
    layer.stitch.assign([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 2.0])
    first, second = layer(x)
    np.testing.assert_allclose(first, [[1.0, 20.0]])
    np.testing.assert_allclose(second, [[10.0, 40.0]])


def test_subspaces_by_hand():
    layer = Stitch(subspaces=2)
    x = [np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[5.0, 6.0, 7.0, 8.0]])]
    layer(x)
    alpha = np.zeros((4, 4))  # rows and columns: a's first half, its second, b's
    alpha[0, 3] = 1.0  # a's first half becomes b's second
    alpha[1, 1] = 2.0
    alpha[2, 0] = alpha[2, 1] = 1.0  # b's first half: both of a's added up
    layer.stitch.assign(alpha.ravel())
    first, second = layer(x)
    np.testing.assert_allclose(first, [[7.0, 8.0, 6.0, 8.0]])
    np.testing.assert_allclose(second, [[4.0, 6.0, 0.0, 0.0]])


def test_mixture_by_hand():
    weights = np.array([[0.25, 0.75], [1.0, 0.0]])
    one, two = np.ones((2, 1, 2)), np.full((2, 1, 2), 5.0)
    found = Mixture()([weights, one, two])
    np.testing.assert_allclose(found, [[[4.0, 4.0]], [[1.0, 1.0]]])


def test_gate_by_hand_and_its_means():
    gate = Gate("a", ["x", "y"])
    gate.build((None, 1))
    gate.dense.kernel.assign([[0.0, np.log(3.0)]])
    inputs = np.array([[0.0], [1.0]])
    np.testing.assert_allclose(gate(inputs), [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    assert [float(m.result()) for m in gate.metrics] == [0.0, 0.0]
    gate(inputs, training=True)
    assert [m.name for m in gate.metrics] == ["gate/a/x", "gate/a/y"]
    means = [float(m.result()) for m in gate.metrics]
    np.testing.assert_allclose(means, [0.375, 0.625], rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        Stitch(same=0.8, subspaces=2, per_channel=True, name="s"),
        Gate("a", ["x", "y"], name="g"),
        Mixture(name="m"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configs_of_layers(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("shape", [(3,), (5, 3), (8, 6, 3)])
@pytest.mark.parametrize("like", [(4,), (7, 4), (4, 3, 4), (5, 5, 4)])
def test_fit_gives_the_positions(shape, like):
    found = fit(keras.Input(shape), keras.Input(like))
    assert found.shape[1:-1] == like[:-1]
    assert found.shape[-1] == 3


def test_fit_by_hand():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    inputs = keras.Input((4, 4, 1))
    halved = keras.Model(inputs, fit(inputs, keras.Input((2, 2, 1))))
    np.testing.assert_allclose(halved(x)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])
    doubled = keras.Model(inputs, fit(inputs, keras.Input((8, 8, 1))))
    np.testing.assert_allclose(doubled(x)[0, :2, :2, 0], 0)
    vector = keras.Model(inputs, fit(inputs, keras.Input((5,))))
    np.testing.assert_allclose(vector(x), [[7.5]])
    boxes = keras.Input((4, 1))
    best = keras.Model(boxes, fit(boxes, keras.Input((5,))))
    np.testing.assert_allclose(best(x[:, :, 0]), [[12.0]])


# Whole models.


def test_hard_is_the_default():
    found = []
    for sharing in (None, Hard()):
        keras.utils.set_random_seed(0)
        found.append([np.array(v) for v in build(sharing).variables])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mmoe_on_a_dense_trunk_by_hand():
    """The paper's model: experts and gates on the input, a tower a task."""
    model = build(MMoE(experts=2), trunk=p5.trunks.Dense([3]), shape=(4,))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    experts = []
    for i in range(2):
        kernel, bias = model.get_layer(f"trunk_shared{i}_vector").get_weights()
        experts.append(np.maximum(x @ kernel + bias, 0))
    outputs = model(x, training=False)
    for task in "ab":
        logits = np.exp(x @ model.get_layer(f"gate_{task}").get_weights()[0])
        weights = logits / logits.sum(-1, keepdims=True)
        vector = sum(weights[:, [i]] * experts[i] for i in range(2))
        kernel, bias = model.get_layer(task).get_weights()
        np.testing.assert_allclose(outputs[task], vector @ kernel + bias, rtol=1e-4)


def test_gate_means_are_in_the_logs_of_training_alone():
    model = build(MMoE(experts=2), trunk=p5.trunks.Dense([3]), shape=(4,))
    model.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    y = {"a": np.ones((8, 1)), "b": np.ones((8, 1))}
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    logs = model.fit(data, validation_data=data, verbose=0).history
    gate = model.get_layer("gate_a")(x)
    for i in range(2):
        mean = np.mean(gate[:, i])
        assert logs[f"gate/a/shared{i}"][0] == pytest.approx(mean, rel=1e-4)
    assert not [key for key in logs if key.startswith("val_gate")]
    assert "gate/a/shared0" not in model.evaluate(data, return_dict=True, verbose=0)


def test_mtan_masks_by_hand():
    model = build(MTAN())
    x = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")
    for layer in (model.get_layer(f"mask_a_P{k}").get_layer("mask") for k in (2, 3, 4)):
        layer.kernel.assign(np.zeros(layer.kernel.shape))
        layer.bias.assign(np.full(layer.bias.shape, np.log(3.0)))
    feature = x
    for k in (2, 3, 4):
        feature = model.get_layer(f"trunk_P{k}")(feature)
    masked = keras.Model(model.input, model.get_layer("masked_a_P4").output)(x)
    np.testing.assert_allclose(masked, 0.75 * np.array(feature), rtol=1e-5)


def test_experts_and_gates_of_ple():
    model = build(PLE(levels=2, shared=2, own=1))
    experts = [
        f"trunk_{e}_P{k}" for e in ("a0", "b0", "shared0", "shared1") for k in "34"
    ]
    assert names(model, "trunk") == sorted(["trunk_P2", *experts])
    gates = ["gate_a_0", "gate_a_1", "gate_b_0", "gate_b_1", "gate_shared_0"]
    assert names(model, "gate") == gates
    assert model.get_layer("gate_a_1").experts == ["shared0", "shared1", "a0"]
    seen = ["shared0", "shared1", "a0", "b0"]
    assert model.get_layer("gate_shared_0").experts == seen
    one = build(CGC())
    assert names(one, "gate") == ["gate_a", "gate_b"]
    # At the last level a task's own experts are its alone.
    own = {id(v) for v in model.variables_of("a")}
    assert own >= {id(v) for v in model.get_layer("trunk_a0_P4").trainable_variables}
    shared = {id(v) for v in model.shared_variables}
    assert shared >= {id(v) for v in model.get_layer("trunk_a0_P3").trainable_variables}


def test_dense_experts():
    sharing = PLE(levels=3, units=(5, 4))
    model = build(sharing, trunk=p5.trunks.Dense([6]), shape=(3,))
    assert model.get_layer("mixture_a_2").output.shape == (None, 4)
    model = build(MMoE(units=(5,)))
    assert model.get_layer("mixture_a").output.shape == (None, 5)
    assert names(model, "trunk") == ["trunk_P2", "trunk_P3", "trunk_P4"]


def test_columns_begin_apart_and_a_cut_trunk_keeps_its_weights():
    inputs = keras.Input((3,))
    net = keras.Model(inputs, keras.layers.Dense(2, name="end")(inputs))
    model = build(CrossStitch(), trunk=p5.trunks.Cut(net, {"v": "end"}), shape=(3,))
    first, second = (model.get_layer(f"trunk_{t}_v").get_weights()[0] for t in "ab")
    np.testing.assert_array_equal(first, net.get_layer("end").get_weights()[0])
    assert not np.array_equal(first, second)


def test_stitches_are_no_kernels():
    model = build(Sluice())
    model = p5.build_model(
        conv(), regressions("a", "b"), SHAPE, trunk_l2=0.5, sharing=Sluice()
    )
    model.compile("sgd")
    found = float(model.penalty())
    kernels = [v for v in model.trunk_variables if len(v.shape) > 1]
    total = 0.5 * sum(float(np.sum(np.array(v) ** 2)) for v in kernels)
    assert found == pytest.approx(total, rel=1e-5)
    assert not any("stitch" in v.path for v in kernels)


def test_hierarchical_depths():
    sharing = Hierarchical(depths={"a": "P2", "b": "P4"})
    model = build(sharing)
    widths = [model.get_layer(t).inputs[0].shape[-1] for t in "ab"]
    assert widths == [4, 16]
    # The stages beyond `a` are b's alone, and the bottleneck is where `a` reads.
    assert len(model.shared_variables) == 6
    assert [x.shape[1:] for x in model.bottleneck] == [(4, 4, 4)]
    spread = build(Hierarchical(), regressions("a", "b", "c"))
    widths = [spread.get_layer(t).inputs[0].shape[-1] for t in "abc"]
    assert widths == [4, 8, 16]
    many = build(Hierarchical(), regressions("a", "b", "c", "d", "e"))
    widths = [many.get_layer(t).inputs[0].shape[-1] for t in "abcde"]
    assert widths == sorted(widths) and widths[-1] == 16


def test_branches():
    tasks = regressions("a", "b", "c")
    model = build(Branching(after="P2", groups=(("a", "c"), ("b",))), tasks)
    stages = ["trunk_P2", "trunk_a_P3", "trunk_a_P4", "trunk_b_P3", "trunk_b_P4"]
    assert names(model, "trunk") == stages
    assert model.bottleneck is None
    apart = build(Branching(after="input"))
    assert apart.shared_variables == [] and apart.bottleneck is None
    assert len(names(apart, "trunk")) == 6


def test_cascade_reads_what_it_is_told():
    tasks = regressions("a", "b", "c")
    model = build(Cascade(reads={"a": ("c",), "b": ("a", "c")}), tasks)
    assert list(model.output) == ["a", "b", "c"]
    widths = {t: model.get_layer(t).inputs[0].shape[-1] for t in "abc"}
    assert widths == {"a": 17, "b": 18, "c": 16}


def test_cascade_by_hand():
    trunk = p5.trunks.Dense([3])
    model = build(Cascade(), trunk=trunk, shape=(2,))
    x = np.array([[1.0, -2.0]], "float32")
    kernel, bias = model.get_layer("trunk_vector").get_weights()
    vector = np.maximum(x @ kernel + bias, 0)
    kernel, bias = model.get_layer("a").get_weights()
    first = vector @ kernel + bias
    kernel, bias = model.get_layer("b").get_weights()
    second = np.concatenate([vector, first], -1) @ kernel + bias
    np.testing.assert_allclose(model(x)["b"], second, rtol=1e-5)


def test_decoded_cascade_passes_probabilities_and_values():
    tasks = [Classification("a", num_classes=3), Regression("b", mean=[5.0], std=[2.0])]
    sharing = Cascade(passes="decoded", reads={"b": ("a",)})
    model = build(sharing, tasks, p5.trunks.Dense([2]), (2,))
    x = np.ones((1, 2), "float32")
    passed = keras.Model(model.input, model.get_layer("decoded_a").output)(x)
    logits = np.exp(np.array(model(x)["a"]))
    np.testing.assert_allclose(passed, logits / logits.sum(), rtol=1e-5)
    sharing = Cascade(passes="decoded", reads={"a": ("b",)})
    model = build(sharing, tasks, p5.trunks.Dense([2]), (2,))
    passed = keras.Model(model.input, model.get_layer("decoded_b").output)(x)
    np.testing.assert_allclose(passed, 5 + 2 * np.array(model(x)["b"]), rtol=1e-5)


def test_one_task_is_no_trouble():
    for sharing in (Hard(), Cascade(), CrossStitch(), Sluice(), MMoE(), PLE(), MTAN()):
        model = build(sharing, regressions("a"))
        assert len(model.shared_variables) > 0
        assert {id(v) for v in model.variables_of("a")} == {
            id(v) for v in model.head_variables
        }
        assert model.bottleneck


def test_a_stopped_path_ends_and_what_lies_beyond_is_no_ones():
    inputs = keras.Input((2,))
    beyond = keras.layers.Dense(2, name="beyond")(inputs)
    stopped = p5.sharing.StopGradient()(beyond)
    outputs = {t: keras.layers.Dense(1, name=t)(stopped) for t in "ab"}
    graph = TaskGraph(outputs)
    kernel = beyond._keras_history.operation.kernel
    assert graph.owners()[id(kernel)] == set()
    assert graph.bottleneck() is None


# What is refused.

MAP = [Segmentation("m", num_classes=2, width=2), *regressions("a")]
BOXES = [Detection("d", num_classes=1, width=2, depth=0), *regressions("a")]
DENSE = p5.trunks.Dense([4])


@pytest.mark.parametrize(
    ("sharing", "tasks", "trunk", "message"),
    [
        (MTAN(), None, DENSE, "MTAN masks maps: it needs a trunk with maps"),
        (MMoE(units=(4,)), MAP, None, "answers with a map and needs a trunk with maps"),
        (PLE(units=(4,)), BOXES, None, "needs a trunk with maps of a fixed size"),
        (Hierarchical(), None, DENSE, "needs a trunk of two stages or more"),
        (
            Hierarchical(depths={"a": "P2", "b": "P9"}),
            None,
            None,
            r"`depths` must be a feature of the trunk. .* Received: 'b': 'P9'",
        ),
        (Hierarchical(depths={"a": "P2"}), None, None, r"Missing: \['b'\]"),
        (PLE(levels=4), None, None, "`levels` must not exceed .* levels=4"),
        (PLE(), None, DENSE, "`levels` must not exceed .* levels=2"),
        (PLE(levels=0), None, None, "one level and one shared expert .* levels=0"),
        (MMoE(experts=1), None, None, "two experts in all.* shared=1"),
        (Sluice(subspaces=3), None, None, "`subspaces` must divide .*=3; 4 channels"),
        (
            Branching(after="P4"),
            None,
            None,
            "`after` must be 'input' or a feature .* Received: after='P4'",
        ),
        (
            Branching(groups=(("a",), ("a", "b"))),
            None,
            None,
            "`groups` must name every task once",
        ),
        (Cascade(passes="boxes"), None, None, "`passes` must be one of .*'boxes'"),
        (
            Cascade(reads={"a": ("b",), "b": ("a",)}),
            None,
            None,
            "must not go round in a circle. Received: [ab] reads [ab] reads [ab]",
        ),
        (Cascade(reads={"a": ("z",)}), None, None, "`reads` must name tasks.*'z'"),
        (
            Cascade(passes="decoded"),
            BOXES,
            None,
            "decodes to a vector or a map, and a list of boxes is neither",
        ),
    ],
)
def test_refused(sharing, tasks, trunk, message):
    with pytest.raises(ValueError, match=message):
        build(sharing, tasks, trunk, (4,) if trunk is DENSE else SHAPE)


def test_a_task_named_like_a_layer_of_the_sharing_is_refused():
    with pytest.raises(ValueError, match="must differ from the trunk's layers"):
        build(MMoE(), regressions("gate_b", "b"))
