"""What holds for every sharing, on two trunks and under four kinds of task."""

import dataclasses
import functools
import inspect
import itertools
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import p5_keras as p5
from p5_keras.sharing import (
    CGC,
    MTAN,
    PLE,
    Branching,
    Cascade,
    CrossStitch,
    Hard,
    Hierarchical,
    MMoE,
    ResidualAdapters,
    Sluice,
)
from p5_keras.tasks import Classification, Detection, Regression, Segmentation
from p5_keras.weighting.step import Parts

SHAPE = (16, 16, 3)
# With and without a bottleneck under all four tasks.
WITH = {
    "hard": Hard(),
    "cascade-stopped": Cascade(stop=True),
    "cascade-decoded": Cascade(passes="decoded", reads={"size": ("kind", "mask")}),
    "mmoe": MMoE(experts=2),
    "ple": PLE(),
    "cgc": CGC(),
    "mtan": MTAN(),
    "branching": Branching(),
}
WITHOUT = {
    "adapters": ResidualAdapters(rank=2),
    "cascade": Cascade(),
    "cascade-features": Cascade(passes="features", width=3),
    "hierarchical": Hierarchical(),
    "cross-stitch": CrossStitch(),
    "sluice": Sluice(),
    "branching-groups": Branching(groups=(("kind", "mask"), ("boxes", "size"))),
}
ALL = WITH | WITHOUT
every = pytest.mark.parametrize("name", list(ALL))


OWN_LAYERS = ("cascade-decoded", "mtan", "ple", "cross-stitch", "sluice")


def grid(names, quick, values):
    """Parametrizes a test over all values; those that are not quick are slow."""
    marked = [
        pytest.param(*v, marks=[] if quick(*v) else pytest.mark.slow) for v in values
    ]
    return pytest.mark.parametrize(names, marked)


def resnet():
    """Two residual blocks, cut after each."""
    inputs = x = keras.Input(SHAPE)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    for level, width in (("P2", 4), ("P3", 6)):
        strides = 4 if level == "P2" else 2
        skip = layers.Conv2D(width, 1, strides, name=f"skip_{level}")(x)
        x = layers.Conv2D(width, 3, strides, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(width, 3, padding="same")(layers.ReLU()(x))
        x = layers.ReLU(name=f"end_{level}")(layers.Add()([x, skip]))
    return p5.trunks.Cut(keras.Model(inputs, x), {"P2": "end_P2", "P3": "end_P3"})


TRUNKS = {
    "conv": lambda: p5.trunks.Conv(4, 1, levels=3),
    "resnet": resnet,
}


def tasks():
    return [
        Classification("kind", num_classes=3),
        Segmentation("mask", num_classes=2, width=4),
        Detection("boxes", num_classes=2, max_boxes=2, width=4, depth=0, candidates=10),
        Regression("size", mean=[1.0], std=[2.0], hidden=3),
    ]


def build(name, trunk="conv"):
    """A model whose batch statistics and stitches are far from where they began."""
    keras.utils.set_random_seed(0)
    return p5.build_model(TRUNKS[trunk](), tasks(), SHAPE, sharing=ALL[name])


@functools.cache
def built(name):
    """The same on a convolutional trunk, for tests that do not train it."""
    return build(name)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (4, *SHAPE)).astype("float32")
    y = {
        "kind": rng.integers(0, 3, 4),
        "mask": rng.integers(0, 2, (4, 16, 16)),
        "boxes": np.tile(np.float32([[2, 2, 10, 10, 1], [0, 0, 0, 0, -1]]), (4, 1, 1)),
        "size": rng.normal(size=(4, 1)).astype("float32"),
    }
    return x, y


def assert_equal_outputs(ours, theirs):
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-4, atol=1e-5)


@grid(
    ("name", "trunk"),
    # Those that have layers of their own.
    lambda name, trunk: trunk == "resnet" and name in OWN_LAYERS,
    itertools.product(ALL, TRUNKS),
)
def test_trains_saves_and_loads(name, trunk, data, tmp_path):
    x, y = data
    model = build(name, trunk)
    model.compile("adam", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    for _ in range(2):
        logs = model.train_on_batch(x, y, return_dict=True)
    assert np.isfinite(logs["loss"])
    # Everything is reached by some loss, and moves.
    for old, v in zip(before, model.trainable_variables, strict=True):
        assert not np.array_equal(old, v), v.path
    outputs = model(x, training=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal_outputs(outputs, loaded(x, training=False))
    for part in ("shared_variables", "trunk_variables", "head_variables"):
        ours, theirs = getattr(model, part), getattr(loaded, part)
        assert [v.shape for v in theirs] == [v.shape for v in ours]
    assert (loaded.bottleneck is None) == (name in WITHOUT)


@pytest.mark.slow
@grid(
    ("name", "trunk"),
    lambda *case: case == ("mmoe", "resnet"),
    itertools.product(ALL, TRUNKS),
)
def test_trains_in_a_graph_and_exports(name, trunk, data, tmp_path):
    x, y = data
    model = build(name, trunk)
    model.compile("adam")
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()
    model.export(tmp_path, verbose=False)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    assert_equal_outputs(model(x, training=False), served(tf.constant(x)))


@every
def test_owners_are_whom_the_gradients_reach(name, data):
    model = built(name)
    variables = model.trainable_variables
    reached = {id(v): set() for v in variables}
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(data[0][:1], training=True)
        sums = {task: tf.reduce_sum(y) for task, y in outputs.items()}
    for task, total in sums.items():
        for v, g in zip(
            variables,
            tape.gradient(total, [v.value for v in variables]),
            strict=True,
        ):
            reached[id(v)] |= {task} if g is not None else set()
    shared = {id(v) for v in model.shared_variables}
    assert shared == {key for key, who in reached.items() if len(who) > 1}
    for task in model.task_names:
        own = {id(v) for v in model.variables_of(task)}
        assert own == {key for key, who in reached.items() if who == {task}}
    heads = {id(v) for v in model.head_variables}
    assert heads | {id(v) for v in model.trunk_variables} == set(reached)


class AtFrontier:
    """A model that is cut where shared layers end, bottleneck or not."""

    def __init__(self, model):
        self.bottleneck = [x for x, _ in model.task_graph.frontier().values()]
        self.input, self.inputs, self.output = model.input, model.inputs, model.output


@every
def test_gram_at_the_frontier(name, data):
    """Tasks fall into groups with products of 0, or there is a bottleneck."""
    model = built(name)
    with tf.GradientTape(persistent=True) as tape:
        outputs, cut = Parts(AtFrontier(model))(tf.constant(data[0]), tape)
        sums = [tf.reduce_sum(outputs[task] ** 2) for task in model.task_names]
    rows = []
    for total in sums:
        found = tape.gradient(
            total, cut.leaves, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        rows.append(tf.concat([tf.reshape(g, [-1]) for g in found], 0))
    gram = np.array(tf.stack(rows) @ tf.transpose(tf.stack(rows)))
    assert (np.diag(gram) > 0).all()
    linked = np.linalg.matrix_power((gram != 0).astype(int), len(gram)) > 0
    # Adapters: all meet at the first stage, and share the weights of later ones.
    assert linked.all() == (name in WITH or name == "adapters")
    if name in ("cross-stitch", "sluice"):
        np.testing.assert_array_equal(gram, np.diag(np.diag(gram)))
    assert (model.bottleneck is None) == (name in WITHOUT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ones(p5.weighting.GramWeighting):
    """The plain sum of the losses, by way of everything that a Gram matrix needs."""

    def solve(self, gram, losses, present, clock, seed, state):
        return tf.cast(present, gram.dtype), state


@grid(
    ("name", "source"),
    lambda name, source: source == "features",
    [
        *itertools.product(ALL, ["full"]),
        *itertools.product(WITH, ["features", "last_shared"]),
    ],
)
def test_weights_of_one_are_the_plain_sum(name, source, data):
    x, y = data
    model, found = build(name), []
    start = model.get_weights()
    for weighting in (None, Ones(gradients=source)):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.01), weighting=weighting, run_eagerly=True)
        model.train_on_batch(x, y)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("source", ["full", "features", "last_shared"])
def test_a_cascade_of_two_has_a_bottleneck(source):
    """The output of the first task is what the second reads."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5)), {"a": np.ones((8, 1)), "b": np.zeros((8, 1))}
    chosen = [Regression(name, mean=[0.0], std=[1.0]) for name in y]
    found = []
    for weighting in (None, Ones(gradients=source)):
        keras.utils.set_random_seed(0)
        trunk = p5.trunks.Dense([4])
        model = p5.build_model(trunk, chosen, (5,), sharing=Cascade())
        model.compile(keras.optimizers.SGD(0.1), weighting=weighting, run_eagerly=True)
        model.train_on_batch(x, y)
        found.append([v.numpy() for v in model.variables])
    assert [x.shape for x in model.bottleneck] == [(None, 4), (None, 1)]
    assert len(model.shared_variables) == 4
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(WITHOUT))
def test_gradients_at_features_without_a_bottleneck_are_refused(name):
    model = built(name)
    message = r"MGDA with gradients='features' needs features .* Use a weighting with "
    with pytest.raises(ValueError, match=message):
        model.compile(weighting=p5.weighting.MGDA(gradients="features"))
    with pytest.raises(ValueError, match="GradDrop with gradients='features'"):
        model.compile(weighting=p5.weighting.GradDrop())
    model.compile(weighting=p5.weighting.MGDA())


WEIGHTINGS = [
    made
    for n in p5.weighting.__all__
    if isinstance(made := getattr(p5.weighting, n), type)
    and issubclass(made, p5.weighting.Weighting)
    and made not in (p5.weighting.Weighting, p5.weighting.GramWeighting)
]


def takes_features(kind):
    return getattr(kind, "gradients", "full") != "full"


@grid(
    ("kind", "sharing"),
    lambda kind, sharing: sharing == (MMoE if takes_features(kind) else CrossStitch),
    [
        (kind, sharing)
        for kind, sharing in itertools.product(WEIGHTINGS, (MMoE, Cascade, CrossStitch))
        if sharing is not CrossStitch or not takes_features(kind)
    ],
)
def test_every_weighting_trains_columns_and_experts(kind, sharing):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 5)).astype("float32")
    y = {"a": rng.normal(size=(8, 1)), "b": rng.normal(size=(8, 1))}
    chosen = [Regression(name, mean=[0.0], std=[1.0]) for name in y]
    needs = {"primary": "a"} if kind is p5.weighting.CosineGate else {}
    model = p5.build_model(p5.trunks.Dense([4]), chosen, (5,), sharing=sharing())
    model.compile("adam", weighting=kind(**needs), run_eagerly=True)
    losses = [model.train_on_batch(x, y, return_dict=True) for _ in range(3)]
    assert np.isfinite([list(logs.values()) for logs in losses]).all()


@every
def test_summary_names_every_layer(name):
    model, lines = built(name), []
    model.summary(line_length=200, print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert all(layer.name in text for layer in model.layers)
    assert all(layer.name in text for layer in map(model.get_layer, model.task_names))


@every
def test_plot_has_a_node_for_every_layer(name):
    pytest.importorskip("pydot")
    model = built(name)
    dot = keras.utils.model_to_dot(model, show_layer_names=True)
    text = dot.to_string()
    assert all(layer.name in text for layer in model.layers)
    # The heads, and the gates, read something.
    read = {edge.get_destination() for edge in dot.get_edges()}
    assert {str(id(model.get_layer(task))) for task in model.task_names} <= read


@grid("name", lambda name: name == "ple", [(name,) for name in ALL])
def test_plot(name, tmp_path):
    pytest.importorskip("pydot")
    if shutil.which("dot") is None:
        pytest.skip("no graphviz")
    plot, path = keras.utils.plot_model, tmp_path / "model.png"
    # Graphviz cannot draw every layout with the orthogonal lines that Keras asks for.
    lines = (
        {"splines": "line"} if "splines" in inspect.signature(plot).parameters else {}
    )
    plot(built(name), path, expand_nested=bool(lines), **lines)
    assert path.read_bytes().startswith(b"\x89PNG")


@grid(
    ("name", "levels"),
    lambda name, levels: levels == 2,
    [("mtan", 2), ("mtan", 3), ("cross-stitch", 3), ("ple", 3)],
)
def test_two_replicas_train_as_one_device(name, levels, two_replicas):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (8, *SHAPE)).astype("float32")
    y = {"a": rng.normal(size=(8, 1)), "b": rng.integers(0, 3, 8)}
    y["b"][:5] = -1
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            chosen = [
                Regression("a", mean=[0.0], std=[1.0]),
                Classification("b", num_classes=3),
            ]
            trunk = p5.trunks.Conv(2, 1, levels=levels)
            model = p5.build_model(trunk, chosen, SHAPE, sharing=ALL[name])
            model.compile(keras.optimizers.SGD(0.05))
        weight = {"a": np.ones(8), "b": (y["b"] >= 0).astype("float32")}
        labels = {"a": y["a"], "b": np.maximum(y["b"], 0)}
        batches = tf.data.Dataset.from_tensor_slices((x, labels, weight)).batch(8)
        logs = model.fit(batches, epochs=2, verbose=0).history
        found.append(([v.numpy() for v in model.variables], logs))
    (one, logs), (two, logs2) = found
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    assert set(logs) == set(logs2)
    for key, value in logs.items():
        np.testing.assert_allclose(logs2[key], value, rtol=1e-4, atol=1e-5)
    gates = sorted(key for key in logs if key.startswith("gate/"))
    assert bool(gates) == (name == "ple")


@pytest.mark.parametrize("name", ["cascade-decoded", "mtan", "ple", "sluice"])
def test_half_precision(name, data, bfloat16):
    x, y = data
    model = build(name)
    model.compile("adam", run_eagerly=True)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert {y.dtype for y in model.output.values()} == {"float32"}


@pytest.mark.slow
def test_a_real_resnet(tmp_path):
    """Two columns of ResNet-50, cut at four places and stitched at each."""
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    y = {"mask": np.zeros((2, 64, 64), "int32"), "size": np.ones((2, 1), "float32")}
    chosen = [
        Segmentation("mask", num_classes=2, width=4),
        Regression("size", mean=[0.0], std=[1.0]),
    ]
    model = p5.build_model(
        p5.trunks.ResNet50(), chosen, (64, 64, 3), sharing=CrossStitch()
    )
    model.compile(keras.optimizers.SGD(1e-3))
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(1)
    assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()
    outputs = model(x, training=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal_outputs(outputs, loaded(x, training=False))
    p5.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(tmp_path / "export").signatures["raw"]
    for name, value in served(tf.constant(x)).items():
        # Two steps leave the statistics far off, and outputs of 10^8.
        scale = float(np.abs(outputs[name]).max())
        np.testing.assert_allclose(value / scale, outputs[name] / scale, atol=1e-4)
