"""Caseless text, compared with what Python's own tables of Unicode say."""

import random
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf

from p5_keras.inputs import Text
from p5_keras.inputs.caseless import caseless

folded = tf.function(caseless, input_signature=[tf.TensorSpec([None], tf.string)])


def expected(text):
    text = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize(
        "NFC", unicodedata.normalize("NFD", text).replace("i\u0307", "i")
    )


def of(texts):
    return [text.decode() for text in folded(tf.constant(texts)).numpy()]


def codes():
    surrogates = range(0xD800, 0xE000)
    return [chr(c) for c in range(0x110000) if c not in surrogates and c < 0x30000]


def test_every_character():
    for form in (str, lambda c: unicodedata.normalize("NFD", c)):
        texts = [form(char) for char in codes()]
        for text, got in zip(texts, of(texts), strict=True):
            assert got == expected(text), (text, got, expected(text))


def test_marks_in_any_order():
    random.seed(0)
    marks = [c for c in codes() if unicodedata.combining(c)]
    usual = [chr(c) for c in range(0x300, 0x346)]
    letters = [c for c in codes()[:0x3000] if unicodedata.category(c)[0] == "L"]
    jamo = [chr(c) for c in range(0x1100, 0x1200)] + ["가", "각"]
    texts = [""]
    for _ in range(20000):
        kind = random.choice([usual, usual, marks, letters, jamo, ["a ", "i", "I"]])
        texts.append(
            "".join(random.choices(letters, k=random.randint(0, 2)))
            + "".join(random.choices(kind, k=random.randint(0, 4)))
            + "".join(random.choices(usual, k=random.randint(0, 3)))
        )
    for text, got in zip(texts, of(texts), strict=True):
        assert got == expected(text), (ascii(text), ascii(got), ascii(expected(text)))


@pytest.mark.parametrize(
    "words, one",
    [
        ("good Good GOOD", "good"),
        ("мир Мир МИР", "мир"),
        ("φως Φως ΦΩΣ φωσ", "φωσ"),
        ("öl Öl ÖL o\u0308l", "öl"),
        ("straße STRASSE Straẞe", "strasse"),
        ("İstanbul istanbul I\u0307stanbul", "istanbul"),
        ("ﬁn FIN", "fin"),
        ("ệ e\u0323\u0302 ê\u0323 E\u0302\u0323", "ệ"),
        ("각 \u1100\u1161\u11a8 가\u11a8", "각"),
        ("ᾳ ΑΙ α\u0345", "αι"),
    ],
)
def test_one_word(words, one):
    assert set(of(words.split(" "))) == {one}


def test_a_batch_does_not_matter():
    """What stands beside a text, ASCII or not, is nothing to it; nor is its shape."""
    alone = [of([text])[0] for text in ("A b", "ÄÖ", "")]
    assert of(["A b", "ÄÖ", ""]) == alone == ["a b", "äö", ""]
    square = caseless(tf.constant([["Ä", "B"], ["", "\u0301Ç"]]))
    assert square.shape == (2, 2)
    assert [t.decode() for t in square.numpy().ravel()] == ["ä", "b", "", "\u0301ç"]
    assert caseless(tf.constant([], tf.string)).shape == (0,)


def test_what_is_no_utf8_is_replaced_in_any_company():
    for texts in ([b"a\xe9B"], [b"a\xe9B", "ä".encode()], [b"\xff", b"x"]):
        (first, *_) = caseless(tf.constant(texts)).numpy()
        assert "\ufffd" in first.decode() and first.decode() == first.decode().lower()


PROSE = [
    "Étude ÉTUDE «étude» e\u0301tude,",
    "good… “good” Good! monde\u00a0! don’t don't",
]


def test_prose_is_one_word_each_and_the_export_knows_it(tmp_path):
    text = Text("t", length=8, standardize="lower_and_strip_punctuation")
    text.adapt({"t": np.array(PROSE)})
    assert sorted(text.vocabulary) == ["dont", "good", "monde", "étude"]
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(text)
    )
    module = tf.Module()
    module.layers = again.layers()
    module.ids = tf.function(
        lambda t: again.encode({"t": t}), [tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, tmp_path)
    served = tf.saved_model.load(tmp_path).ids
    rows = np.array([*PROSE, "ΦΩΣ ÉTUDE"])
    np.testing.assert_array_equal(served(rows), text.encode({"t": tf.constant(rows)}))
    assert text.encode({"t": tf.constant(["ÉTUDE"])})[0, 0] > 1


def test_ascii_is_as_before():
    """Of ASCII the same tokens, and what was saved before goes on as it was."""
    printable = "".join(map(chr, range(32, 127)))
    for standard in ("lower", "lower_and_strip_punctuation"):
        for split in ("whitespace", "character"):
            new, old = (
                Text("t", 99, 99, split, standard, letters=letters)
                for letters in ("unicode", "ascii")
            )
            for one in (new, old):
                one.adapt({"t": np.array([printable, "Aa B. c"])})
            assert new.vocabulary == old.vocabulary
    config = new.get_config()
    del config["letters"]
    assert Text.from_config(config).letters == "ascii"
    old = Text.from_config({**config, "vocabulary": None, "split": "whitespace"})
    old.adapt({"t": np.array(["ÖL öl"])})
    assert len(old.vocabulary) == 2
    with pytest.raises(ValueError, match="`letters` must be"):
        Text("t", letters="latin")
