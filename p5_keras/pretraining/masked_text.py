"""What is hidden in a text."""

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from p5_keras.losses.base import safe_divide
from p5_keras.pretraining.views import Views
from p5_keras.task import Features, Tensor
from p5_keras.tasks.unlabelled import Unlabelled


@keras.saving.register_keras_serializable("p5_keras")
class MaskedText(Unlabelled):
    """Tells hidden tokens from the others: masked language modelling.

    A share of the known tokens of each text, one at least, is made unknown, and a
    softmax over the vocabulary at their places says what they were. Raw output:
    `(batch, places, 3)`: the log-probability of the hidden token, 1 where it is the
    most probable one, and 1 where there is one, since short texts have fewer. Metric:
    `accuracy`, the share of hidden tokens that are told rightly.

    Args:
        name: Name of the task.
        vocabulary: Number of tokens: `Text.size` of the model's input.
        ratio: Share of the tokens that is hidden.
        **kwargs: Arguments of `Task`.

    Reference:
        Devlin et al., BERT, NAACL 2019, section 3.1; without its tokens that are left
        or swapped, as a token dropout of the trunk has that effect.
    """

    kind = "masked_text"
    better = {"accuracy": "higher"}
    primary = "accuracy"
    score_name = "less loss"
    smallest_difference = {"accuracy": 0.02}

    def __init__(
        self, name: str, *, vocabulary: int, ratio: float = 0.15, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        if vocabulary < 3 or not 0 < ratio < 1:
            raise ValueError(
                "`vocabulary` must be 3 or more and `ratio` between 0 and 1. "
                f"Received: vocabulary={vocabulary}, ratio={ratio}"
            )
        self.vocabulary, self.ratio = vocabulary, ratio

    def views(self, inputs: Tensor) -> dict[str, Tensor]:
        """Returns the texts with hidden tokens, where they are, and which."""
        if isinstance(inputs, dict) or len(inputs.shape) != 2 or "int" not in (
            keras.backend.standardize_dtype(inputs.dtype)
        ):  # fmt: skip
            raise ValueError(
                f"Task {self.name!r} needs one text, `(batch, length)` token numbers. "
                f"Received: inputs={inputs}"
            )
        shown, places, tokens, hidden = HiddenTokens(self.ratio)(inputs)
        return {"input": shown, "places": places, "tokens": tokens, "hidden": hidden}

    def default_features(
        self, features: list[str], input_shape: tuple[int, ...]
    ) -> list[str]:
        """Returns "sequence", and what comes with it."""
        return ["sequence", "places", "tokens", "hidden"]

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds a dense layer and the softmax, at hidden places only."""
        x = ops.take_along_axis(
            features["sequence"], features["places"][..., None], axis=1
        )
        x = layers.Dense(x.shape[-1], activation="gelu")(x)
        x = layers.LayerNormalization()(x)
        x = layers.Dense(self.vocabulary, dtype="float32")(x)
        tokens = features["tokens"]
        right = ops.cast(ops.equal(ops.argmax(x, axis=-1), tokens), "float32")
        log_p = ops.take_along_axis(
            ops.log_softmax(x, axis=-1), tokens[..., None], axis=-1
        )
        return ops.stack([log_p[..., 0], right, features["hidden"]], axis=-1)

    def errors(self, output: Tensor) -> Tensor:
        """Returns the mean cross-entropy of hidden tokens; 0 where none is."""
        return self._mean(-output[..., 0], output[..., 2])

    def measure(self, output: Tensor) -> Tensor:
        """Returns the share of hidden tokens that are told rightly."""
        return self._mean(output[..., 1], output[..., 2])

    def prior(self, label: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Returns the output of one to whom all tokens are alike."""
        found = np.zeros(self.output_shape, "float32")
        found[:, 0], found[:, 2] = -math.log(self.vocabulary), 1
        return found

    def _mean(self, values: Tensor, hidden: Tensor) -> Tensor:
        return safe_divide(ops.sum(values * hidden, axis=1), ops.sum(hidden, axis=1))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = {"vocabulary": self.vocabulary, "ratio": self.ratio}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("p5_keras")
class HiddenTokens(Views):
    """Makes some known tokens of each text unknown.

    From token numbers `(batch, length)`, 0 padding and 1 unknown, to the same with 1
    in more places; which places, their tokens, and 1.0 where there was one to hide,
    each `(batch, ceil(ratio * length))`.

    Args:
        ratio: Share of the known tokens, rounded up.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, ratio: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ratio = ratio

    def call(self, inputs: Tensor, training: Any = None) -> tuple[Tensor, ...]:
        """Hides."""
        length = inputs.shape[1]
        known = ops.cast(inputs > 1, "float32")
        drawn = self.draw(ops.shape(inputs), 0.0, 1.0, 1, training)
        # The number of places is that of the longest text, or shapes would vary.
        most = math.ceil(self.ratio * length)
        _, places = ops.top_k(known * (1 + drawn), most)
        places = ops.cast(places, "int32")
        count = ops.sum(known, axis=1, keepdims=True)
        count = ops.ceil(self.ratio * count - 1e-4)  # 0.15 * 20 is a little above 3
        hidden = ops.cast(ops.arange(most, dtype="float32") < count, "float32")
        covered = ops.sum(ops.one_hot(places, length) * hidden[..., None], axis=1)
        shown = ops.where(covered > 0, ops.ones_like(inputs), inputs)
        return shown, places, ops.take_along_axis(inputs, places, axis=1), hidden

    def compute_output_spec(self, inputs: Tensor, training: Any = None) -> Any:
        """Returns the four shapes."""
        shape = (inputs.shape[0], math.ceil(self.ratio * inputs.shape[1]))
        return (
            keras.KerasTensor(inputs.shape, inputs.dtype),
            keras.KerasTensor(shape, "int32"),
            keras.KerasTensor(shape, inputs.dtype),
            keras.KerasTensor(shape, "float32"),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "ratio": self.ratio}
