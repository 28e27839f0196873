"""Soft sharing: parallel columns that mix after every stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from p5_keras.sharing.base import Sharing, columns
from p5_keras.sharing.stitch import Stitch
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


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
