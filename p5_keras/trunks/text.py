"""Trunks for text: convolutions, recurrence, attention."""

from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import layers, ops

from p5_keras.inputs import Input, Text
from p5_keras.task import Tensor
from p5_keras.trunk import Trunk, only_input, with_arguments
from p5_keras.trunks.sequence import Places, TokenDropout, not_padding, pooled_stage


class _TextTrunk(Trunk):
    """Embedded tokens, a sequence made of them, and that pooled.

    Features: "embedded" and "sequence", `(batch, length, channels)`, 0 at padding, and
    "pooled" `(batch, width)`.
    """

    width: int
    dropout: float
    token_dropout: float
    vocabulary: int | None

    def _check(self, **sizes: Any) -> None:
        if min(sizes.values()) < 1:
            raise ValueError(f"Sizes must be at least 1. Received: {sizes}")

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Takes the size of the vocabulary."""
        size = only_input(type(self).__name__, inputs, Text).size
        found: Self = with_arguments(self, vocabulary=size)
        return found

    def stages(self, input_shape: Any) -> dict[str, keras.Model]:
        """Builds the stages "embedded", "sequence" and "pooled"."""
        if self.vocabulary is None:
            raise ValueError(
                f"{type(self).__name__} must know how many tokens there are. "
                "Received: vocabulary=None; build it with a `Text`, or give the number"
            )
        embedded = self._embedded(input_shape)
        inputs = keras.Input(embedded.output.shape[1:])
        x = self._sequence(inputs, not_padding(inputs))
        x = layers.Multiply()([x, not_padding(inputs)])
        return {
            "embedded": embedded,
            "sequence": keras.Model(inputs, x),
            "pooled": pooled_stage(x.shape[1:], self.width, self.dropout),
        }

    def _embedded(self, input_shape: tuple[int, ...]) -> keras.Model:
        inputs = x = keras.Input(input_shape, dtype="int32")
        if self.token_dropout:
            x = TokenDropout(self.token_dropout)(x)
        # Of the size of what normalised layers give, or recurrence is slow to start.
        start = keras.initializers.RandomNormal(stddev=0.5)
        x = layers.Embedding(self.vocabulary, self.width, start)(x)
        x = self._placed(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        return keras.Model(inputs, layers.Multiply()([x, not_padding(inputs)]))

    def _placed(self, x: Tensor) -> Tensor:
        """Says where each token stands, where the sequence would not know."""
        return x

    def _sequence(self, x: Tensor, real: Tensor) -> Tensor:
        raise NotImplementedError


class TextConv(_TextTrunk):
    """Convolutions with growing dilation, each added to what it reads.

    Args:
        width: Channels of the embedding and of every convolution.
        depth: Number of convolutions; the k-th has a dilation of 2^k, from k = 0.
        kernel: Their size.
        dropout: Rate of dropout of the embedding and after each convolution.
        token_dropout: Share of tokens that are made unknown while training.
        vocabulary: Number of tokens; the model's `Text` says it.

    Reference:
        Kalchbrenner et al., Neural Machine Translation in Linear Time, 2016; Strubell
        et al., Fast and Accurate Entity Recognition with Iterated Dilated
        Convolutions, EMNLP 2017.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 3,
        kernel: int = 3,
        dropout: float = 0.1,
        token_dropout: float = 0.0,
        vocabulary: int | None = None,
    ) -> None:
        self._check(width=width, depth=depth, kernel=kernel)
        self.width, self.depth, self.kernel = width, depth, kernel
        self.dropout, self.token_dropout = dropout, token_dropout
        self.vocabulary = vocabulary

    def _sequence(self, x: Tensor, real: Tensor) -> Tensor:
        for k in range(self.depth):
            y = layers.LayerNormalization()(x)
            y = layers.Multiply()([y, real])  # padding is to stay 0 for the next
            y = layers.Conv1D(
                self.width,
                self.kernel,
                padding="same",
                dilation_rate=2**k,
                activation="relu",
            )(y)
            if self.dropout:
                y = layers.Dropout(self.dropout)(y)
            x = layers.Add()([x, y])
        return x


class TextRNN(_TextTrunk):
    """Recurrence in both directions.

    Args:
        width: Size of the embedding, of each direction's state and of "pooled".
        depth: Number of layers.
        cell: "gru" or "lstm".
        dropout: Rate of dropout of the embedding and after each layer.
        token_dropout: Share of tokens that are made unknown while training.
        vocabulary: Number of tokens; the model's `Text` says it.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 1,
        cell: str = "lstm",
        dropout: float = 0.3,
        token_dropout: float = 0.0,
        vocabulary: int | None = None,
    ) -> None:
        self._check(width=width, depth=depth)
        if cell not in ("gru", "lstm"):
            raise ValueError(f"`cell` must be 'gru' or 'lstm'. Received: cell={cell!r}")
        self.width, self.depth, self.cell = width, depth, cell
        self.dropout, self.token_dropout = dropout, token_dropout
        self.vocabulary = vocabulary

    def _sequence(self, x: Tensor, real: Tensor) -> Tensor:
        kind = {"gru": layers.GRU, "lstm": layers.LSTM}[self.cell]
        for _ in range(self.depth):
            x = layers.Bidirectional(kind(self.width, return_sequences=True))(x)
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
        return x


class TextTransformer(_TextTrunk):
    """Self-attention over the tokens and where they stand.

    Args:
        width: Channels; a multiple of `heads`.
        depth: Number of blocks, each attention and two dense layers.
        heads: Number of attention heads.
        dropout: Rate of dropout of the embedding and within the blocks.
        token_dropout: Share of tokens that are made unknown while training.
        vocabulary: Number of tokens; the model's `Text` says it.

    Reference:
        Vaswani et al., Attention Is All You Need, NeurIPS 2017; normalised before each
        part, as Xiong et al., On Layer Normalization in the Transformer Architecture,
        ICML 2020.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        token_dropout: float = 0.0,
        vocabulary: int | None = None,
    ) -> None:
        self._check(width=width, depth=depth, heads=heads)
        if width % heads:
            raise ValueError(
                "`width` must be a multiple of `heads`. "
                f"Received: width={width}, heads={heads}"
            )
        self.width, self.depth, self.heads = width, depth, heads
        self.dropout, self.token_dropout = dropout, token_dropout
        self.vocabulary = vocabulary

    def _placed(self, x: Tensor) -> Tensor:
        return Places()(x)

    def _sequence(self, x: Tensor, real: Tensor) -> Tensor:
        seen = ops.cast(ops.squeeze(real, -1)[:, None], "bool")  # (batch, 1, length)
        for _ in range(self.depth):
            y = layers.LayerNormalization()(x)
            y = layers.MultiHeadAttention(
                self.heads, self.width // self.heads, dropout=self.dropout
            )(y, y, attention_mask=seen)
            x = layers.Add()([x, y])
            y = layers.LayerNormalization()(x)
            y = layers.Dense(4 * self.width, activation="gelu")(y)
            y = layers.Dropout(self.dropout)(layers.Dense(self.width)(y))
            x = layers.Add()([x, y])
        return layers.LayerNormalization()(x)
