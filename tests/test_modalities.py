"""Text, sound, tables and several of them, under every sharing, saved and served."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5

WORDS = ["play a song", "what is the weather", "play jazz", "rain or sun ?"] * 3
CLASSES = np.array([0, 1, 0, 1] * 3)


def text(name="said"):
    made = p5.inputs.Text(name, length=5)
    made.adapt({name: np.array(WORDS)})
    return made


def table(name="age"):
    made = p5.inputs.Table({name: "number", f"{name} of": "category"})
    made.adapt({name: np.arange(12.0), f"{name} of": np.array(list("abcabcabcabc"))})
    return made


CONV = p5.trunks.TextConv(8, depth=2)
DENSE = p5.trunks.TabularDense([8], embedding=2)
SOUND = p5.inputs.Waveform(rate=1000, seconds=0.5)
CASES = {
    "conv": (CONV, {"text": text()}),
    "rnn": (p5.trunks.TextRNN(8, token_dropout=0.1), {"text": text()}),
    "transformer": (p5.trunks.TextTransformer(8, depth=1, heads=2), {"text": text()}),
    "sound": (p5.trunks.AudioConv(4, depth=2, bands=8), {"sound": SOUND}),
    "table": (DENSE, {"table": table()}),
    "several": (
        p5.trunks.MultiInput({"text": CONV, "table": DENSE}, units=[8]),
        {"text": text(), "table": table()},
    ),
    "towers": (
        p5.trunks.TwoTower(DENSE, DENSE, units=[8]),
        {"user": table("user"), "item": table("item")},
    ),
}
RAW = {
    "said": np.array(WORDS, object),
    "waveform": np.random.default_rng(0).normal(0, 0.1, (12, 500)).astype("float32"),
    **{n: np.arange(12, dtype="float32") for n in ("age", "user", "item")},
    **{f"{n} of": np.array(list("abc?abc?abc?")) for n in ("age", "user", "item")},
}


def tasks():
    return [
        p5.tasks.Classification("kind", num_classes=2),
        p5.tasks.Regression("size", mean=[0.0], std=[1.0]),
    ]


def source(encoders):
    columns = {c: RAW[c] for e in encoders.values() for c in e.specs()}
    examples = {
        "input": {name: tf.constant(values) for name, values in columns.items()},
        "kind": tf.constant(CLASSES),
        "size": tf.constant(CLASSES * 2.0 - 1, tf.float32),
    }

    def read(indices, epochs):
        return tf.nest.map_structure(lambda t: tf.gather(t, indices), examples)

    return p5.data.Source(12, read, encoders=encoders)


def built(case, sharing=None, **arguments):
    trunk, encoders = CASES[case]
    model = p5.build_model(trunk, tasks(), encoders, sharing=sharing)
    model.compile(keras.optimizers.Adam(1e-2), **arguments)
    return model


def batches(case):
    return p5.data.training(source(CASES[case][1]), tasks(), 12, seed=0)


@pytest.mark.parametrize("case", CASES)
def test_the_shapes_of_batches_are_known(case):
    for dataset in (
        batches(case),
        p5.data.evaluation(source(CASES[case][1]), tasks(), 4),
    ):
        specs = tf.nest.flatten(dataset.element_spec)
        assert all(spec.shape.is_fully_defined() for spec in specs)


@pytest.mark.parametrize("case", CASES)
def test_it_learns_and_comes_back(case, tmp_path):
    model = built(case)
    data = batches(case)
    first, last = (
        model.fit(data, steps_per_epoch=n, epochs=1, verbose=0).history["loss"][0]
        for n in (1, 30)
    )
    assert last < first
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert {n: e.get_config() for n, e in again.encoders.items()} == {
        n: e.get_config() for n, e in model.encoders.items()
    }
    (x, _, _) = next(iter(data))
    for name, value in model(x).items():
        np.testing.assert_allclose(again(x)[name], value, rtol=1e-5, atol=1e-6)


SHARINGS = [
    p5.sharing.CrossStitch(),
    p5.sharing.Sluice(),
    p5.sharing.MMoE(experts=2),
    p5.sharing.CGC(),
    p5.sharing.PLE(units=(8,)),
    p5.sharing.Branching(),
]


@pytest.mark.parametrize("sharing", SHARINGS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("case", ["conv", "sound", "table", "several"])
def test_every_sharing(case, sharing):
    if isinstance(sharing, p5.sharing.Sluice) and case in ("sound", "table"):
        pytest.skip("a spectrogram has one channel, a table any number")
    model = built(case, sharing)
    logs = model.fit(batches(case), steps_per_epoch=1, epochs=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


def test_gates_do_not_decide_on_numbers_of_tokens():
    with pytest.raises(ValueError, match="Gates decide on numbers: of a trunk that"):
        built("conv", p5.sharing.PLE(levels=3))


@pytest.mark.parametrize("name", ["NashMTL", "PCGrad", "UncertaintyWeighting"])
@pytest.mark.parametrize("case", ["rnn", "sound", "table", "several"])
def test_weightings(case, name):
    model = built(case, weighting=getattr(p5.weighting, name)())
    logs = model.fit(batches(case), steps_per_epoch=2, epochs=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


@pytest.mark.parametrize("case", ["table", "transformer"])
def test_half_precision_does_not_spoil_what_is_read(case, bfloat16):
    model = built(case)
    logs = model.fit(batches(case), steps_per_epoch=2, epochs=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


SERVE = """
import sys
import numpy as np
import tensorflow as tf

raw = np.load(sys.argv[2], allow_pickle=True)
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = served(**{name: tf.constant(raw[name]) for name in raw.files})
assert "p5_keras" not in sys.modules
np.savez(sys.argv[3], **{name: value.numpy() for name, value in found.items()})
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["rnn", "sound", "several"])
def test_raw_values_are_served_without_the_package(case, tmp_path):
    model = built(case)
    p5.export.saved_model(model, tmp_path / "export")
    x, _, _ = next(iter(p5.data.evaluation(source(model.encoders), tasks(), 12)))
    columns = [c for e in model.encoders.values() for c in e.specs()]
    raw = {c.replace(" ", "_"): RAW[c] for c in columns}
    np.savez(tmp_path / "raw.npz", **raw)
    files = [str(tmp_path / name) for name in ("export", "raw.npz", "out.npz")]
    subprocess.run([sys.executable, "-c", SERVE, *files], check=True, cwd=tmp_path)
    found = np.load(tmp_path / "out.npz")
    wanted = model.decode(model(x, training=False))
    assert set(found.files) == {"kind_label", "kind_probabilities", "size_value"}
    np.testing.assert_allclose(found["size_value"], wanted["size"]["value"], atol=1e-5)
    compared = p5.export.compare(
        model,
        tmp_path / "export",
        p5.data.evaluation(source(model.encoders), tasks(), 4),
    )
    assert compared["size_value"]["difference"] < 1e-5


def test_wav_files_are_served(tmp_path):
    model = built("sound")
    p5.export.saved_model(model, tmp_path)
    serve = tf.saved_model.load(str(tmp_path)).signatures["serve_wav_bytes"]
    sound = np.rint(RAW["waveform"][0] * 32767) / 32768
    wav = tf.audio.encode_wav(sound[:400, None], 1000).numpy()
    other = tf.audio.encode_wav(sound[:400, None], 2000).numpy()
    found = serve(wav_bytes=tf.constant([b"no sound", wav, other]))
    assert found["ok"].numpy().tolist() == [False, True, False]
    x = np.pad(sound[:400], (0, 100)).astype("float32")[None]
    wanted = model.decode(model(x, training=False))["size"]["value"]
    np.testing.assert_allclose(found["size_value"][1:2], wanted, atol=1e-3)


def test_columns_that_would_have_one_name(tmp_path):
    made = p5.inputs.Table({"a b": "number", "a-b": "number"})
    made.adapt({"a b": np.arange(3.0), "a-b": np.arange(3.0)})
    model = p5.build_model(DENSE, tasks(), {"table": made})
    with pytest.raises(ValueError, match="must differ in more than signs"):
        p5.export.saved_model(model, tmp_path)


def test_a_trunk_of_another_input():
    with pytest.raises(ValueError, match="AudioConv reads one Waveform; several"):
        p5.build_model(CASES["sound"][0], tasks(), {"text": text()})


def test_a_task_of_sequences_on_a_table():
    with pytest.raises(ValueError) as error:
        p5.build_model(DENSE, [p5.tasks.Tagging("tag", num_classes=3)], {"t": table()})
    assert str(error.value) == (
        "Task 'tag' reads the feature 'sequence', which the trunk lacks. "
        "Received: features=['columns', 'vector']"
    )


def test_padding_does_not_change_a_pooled_vector():
    from p5_keras.trunks.sequence import SequencePool

    x = np.array([[[1.0, -2.0], [3.0, -4.0], [0.0, 0.0]]], "float32")
    wanted = [[2.0, -3.0, 3.0, -2.0]]
    np.testing.assert_allclose(SequencePool()(x), wanted)
    np.testing.assert_allclose(SequencePool()(0 * x), [[0.0] * 4])


def test_spec_augment_blanks_runs_while_training():
    layer = p5.trunks.audio.SpecAugment(frames=4, bands=2)
    x = np.ones((8, 30, 10), "float32")
    np.testing.assert_array_equal(layer(x), x)
    found = np.array(layer(x, training=True))
    assert set(np.unique(found)) == {0.0, 1.0}
    blank = (found == 0).all(axis=2).sum(axis=1)  # whole frames
    assert 0 < blank.max() <= 8 and (found[0] != found[1]).any()
