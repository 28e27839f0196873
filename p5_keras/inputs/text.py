"""Text as the numbers of its tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from p5_keras.inputs.base import Input, Tensor, missing
from p5_keras.inputs.caseless import caseless

_SPLITS = ("whitespace", "character")
_STANDARDS = ("lower", "lower_and_strip_punctuation", "none")


@keras.saving.register_keras_serializable("p5_keras")
class Text(Input):
    """A string as token numbers `(batch, length)` int32: 0 is padding, 1 unknown.

    What is longer than `length` is cut off.

    Args:
        column: The column that holds the text.
        length: Number of tokens.
        max_tokens: Largest size of the vocabulary, the two above included.
        split: "whitespace" or "character".
        standardize: "lower", "lower_and_strip_punctuation" or "none". The first folds
            case and composes marks in all scripts (`caseless`); the second also strips
            all that Unicode calls punctuation, and the symbols of ASCII, and takes
            any of its spaces for one. Where each token has a label, punctuation that
            stands alone must not be stripped.
        vocabulary: The tokens from number 2 on, the most frequent first; `adapt` fills
            it.
        letters: "unicode", or "ascii" to do so with letters and punctuation of ASCII
            alone, as models did that were saved without this argument.
    """

    dtype = "int32"

    def __init__(
        self,
        column: str = "text",
        length: int = 64,
        max_tokens: int = 20_000,
        split: str = "whitespace",
        standardize: str = "lower",
        vocabulary: Sequence[str] | None = None,
        letters: str = "unicode",
    ) -> None:
        if split not in _SPLITS or standardize not in _STANDARDS:
            raise ValueError(
                f"`split` must be one of {_SPLITS} and `standardize` of {_STANDARDS}. "
                f"Received: split={split!r}, standardize={standardize!r}"
            )
        if letters not in ("unicode", "ascii"):
            raise ValueError(
                f"`letters` must be 'unicode' or 'ascii'. Received: letters={letters!r}"
            )
        if length < 1 or max_tokens < 3:
            raise ValueError(
                "`length` must be at least 1 and `max_tokens` at least 3. "
                f"Received: length={length}, max_tokens={max_tokens}"
            )
        self.column, self.length, self.max_tokens = column, length, max_tokens
        self.split, self.standardize, self.letters = split, standardize, letters
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self._made: Any = None

    def adapt(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns the most frequent tokens."""
        if self.column not in columns:
            raise missing(self.column, columns)
        layer = self._layer(None)
        texts = np.asarray(columns[self.column]).astype(str)
        layer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(512))
        found = layer.get_vocabulary(include_special_tokens=False)
        self.vocabulary, self._made = [str(token) for token in found], None

    @property
    def size(self) -> int:
        """Number of token numbers: the vocabulary, padding and unknown."""
        return len(self._known()) + 2

    @property
    def shape(self) -> tuple[int, ...]:
        """`(length,)`."""
        return (self.length,)

    def specs(self) -> dict[str, tf.TensorSpec]:
        """Returns `(batch,)` strings."""
        return {self.column: tf.TensorSpec([None], tf.string, self.column)}

    def encode(self, raw: Mapping[str, Tensor]) -> Tensor:
        """Returns `(batch, length)` int32."""
        if self.column not in raw:
            raise missing(self.column, raw)
        (layer,) = self.layers()
        ids = layer(tf.reshape(raw[self.column], [-1]))
        return tf.ensure_shape(tf.cast(ids, tf.int32), [None, self.length])

    def layers(self) -> list[Any]:
        """Returns the vectorization."""
        if self._made is None:
            with tf.init_scope():
                # It refuses an empty vocabulary: of no token there is none to look up.
                self._made = self._layer(self._known() or ["\0"])
        return [self._made]

    def about(self) -> str:
        """Returns the column, the length and the size of the vocabulary."""
        unit = "characters" if self.split == "character" else "words"
        known = "none yet" if self.vocabulary is None else f"{len(self.vocabulary):,}"
        return f"{self.column!r}, its first {self.length} {unit}, {known} known"

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        names = ("column", "length", "max_tokens", "split", "standardize", "vocabulary")
        return {name: getattr(self, name) for name in (*names, "letters")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Text":
        """Makes the input of `get_config()` again."""
        return cls(**{"letters": "ascii", **config})

    def _known(self) -> list[str]:
        if self.vocabulary is None:
            raise ValueError(
                "A text must have a vocabulary: call `adapt(columns)`. "
                f"Received: the column {self.column!r} without"
            )
        return self.vocabulary

    def _layer(self, vocabulary: list[str] | None) -> Any:
        return keras.layers.TextVectorization(
            max_tokens=self.max_tokens if vocabulary is None else None,
            standardize=self._standard(),
            split=self.split,
            output_sequence_length=self.length,
            vocabulary=vocabulary,
        )

    def _standard(self) -> Any:
        if self.standardize == "none":
            return None
        if self.letters == "ascii":
            return self.standardize
        return caseless if self.standardize == "lower" else _caseless_words


def _caseless_words(text: Tensor) -> Tensor:
    text = tf.strings.regex_replace(caseless(text), r"[\p{P}$+<=>^`|~]", "")
    return tf.strings.regex_replace(text, r"\p{Z}", " ")
