"""Soft sharing: parallel columns that mix after every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from p5_keras.sharing.base import Sharing, columns
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@keras.saving.register_keras_serializable("p5_keras")
class Stitch(keras.layers.Layer):
    """Mixes tensors of one shape: `y_i = Σ_j α_ij x_j`.

    The channels of each tensor may be cut into subspaces, which then mix each with
    every other. From T tensors `(batch, ..., channels)` to as many of that shape.

    Args:
        same: α_ii at the start; the rest of 1 is spread evenly over the others.
        subspaces: Number of parts that the channels are cut into.
        per_channel: Whether each channel has its own α.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        same: float = 0.9,
        subspaces: int = 1,
        per_channel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.same, self.subspaces, self.per_channel = same, subspaces, per_channel

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        """Makes α."""
        count, channels = len(input_shape) * self.subspaces, input_shape[0][-1]
        if channels is None or channels % self.subspaces:
            raise ValueError(
                "`subspaces` must divide the channels of every stage. "
                f"Received: subspaces={self.subspaces}; {channels} channels"
            )
        other = (1 - self.same) / max(count - 1, 1)
        alpha = other + (self.same - other) * ops.eye(count)
        if self.per_channel:
            alpha = ops.repeat(alpha[..., None], channels // self.subspaces, axis=-1)
        self._shape = tuple(alpha.shape)
        flat = ops.convert_to_numpy(ops.reshape(alpha, (-1,)))
        # Of one axis, so that neither λ nor γ pulls it to 0.
        self.stitch = self.add_weight(
            shape=flat.shape,
            initializer=lambda shape, dtype: ops.cast(flat, dtype),
            name="stitch",
        )
        self.built = True

    def call(self, inputs: list[Tensor]) -> list[Tensor]:
        """Mixes."""
        x = ops.stack(inputs, axis=-2)
        shape = [-1, *x.shape[1:]]
        width = shape[-1] // self.subspaces
        x = ops.reshape(x, [*shape[:-2], len(inputs) * self.subspaces, width])
        alpha = ops.reshape(self.stitch, self._shape)
        letters = "ijc" if self.per_channel else "ij"
        x = ops.einsum(f"...jc,{letters}->...ic", x, alpha)
        return ops.unstack(ops.reshape(x, shape), axis=-2)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shapes of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "same": self.same,
            "subspaces": self.subspaces,
            "per_channel": self.per_channel,
        }


@dataclass(frozen=True, kw_only=True)
class CrossStitch(Sharing):
    """One column, a copy of the trunk, for each task; stitches after every stage.

    The next stage and the head read the mixture. The paper trains α at 10 to 1000
    times the learning rate of the rest and begins with columns trained one by one;
    neither is done here.

    Attributes:
        same: α of a column's own features at the start.
        per_channel: Whether each channel has its own α, as in the paper.

    Reference:
        Misra et al., Cross-stitch Networks for Multi-task Learning, CVPR 2016.
    """

    same: float = 0.9
    per_channel: bool = True

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds the columns and the stitches."""
        stitch = {"same": self.same, "per_channel": self.per_channel}
        return stitched(trunk, tasks, inputs, stitch)


@dataclass(frozen=True, kw_only=True)
class Sluice(Sharing):
    """Cross-stitched columns whose channels are cut into subspaces that mix.

    A part of each column can so be the task's own and another be shared. Of the paper
    this leaves out β, the mixture over depths (a head chooses the features it reads)
    and the penalty that keeps the subspaces orthogonal.

    Attributes:
        subspaces: Number of subspaces of each column.
        same: α of a subspace with itself at the start.

    Reference:
        Ruder et al., Latent Multi-task Architecture Learning, AAAI 2019.
    """

    subspaces: int = 2
    same: float = 0.9

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds the columns and the stitches."""
        stitch = {"same": self.same, "subspaces": self.subspaces}
        return stitched(trunk, tasks, inputs, stitch)


def stitched(
    trunk: Trunk, tasks: Sequence[Task], inputs: Tensor, stitch: dict[str, Any]
) -> dict[str, Features]:
    """Builds one column a task, mixed after every stage.

    Args:
        trunk: The trunk.
        tasks: The tasks.
        inputs: The Keras tensor of the model's input.
        stitch: Arguments of each `Stitch`.
    """
    names = [task.name for task in tasks]
    stages = columns(trunk, inputs, names)
    x = dict.fromkeys(names, inputs)
    features: dict[str, Features] = {name: {} for name in names}
    for feature in stages[names[0]]:
        found = [stages[name][feature](x[name]) for name in names]
        mixed = Stitch(**stitch, name=f"stitch_{feature}")(found)
        for name, y in zip(names, mixed, strict=True):
            x[name] = features[name][feature] = y
    return features
