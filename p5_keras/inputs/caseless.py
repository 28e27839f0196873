"""Caseless text in all scripts, as a TensorFlow graph.

Two texts are the same without regard to case (Unicode 15, D145) if the canonical
decomposition of one, case-folded, is that of the other. What is returned is the
composed form (NFC) of it: "ΦΩΣ" and "φως" are both "φωσ", "STRASSE" and "Straße" both
"strasse", and an "é" is one character whether it was written with one or two. The
Turkish "İ" is an "i", "I" is an "i" too, and "ı" stays what it is.

TensorFlow's own `lower` depends on the locale of the process and folds no final sigma,
and its normalisation is in a package of its own; this needs neither.
"""

import functools
import unicodedata
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any

#: Where characters lie that decompose or have a case.
_RANGES = (range(0x20000), range(0x2F800, 0x2FA20))
#: First of the Korean syllables, of their three letters, and how many of each.
_SYLLABLE, _LEAD, _VOWEL, _TAIL = 0xAC00, 0x1100, 0x1161, 0x11A7
_LEADS, _VOWELS, _TAILS = 19, 21, 28
_IOTA_BELOW, _IOTA, _DOT_ABOVE = 0x345, 0x3B9, 0x307


def caseless(text: Tensor) -> Tensor:
    """Folds the case of strings, and composes their marks.

    Args:
        text: Strings of any shape, UTF-8; what is no UTF-8 becomes U+FFFD.

    Returns:
        Strings of that shape.
    """
    text = tf.convert_to_tensor(text)
    flat = tf.reshape(text, [-1])
    plain = tf.reduce_all(tf.strings.regex_full_match(flat, r"[\x00-\x7f]*"))
    # Of ASCII alone this is the same, and cheaper.
    flat = tf.cond(plain, lambda: tf.strings.lower(flat), lambda: _folded(flat))
    return tf.ensure_shape(tf.reshape(flat, tf.shape(text)), text.shape)


def _folded(text: Tensor) -> Tensor:
    ragged = tf.strings.unicode_decode(text, "UTF-8", errors="replace")
    tables = _tables()
    chars, rows = _expanded(ragged.values, ragged.value_rowids(), tables)
    chars = _ordered(chars, rows, tables)
    chars = tf.where(chars == _IOTA_BELOW, _IOTA, chars)  # a letter, once in its place
    after_i = tf.concat(
        [[False], (chars == ord("i"))[:-1] & (rows[1:] == rows[:-1])], 0
    )
    chars, rows = _masked(~(after_i & (chars == _DOT_ABOVE)), chars, rows)
    for _ in range(tables["rounds"]):
        chars, rows = _composed(chars, rows, tables)
    lines = tf.RaggedTensor.from_value_rowids(chars, rows, ragged.nrows())
    return tf.strings.unicode_encode(lines, "UTF-8")


def _expanded(chars: Tensor, rows: Tensor, tables: Any) -> tuple[Tensor, Tensor]:
    """Puts what each character becomes in its place."""
    start = _found(chars, tables["folds"], tables["starts"], -1)
    count = _found(chars, tables["folds"], tables["counts"], 1)
    first = tf.repeat(tf.cumsum(count, exclusive=True), count)
    place = tf.range(tf.shape(first)[0]) - first
    begin = tf.repeat(start, count)
    new = tf.gather(tables["into"], tf.maximum(begin, 0) + place * _int(begin >= 0))
    return tf.where(begin >= 0, new, tf.repeat(chars, count)), tf.repeat(rows, count)


def _ordered(chars: Tensor, rows: Tensor, tables: Any) -> Tensor:
    """Sorts the marks after each letter by their class."""
    mark = _found(chars, tables["marks"], tables["classes"], 0)
    begins = tf.concat([[True], rows[1:] != rows[:-1]], 0)[: tf.shape(rows)[0]]
    letter = tf.cumsum(_int((mark == 0) | begins))
    return tf.gather(chars, tf.argsort(letter * 256 + mark, stable=True))


def _composed(chars: Tensor, rows: Tensor, tables: Any) -> tuple[Tensor, Tensor]:
    """Joins each letter with the first of its marks that it can be joined with."""
    mark = _found(chars, tables["marks"], tables["classes"], 0)
    count = tf.shape(chars)[0]
    place = tf.range(count)
    # The letter before each character; at the beginning there is none.
    letters = tf.concat([[-1], tf.boolean_mask(place, mark == 0)], 0)
    letter = tf.gather(letters, tf.cumsum(_int(mark == 0), exclusive=True))
    known = tf.maximum(letter, 0)
    a = tf.gather(chars, known)
    pair = tf.cast(a, tf.int64) * 2**21 + tf.cast(chars, tf.int64)
    made = _found(pair, tables["pairs"], tables["joined"], 0)
    made = tf.maximum(made, _syllable(a, chars))
    last = tf.concat([[0], mark], 0)[:count]
    free = (letter == place - 1) | (last < mark)
    able = (made > 0) & free & (letter >= 0) & (tf.gather(rows, known) == rows)
    first = tf.math.unsorted_segment_min(tf.where(able, place, count), known, count)
    taken = able & (tf.gather(first, known) == place)
    at = tf.boolean_mask(letter, taken)
    chars = tf.tensor_scatter_nd_update(
        chars, at[:, None], tf.boolean_mask(made, taken)
    )
    return _masked(~taken, chars, rows)


def _syllable(a: Tensor, b: Tensor) -> Tensor:
    """Returns the Korean syllable of two parts, or 0."""
    lead, vowel, tail = a - _LEAD, b - _VOWEL, b - _TAIL
    two = (lead >= 0) & (lead < _LEADS) & (vowel >= 0) & (vowel < _VOWELS)
    number = a - _SYLLABLE
    known = (number >= 0) & (number < _LEADS * _VOWELS * _TAILS)
    three = known & (number % _TAILS == 0) & (tail > 0) & (tail < _TAILS)
    made = _SYLLABLE + (lead * _VOWELS + vowel) * _TAILS
    return tf.where(two, made, tf.where(three, a + tail, 0))


def _found(values: Tensor, keys: np.ndarray, results: np.ndarray, else_: int) -> Tensor:
    """Looks values up among sorted keys."""
    place = tf.minimum(tf.searchsorted(keys, values), len(keys) - 1)
    return tf.where(tf.gather(keys, place) == values, tf.gather(results, place), else_)


def _masked(keep: Tensor, chars: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    return tf.boolean_mask(chars, keep), tf.boolean_mask(rows, keep)


def _int(values: Tensor) -> Tensor:
    return tf.cast(values, tf.int32)


@functools.cache
def _tables() -> dict[str, Any]:
    """Returns what Python knows of Unicode, as sorted arrays."""
    folds: dict[int, str] = {}
    marks: dict[int, int] = {}
    pairs: dict[int, int] = {}
    for code in (code for codes in _RANGES for code in codes):
        char = chr(code)
        if mark := unicodedata.combining(char):
            marks[code] = mark
        parts = unicodedata.decomposition(char)
        fold = char.casefold() if code != _IOTA_BELOW else char
        if fold == char and (not parts or parts[0] == "<"):
            continue
        whole = unicodedata.normalize("NFD", char)
        folds[code] = "".join(
            unicodedata.normalize("NFD", c if ord(c) == _IOTA_BELOW else c.casefold())
            for c in whole
        )
        if parts and parts[0] != "<" and unicodedata.normalize("NFC", whole) == char:
            a, b = (int(part, 16) for part in parts.split())
            pairs[a * 2**21 + b] = code
    counts = np.array([len(into) for into in folds.values()], "int32")
    return {
        "folds": np.array(list(folds), "int32"),
        "into": np.array([ord(c) for into in folds.values() for c in into], "int32"),
        "counts": counts,
        "starts": (np.cumsum(counts) - counts).astype("int32"),
        "marks": np.array(list(marks), "int32"),
        "classes": np.array(list(marks.values()), "int32"),
        "pairs": np.array(sorted(pairs), "int64"),
        "joined": np.array([pairs[key] for key in sorted(pairs)], "int32"),
        # A letter takes up a mark in each; of no script has one more.
        "rounds": max(len(unicodedata.normalize("NFD", chr(c))) for c in pairs.values())
        - 1,
    }
