"""Small layers of each task's own between the stages of one trunk."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from p5_keras.sharing.base import Sharing
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class ResidualAdapters(Sharing):
    """One trunk, to which each task adds an adapter behind every stage.

    What a task reads behind a stage is `x + A x`, and that is what the next stage goes
    on with, so that each task goes through the trunk by itself: as many passes as
    tasks from the second stage on, but one set of weights. `A` is a 1x1 convolution,
    or for vectors a dense layer, of rank `rank`, and 0 at the start. With the trunk
    frozen the adapters are all that fits it to a task.

    Attributes:
        rank: Channels in the middle of an adapter, or `None` for one full matrix.

    Reference:
        Rebuffi et al., Efficient Parametrization of Multi-Domain Deep Neural Networks,
        CVPR 2018, whose adapters are inside the stages; the rank is that of Hu et al.,
        LoRA, ICLR 2022.
    """

    rank: int | None = 8

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Applies stages and adapters in turn."""
        if self.rank is not None and self.rank < 1:
            raise ValueError(
                f"`rank` must be 1 or more, or None. Received: rank={self.rank}"
            )
        stages = trunk.stages(tuple(inputs.shape[1:]))
        found: dict[str, Features] = {task.name: {} for task in tasks}
        current = dict.fromkeys(found, inputs)
        for feature, stage in stages.items():
            stage.name = f"trunk_{feature}"
            made: dict[int, Tensor] = {}  # the first stage is common to all
            for task, x in current.items():
                if id(x) not in made:
                    made[id(x)] = stage(x)
                y = self._adapted(made[id(x)], f"adapter_{task}_{feature}")
                current[task] = found[task][feature] = y
        return found

    def _adapted(self, x: Tensor, name: str) -> Tensor:
        width = x.shape[-1]
        parts = [width] if self.rank is None else [min(self.rank, width), width]
        inputs = y = keras.Input(x.shape[1:], dtype=x.dtype)
        for i, units in enumerate(parts):
            start = "zeros" if i + 1 == len(parts) else "glorot_uniform"
            common = {"use_bias": False, "kernel_initializer": start}
            y = (
                layers.Dense(units, **common)
                if len(x.shape) == 2
                else layers.Conv2D(units, 1, **common)
            )(y)
        return keras.Model(inputs, layers.Add()([inputs, y]), name=name)(x)
