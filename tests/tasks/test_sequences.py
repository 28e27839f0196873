"""Tasks that answer with a sequence: Transcription and Seq2Seq."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import p5_keras as p5
from p5_keras.predict import plain
from p5_keras.tasks.seq2seq import AttentionDecoder
from p5_keras.tasks.transcription import BlankPadding

ABC = list("abc")


def logits(*paths, classes=4):
    """Outputs in which a class has probability 0.97 at each step."""
    p = 0.97 * np.eye(classes)[np.array(paths)] + 0.01
    return tf.constant(np.log(p), tf.float32)


class Steps(p5.Trunk):
    """Sequences as they are, but for one layer."""

    def stages(self, input_shape):
        inputs = keras.Input(input_shape)
        x = layers.Dense(8, use_bias=False, activation="tanh")(inputs)
        return {"sequence": keras.Model(inputs, x)}


def model_of(*tasks, steps=6):
    return p5.build_model(Steps(), list(tasks), (steps, 3))


def transcription(**kwargs):
    return p5.tasks.Transcription("said", class_names=ABC, **kwargs)


def seq2seq(**kwargs):
    given = {"class_names": ABC, "length": 3, "units": 5, **kwargs}
    return p5.tasks.Seq2Seq("answer", **given)


# Labels


def test_texts_become_ids():
    names, ids = p5.data.text_column(["bca", "", "cc"])
    assert names == ("a", "b", "c")
    assert ids.tolist() == [[1, 2, 0], [-1, -1, -1], [2, 2, -1]]
    names, ids = p5.data.text_column([["zero", "one"]], 3, ["one", "zero"])
    assert (names, ids.tolist()) == (("one", "zero"), [[1, 0, -1]])
    for text, word in (("ad", "with 'd'$"), ("abab", "'abab', of 4$")):
        with pytest.raises(ValueError, match=f"at most 3 symbols.*{word}"):
            p5.data.text_column([text], 3, ABC)


def test_labels_of_a_wrong_form():
    for label, found in (([1, 2], r"\(\) int32"), ([["a"]], r"\(1,\) string")):
        with pytest.raises(ValueError, match=f"see `p5.data.text_column`.*{found}"):
            transcription().target({"said": tf.constant(label)})
    with pytest.raises(ValueError, match=r"'answer' must have the shape \(3,\)"):
        seq2seq().target({"answer": tf.constant([[1, 2]])})
    with pytest.raises(ValueError, match="`length` and `units` must be at least 1"):
        seq2seq(units=0)


def test_a_label_that_is_too_long_for_the_steps():
    message = "'said' reads must have a step.*Received: 4 steps, and a label that nee"
    label, weight = np.array([[0, 0, 1, 1], [0, 1, 2, -1]]), np.ones(2)
    task = transcription()
    task.check(label, weight * [0, 1])
    model_of(task, steps=4)
    with pytest.raises(ValueError, match=f"{message}ds 6"):
        task.check(label, weight)
    task = transcription()
    task.check(label, weight)  # before the model is there
    with pytest.raises(ValueError, match=f"{message}ds 6"):
        model_of(task, steps=4)


# Decoding


def test_the_best_path_without_blanks_and_repeats():
    fields = transcription().decode(
        logits([0, 0, 3, 0, 1], [3, 3, 2, 2, 2], [3] * 5, [0, 1, 2, 1, 0])
    )
    wanted = [[0, 0, 1, -1, -1], [2] + 4 * [-1], 5 * [-1], [0, 1, 2, 1, 0]]
    assert fields["label"].numpy().tolist() == wanted
    np.testing.assert_allclose(fields["probability"], (0.98 / 1.01) ** 5, rtol=1e-5)
    task = transcription()
    model_of(task, steps=4)
    for width in (2, 4, 6):
        label = np.array([[0, 1, -1, -1, -1, -1]])[:, :width]
        assert task.truth(label)["label"].numpy().tolist() == [[0, 1, -1, -1]]
    assert task.draw(None, {"label": np.array([2, 0, -1])}) == "ca"
    assert task.draw(None, {"label": np.array([-1])}) == "nothing"
    found = plain(task, {"label": np.array([1, 0, -1]), "probability": np.array(0.5)})
    assert found == {"label": [1, 0, -1], "probability": 0.5, "text": "ba"}
    words = p5.tasks.Transcription("said", class_names=["yes", "no"])
    assert words.text(np.array([1, 1, 0])) == "no no yes"


def test_the_answer_ends_at_the_stop():
    fields = seq2seq().decode(logits([0, 0, 1], [2, 3, 2], [3, 0, 0]))
    assert fields["label"].numpy().tolist() == [[0, 0, 1], [2, -1, -1], [-1, -1, -1]]
    powers = np.array([3, 2, 1])
    np.testing.assert_allclose(fields["probability"], (0.98 / 1.01) ** powers, 1e-5)


# Padding


def test_padding_is_blank():
    given = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    sequence = np.ones((2, 5, 8))
    sequence[1, 2:] = 0
    found = BlankPadding()([given, sequence])
    np.testing.assert_array_equal(found[0], given[0])
    np.testing.assert_array_equal(found[1, :2], given[1, :2])
    np.testing.assert_array_equal(found[1, 2:], [[-20, -20, 0]] * 3)
    # The loss is that of the real steps, and one symbol too many of three costs 20.
    loss, label = p5.losses.CTC(), np.array([[0, 1, -1]])
    whole, cut = loss(label, found[1:]), loss(label, found[1:, :2])
    assert float(whole) == pytest.approx(float(cut), abs=1e-4)
    assert 18 < 3 * float(loss(np.array([[0, 1, 0]]), found[1:])) < 30


def test_padding_is_not_looked_at():
    layer = AttentionDecoder(length=3, classes=4, units=5)
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    x[:, 4:] = 0
    long, short = layer(x), layer(x[:, :4])
    np.testing.assert_allclose(long, short, atol=1e-5)
    assert not np.allclose(long, layer(x[:, :3]), atol=1e-5)


# Models


def batch(size=8, steps=6):
    """Numbers from 0 to 2 as vectors, and what they say: as they are, and backwards."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 3, (size, 3))
    ids[:, 1] = (ids[:, 0] + rng.integers(1, 3, size)) % 3  # no two that are equal
    ids[:, 2] = (ids[:, 1] + rng.integers(1, 3, size)) % 3
    x = np.zeros((size, steps, 3), "float32")
    for k in range(3):
        x[np.arange(size), 2 * k, ids[:, k]] = 1
    return x, {"said": ids.astype("int32"), "answer": ids[:, ::-1].astype("int32")}


def both(**kwargs):
    return model_of(transcription(**kwargs), seq2seq(**kwargs))


def test_they_learn_side_by_side_and_come_back(tmp_path):
    model = both()
    x, y = batch(16)
    model.compile(keras.optimizers.Adam(0.03))
    data = tf.data.Dataset.from_tensors((x, y))
    losses = [model.fit(data.repeat(n), verbose=0).history["loss"][0] for n in (1, 40)]
    assert losses[1] < losses[0] / 2
    logs = model.evaluate(data, return_dict=True, verbose=0)
    assert logs["said_error_rate"] == 0 and logs["said_accuracy"] == 1
    assert logs["answer_error_rate"] < 0.7
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    for task, same in zip(model.tasks, again.tasks, strict=True):
        assert same.get_config() == task.get_config()
        truth = same.truth(y[task.name])["label"]
        assert truth.shape == same.decode(again(x)[task.name])["label"].shape
    p5.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export"))
    inputs = tf.constant(x)
    raw = served.signatures["raw"](inputs)
    fields = served.signatures["serving_default"](inputs)
    for name, wanted in model(x).items():
        np.testing.assert_allclose(again(x)[name], wanted, atol=1e-5)
        np.testing.assert_allclose(raw[name], wanted, atol=1e-5)
        for key, value in model.decode(model(x))[name].items():
            np.testing.assert_allclose(fields[f"{name}_{key}"], value, atol=1e-5)
    assert fields["said_label"][:, :3].numpy().tolist() == y["said"].tolist()


def test_a_weighting_of_gradients_with_missing_labels():
    model = both()
    model.compile("adam", weighting=p5.weighting.NashMTL())
    x, y = batch()
    weight = {"said": np.arange(8) > 3, "answer": np.arange(8) < 5}
    weight = {key: own.astype("float32") for key, own in weight.items()}
    logs = model.fit(x, y, sample_weight=weight, batch_size=4, verbose=0).history
    assert np.isfinite(logs["loss"]).all()


def test_xla_compiles_heads_and_decoding():
    model = model_of(transcription(), seq2seq(length=2))
    x, _ = batch()
    plain = model.decode(model(x))
    compiled = tf.function(lambda x: model.decode(model(x)), jit_compile=True)(x)
    for name, fields in plain.items():
        np.testing.assert_array_equal(compiled[name]["label"], fields["label"])
        found = compiled[name]["probability"]
        np.testing.assert_allclose(found, fields["probability"], rtol=1e-4)


def test_a_weighting_of_losses_in_half_precision(bfloat16):
    model = both(dropout=0.1)
    model.compile("adam", weighting=p5.weighting.UncertaintyWeighting())
    logs = model.fit(*batch(), verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    assert {x.dtype for x in model.output.values()} == {"float32"}
