"""A dense trunk for the columns of a table."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
from keras import layers, ops

from p5_keras.inputs import Input, Table
from p5_keras.trunk import Trunk, only_input, with_arguments


class TabularDense(Trunk):
    """Embedded categories beside the numbers, then dense layers with ReLU.

    Features: "columns", what the dense layers read, and "vector".

    Args:
        units: Units of each dense layer.
        embedding: Size of the embedding of a category; of one with no more values than
            that each keeps its own number, 0 or 1.
        dropout: Rate of dropout after each dense layer.
        blocks: How many neighbours of the input belong together; the model's `Table`
            says it.
    """

    def __init__(
        self,
        units: list[int] | tuple[int, ...] = (128, 64),
        embedding: int = 8,
        dropout: float = 0.0,
        blocks: Sequence[int] | None = None,
    ) -> None:
        if not units or min(*units, embedding) < 1:
            raise ValueError(
                "`units` must be a list of sizes above 0, and `embedding` at least 1. "
                f"Received: units={units}, embedding={embedding}"
            )
        self.units, self.embedding, self.dropout = list(units), embedding, dropout
        self.blocks = None if blocks is None else list(blocks)

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Takes the blocks of the table."""
        table = only_input("TabularDense", inputs, Table)
        found: Self = with_arguments(self, blocks=table.blocks)
        return found

    def stages(self, input_shape: Any) -> dict[str, keras.Model]:
        """Builds the stages "columns" and "vector"."""
        blocks = self.blocks or [1] * input_shape[0]
        inputs = keras.Input(input_shape)
        x = Columns(blocks, self.embedding)(inputs)
        first = keras.Model(inputs, x)
        inputs = x = keras.Input(x.shape[1:])
        for units in self.units:
            x = layers.Dense(units, activation="relu")(x)
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
        return {"columns": first, "vector": keras.Model(inputs, x)}


@keras.saving.register_keras_serializable("p5_keras")
class Columns(layers.Layer):
    """Embeds the categories of a vector: `(batch, size)` to `(batch, smaller)`.

    A category is 1 in its place and 0 in the others, so its embedding is a product,
    which every accelerator does well.

    Args:
        blocks: How many neighbours belong together, 1 for a number.
        embedding: Size that larger blocks are brought down to.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, blocks: Sequence[int], embedding: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks, self.embedding = list(blocks), embedding

    def build(self, input_shape: Any) -> None:
        """Makes an embedding for each large block."""
        if input_shape[-1] != sum(self.blocks):
            raise ValueError(
                "`blocks` must add up to the size of the input. "
                f"Received: blocks={self.blocks} for {input_shape[-1]} numbers"
            )
        self.tables = {
            str(i): self.add_weight(
                shape=(size, self.embedding),
                initializer=keras.initializers.RandomNormal(stddev=0.3),
                name=f"embedding_{i}",
            )
            for i, size in enumerate(self.blocks)
            if size > self.embedding
        }
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Embeds."""
        parts, start, plain = [], 0, 0
        for i, size in enumerate(self.blocks):
            if str(i) in self.tables:
                if plain < start:
                    parts.append(inputs[:, plain:start])
                own = inputs[:, start : start + size]
                parts.append(ops.matmul(own, self.tables[str(i)]))
                plain = start + size
            start += size
        if plain < start:
            parts.append(inputs[:, plain:start])
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `(batch, sum of the smaller of block and embedding)`."""
        return input_shape[0], sum(min(b, self.embedding) for b in self.blocks)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"blocks": self.blocks, "embedding": self.embedding}
        return {**super().get_config(), **own}
