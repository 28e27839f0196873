"""Sequence to sequence: symbols that a decoder writes one after the other."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from p5_keras import losses
from p5_keras.losses.sequences import SequenceCrossEntropy
from p5_keras.task import Features, Tensor
from p5_keras.tasks.sequence_head import SequenceTask, joined
from p5_keras.trunks.sequence import not_padding


@keras.saving.register_keras_serializable("p5_keras")
class Seq2Seq(SequenceTask):
    """A sequence of another order or length than the one that is read.

    Label: ids `(batch, length)`, negative behind the end; `p5.data.text_column` makes
    them of strings. Without a symbol a label is missing. Raw output: logits `(batch,
    length, symbols + 1)`, the last of them the stop. Decoded: `label` int32 `(batch,
    length)`, the most probable symbol of each step, −1 from the stop on, and
    `probability` `(batch,)`, the product of theirs and the stop's.

    A recurrent decoder looks back at the whole sequence before each symbol. It is told
    the probabilities that it gave to the symbols before, in training as in use: a head
    never sees labels, so there is no teacher forcing, and training cannot differ from
    use. The price: it learns more slowly, since at first it is told nothing of use, and
    where several answers are right it may mix them, since no symbol is ever settled
    for the next. There is no beam search.

    Args:
        name: Name of the task.
        length: Most symbols of a label; the decoder is unrolled over so many steps.
        num_classes: Number of symbols.
        class_names: The symbols, in order, as in `list("abc")`; enough by themselves.
        units: Size of the decoder's state, and of its attention.
        dropout: Rate of dropout before the output layer.
        label_smoothing: Share of the target spread evenly over all classes.
        **kwargs: Arguments of `Task`.

    Reference:
        Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and
        Translate, ICLR 2015.
    """

    kind = "seq2seq"
    compares = ""

    def __init__(
        self,
        name: str,
        *,
        length: int,
        units: int = 64,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        if min(length, units) < 1:
            raise ValueError(
                "`length` and `units` must be at least 1. "
                f"Received: length={length}, units={units} for task {name!r}"
            )
        self.length, self.units, self.dropout = length, units, dropout
        self.label_smoothing = label_smoothing
        self.steps = length

    def normalize(self, label: Any) -> tuple[Tensor, Tensor]:
        """Returns `(batch, length)` int32 ids, −1 behind the end."""
        label, weight = super().normalize(label)
        return self.shaped(label, self.length), weight

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the decoder: `(batch, length, symbols + 1)`."""
        return AttentionDecoder(
            self.length,
            len(self.class_names) + 1,
            self.units,
            self.dropout,
            name="decoder",
        )(joined(self, features))

    def default_loss(self) -> losses.MeanLoss:
        """Returns the cross-entropy of each symbol and of the stop."""
        return SequenceCrossEntropy(self.label_smoothing)

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `label` `(batch, length)` and `probability` `(batch,)`."""
        found = tf.argmax(output, axis=-1, output_type="int32")
        stopped = ops.cumsum(ops.cast(found == len(self.class_names), "int32"), axis=-1)
        best = ops.max(ops.log_softmax(output, axis=-1), axis=-1)
        # The first stop is still part of the answer.
        part = ops.pad(stopped[:, :-1], ((0, 0), (1, 0))) == 0
        best = ops.sum(ops.where(part, best, 0.0), axis=-1)
        label = ops.where(stopped == 0, found, -1)
        return {"label": label, "probability": ops.exp(best)}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "length": self.length,
            "units": self.units,
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable("p5_keras")
class AttentionDecoder(layers.Layer):
    """Writes a fixed number of symbols while it looks at a sequence.

    From `(batch, steps, channels)` to logits `(batch, length, classes)` float32. Steps
    of padding are not looked at.

    Args:
        length: Number of symbols.
        classes: Number of classes of each.
        units: Size of state and attention.
        dropout: Rate of dropout before the output.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        length: int,
        classes: int,
        units: int,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.length, self.classes, self.units = length, classes, units
        self.dropout = dropout
        own = {"dtype": self.dtype_policy}
        self.keys = layers.Dense(units, name="keys", **own)
        self.query = layers.Dense(units, use_bias=False, name="query", **own)
        self.score = layers.Dense(1, use_bias=False, name="score", **own)
        self.start = layers.Dense(units, activation="tanh", name="start", **own)
        self.embedding = layers.Dense(units, use_bias=False, name="embedding", **own)
        self.cell = layers.GRUCell(units, name="cell", **own)
        self.drop = layers.Dropout(dropout, **own)
        self.out = layers.Dense(classes, dtype="float32", name="output")

    def build(self, input_shape: Any) -> None:
        """Builds the layers."""
        batch, _, channels = input_shape
        self.keys.build(input_shape)
        self.query.build((batch, self.units))
        self.score.build((batch, None, self.units))
        self.start.build((batch, channels))
        self.embedding.build((batch, self.classes))
        self.cell.build((batch, self.units + channels))
        self.out.build((batch, self.units + channels))
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Writes."""
        real = not_padding(inputs)
        keys, hidden = self.keys(inputs), (real - 1) * 1e4  # fits into half precision
        mean = ops.sum(inputs, axis=1)
        mean = mean / ops.cast(ops.maximum(ops.sum(real, axis=1), 1), mean.dtype)
        state, outputs = self.start(mean), []
        said = ops.zeros((ops.shape(inputs)[0], self.classes), inputs.dtype)
        for _ in range(self.length):
            score = self.score(ops.tanh(keys + self.query(state)[:, None]))
            share = ops.softmax(ops.cast(score, "float32") + hidden, axis=1)
            seen = ops.sum(ops.cast(share, inputs.dtype) * inputs, axis=1)
            x = ops.concatenate([self.embedding(said), seen], axis=-1)
            state, _ = self.cell(x, [state])
            x = ops.concatenate([state, ops.cast(seen, state.dtype)], axis=-1)
            outputs.append(self.out(self.drop(x, training=training)))
            said = ops.cast(ops.softmax(outputs[-1], axis=-1), inputs.dtype)
        return ops.stack(outputs, axis=1)

    def compute_output_spec(self, inputs: Tensor, training: bool | None = None) -> Any:
        """Returns `(batch, length, classes)` float32."""
        shape = (inputs.shape[0], self.length, self.classes)
        return keras.KerasTensor(shape, "float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = ("length", "classes", "units", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
