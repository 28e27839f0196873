import keras
import numpy as np
import pytest
import tensorflow as tf

import p5_keras as p5


def table():
    made = p5.inputs.Table({"age": "number", "work": "category", "same": "number"})
    made.adapt(
        {
            "age": np.array([1.0, 3.0, np.nan, 5.0]),
            "work": np.array(["b", "a", "", "b"], object),
            "same": np.full(4, 7.0),
        }
    )
    return made


def test_a_table_is_one_vector():
    made = table()
    names = ["age", "age is missing", "work=a", "work=b", "work is missing"]
    assert made.names == names and made.blocks == [1, 1, 2, 1] and made.shape == (5,)
    # 1, 3, 5: mean 3, standard deviation sqrt(8 / 3). Training has not seen "z".
    raw = {
        "age": tf.constant([5.0, np.nan, 3.0]),
        "work": tf.constant(["a", "", "z"]),
        "same": tf.constant([7.0, 8.0, 9.0]),
    }
    wanted = [[2 / (8 / 3) ** 0.5, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(made.encode(raw), wanted, rtol=1e-6)


def test_categories_that_are_numbers_are_in_their_order():
    made = p5.inputs.Table({"rooms": "category"})
    made.adapt({"rooms": np.array(["10", "9", "2"], object)})
    assert made.names == ["rooms=2", "rooms=9", "rooms=10"]


def test_a_missing_column():
    with pytest.raises(ValueError) as error:
        table().encode({"age": tf.zeros([1]), "same": tf.zeros([1])})
    assert str(error.value) == (
        "Each example must have the column 'work'. Received: ['age', 'same']"
    )


def test_a_table_that_has_seen_nothing():
    with pytest.raises(ValueError, match="must have seen training examples: call"):
        _ = p5.inputs.Table({"age": "number"}).shape
    with pytest.raises(ValueError, match=r"must be one of.*Received: {'age': 'text'}"):
        p5.inputs.Table({"age": "text"})


def text(**arguments):
    made = p5.inputs.Text("said", **{"length": 4, **arguments})
    made.adapt({"said": np.array(["Play a song", "play the SONG now"])})
    return made


def test_text_is_the_numbers_of_its_tokens():
    made = text()
    assert made.vocabulary[:2] == ["song", "play"] and made.size == 7
    ids = made.encode({"said": tf.constant(["PLAY song zebra", "", "a a a a a"])})
    a = made.vocabulary.index("a") + 2
    assert ids.numpy().tolist() == [[3, 2, 1, 0], [0] * 4, [a] * 4]
    assert ids.dtype == tf.int32


def test_text_of_other_scripts_and_by_character():
    made = p5.inputs.Text("s", length=3, split="character", standardize="none")
    made.adapt({"s": np.array(["ひら", "ひC"])})
    ids = made.encode({"s": tf.constant(["Cひ", "c" * 1_000_000])}).numpy()
    c, hi = made.vocabulary.index("C") + 2, made.vocabulary.index("ひ") + 2
    assert ids.tolist() == [[c, hi, 0], [1, 1, 1]]


def test_a_vocabulary_is_cut_off():
    assert len(text(max_tokens=4).vocabulary) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"length": 0}, "`length` must be at least 1"),
        ({"split": "words"}, "`split` must be one of"),
    ],
)
def test_wrong_arguments_of_text(arguments, message):
    with pytest.raises(ValueError, match=message):
        text(**arguments)


def test_text_without_a_vocabulary():
    with pytest.raises(ValueError, match="must have a vocabulary: call `adapt"):
        p5.inputs.Text().encode({"text": tf.constant([""])})


def test_waveforms_are_cut_off_and_filled_up():
    made = p5.inputs.Waveform("w", rate=4, seconds=1.0)
    found = made.encode({"w": tf.constant([[0.5, -0.5]])})
    assert found.numpy().tolist() == [[0.5, -0.5, 0, 0]]
    found = made.encode({"w": tf.constant([[16384] * 6], tf.int16)})
    assert found.numpy().tolist() == [[0.5] * 4]
    with pytest.raises(ValueError, match="`rate` must be at least 1"):
        p5.inputs.Waveform(rate=0)


@pytest.mark.parametrize("make", [table, text, p5.inputs.Waveform])
def test_an_input_comes_back_from_its_config(make):
    made = make()
    saved = keras.saving.serialize_keras_object(made)
    again = keras.saving.deserialize_keras_object(saved)
    assert again.get_config() == made.get_config() and again.shape == made.shape
    assert repr(again) == repr(made)


def test_an_input_is_made_in_the_graph_of_a_data_set():
    made = text()
    dataset = tf.data.Dataset.from_tensors(tf.constant(["play"]))
    (ids,) = dataset.map(lambda s: made.encode({"said": s}))
    assert ids.numpy().tolist() == [[3, 0, 0, 0]]
