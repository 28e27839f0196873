"""Transcription: symbols in the order of a sequence, at steps that no label says."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from p5_keras import losses
from p5_keras.losses.sequences import CTC
from p5_keras.task import Features, Tensor
from p5_keras.tasks.sequence_head import SequenceTask, joined
from p5_keras.trunks.sequence import not_padding


@keras.saving.register_keras_serializable("p5_keras")
class Transcription(SequenceTask):
    """What is said or written along a sequence, as speech to text.

    Label: ids `(batch, length)`, negative behind the end; `p5.data.text_column` makes
    them of strings. Without a symbol a label is missing: give silence one of its own.
    Raw output: logits `(batch, steps, symbols + 1)`, the last of them the blank; a step
    of padding is blank. Decoded: `label` int32 `(batch, steps)`, the symbols of the
    most probable path without blanks and repeats, −1 behind the end, and `probability`
    `(batch,)` of that path.

    Args:
        name: Name of the task.
        num_classes: Number of symbols.
        class_names: The symbols, in order, as in `list("abc")`; enough by themselves.
        recurrent: Units in each direction of a recurrent layer before the output, for
            a trunk whose steps see little of what stands around them; 0 for none.
        dropout: Rate of dropout before the output layer.
        steps: Steps of the sequence that it reads; the head sets them.
        **kwargs: Arguments of `Task`.

    Reference:
        Graves et al., Connectionist Temporal Classification, ICML 2006: the loss, and
        decoding by the best path.
    """

    kind = "transcription"
    compares = ""

    def __init__(
        self,
        name: str,
        *,
        recurrent: int = 0,
        dropout: float = 0.0,
        steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, **kwargs)
        self.recurrent, self.dropout, self.steps = recurrent, dropout, steps
        self._longest = 0

    def check(self, label: np.ndarray, weight: np.ndarray) -> None:
        """Checks ids, and that the labels fit into the steps, where these are known."""
        known = label[weight > 0]
        equal = (known[:, 1:] == known[:, :-1]) & (known[:, 1:] >= 0)
        needed = (known >= 0).sum(axis=1) + equal.sum(axis=1)
        self._longest = max(self._longest, int(needed.max(initial=0)))
        self._check_room()
        super().check(label, weight)

    def invalid(self, label: Tensor) -> Tensor:
        """Says where ids are wrong, and where a label needs more than the steps."""
        label = tf.convert_to_tensor(label)
        wrong = super().invalid(label)
        if self.steps is None:
            return wrong
        equal = (label[:, 1:] == label[:, :-1]) & (label[:, 1:] >= 0)
        needed = tf.math.count_nonzero(label >= 0, axis=1)
        needed += tf.math.count_nonzero(equal, axis=1)
        return wrong | (needed > self.steps)[:, None]

    @property
    def allowed(self) -> str:
        """What labels must be."""
        room = "" if self.steps is None else f", with room in {self.steps} steps"
        return super().allowed + room

    def _check_room(self) -> None:
        if self.steps is not None and self._longest > self.steps:
            raise ValueError(
                f"The sequence that task {self.name!r} reads must have a step for each "
                "symbol of a label, and one between two that are equal. Received: "
                f"{self.steps} steps, and a label that needs {self._longest}"
            )

    def head(self, features: Features, input_shape: tuple[int, ...]) -> Tensor:
        """Builds the output layer at each step: `(batch, steps, symbols + 1)`."""
        x = sequence = joined(self, features)
        self.steps = sequence.shape[1]
        self._check_room()
        if self.recurrent:
            cells = layers.GRU(self.recurrent, return_sequences=True)
            x = layers.Bidirectional(cells)(x)
        if self.dropout:
            x = layers.Dropout(self.dropout)(x)
        units = len(self.class_names) + 1
        x = layers.Dense(units, dtype="float32", name="output")(x)
        return BlankPadding(dtype="float32")([x, sequence])

    def default_loss(self) -> losses.MeanLoss:
        """Returns the negative log-likelihood of the labels, a symbol."""
        return CTC()

    def decode(self, output: Tensor) -> dict[str, Tensor]:
        """Returns `label` `(batch, steps)` and `probability` `(batch,)`."""
        steps, blank = output.shape[1], len(self.class_names)
        path = tf.argmax(output, axis=-1, output_type="int32")
        before = ops.pad(path[:, :-1], ((0, 0), (1, 0)), constant_values=blank)
        new = ops.logical_and(path != blank, path != before)
        # Symbols first, in order; of equal keys there are none.
        place = ops.arange(steps, dtype="int32")
        order = ops.argsort(ops.where(new, place, place + steps), axis=-1)
        label = ops.take_along_axis(ops.where(new, path, -1), order, axis=-1)
        best = ops.max(ops.log_softmax(output, axis=-1), axis=-1)
        return {"label": label, "probability": ops.exp(ops.sum(best, axis=-1))}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        own = ("recurrent", "dropout", "steps")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable("p5_keras")
class BlankPadding(layers.Layer):
    """Makes steps of padding blank, so that a label has to stand at the real ones.

    It takes logits `(batch, steps, symbols + 1)` and the sequence that they are of. A
    symbol at a step of padding costs a loss of `COST`: a label that is too long for the
    real steps has a large loss, and no infinite one.
    """

    #: A symbol's logit at padding, below that of the blank; probability 2e-9.
    COST = 20.0

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Returns the logits."""
        logits, sequence = inputs
        classes = logits.shape[-1]
        blank = self.COST * (ops.one_hot(classes - 1, classes, dtype=logits.dtype) - 1)
        return ops.where(not_padding(sequence) > 0, logits, blank)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the logits' shape."""
        return input_shape[0]
