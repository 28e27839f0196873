"""Progressive layered extraction, and its one-level form."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.sharing.base import Sharing
from p5_keras.sharing.experts import mixed
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class PLE(Sharing):
    """Levels of experts, some shared and some of one task alone.

    Attributes:
        levels: Number of levels. Each is a stage of the trunk, of which its experts
            are copies, or with `units` dense layers after the trunk.
        shared: Number of shared experts a level.
        own: Number of each task's own experts a level.
        units: Units of dense experts on the trunk's pooled last feature, in place of
            copies of stages.

    Reference:
        Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
        Model for Personalized Recommendations, RecSys 2020.
    """

    levels: int = 2
    shared: int = 1
    own: int = 1
    units: tuple[int, ...] = ()

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds experts and gates."""
        return mixed(
            trunk, tasks, inputs, self.levels, self.shared, self.own, self.units
        )


@dataclass(frozen=True, kw_only=True)
class CGC(PLE):
    """Customized gate control: `PLE` of one level, of the same paper."""

    levels: int = 1
