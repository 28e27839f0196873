"""Multi-gate mixture of experts."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.sharing.base import Sharing
from p5_keras.sharing.experts import mixed
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class MMoE(Sharing):
    """Experts that all tasks share, mixed for each task by its own softmax gate.

    On a dense trunk an expert is a copy of it, and the gates see the input, which is
    the paper's model. On a trunk of several stages the experts are copies of the last
    one and the gates see the pooled feature before it.

    Attributes:
        experts: Number of experts.
        units: Units of dense experts on the trunk's pooled last feature, in place of
            copies of a stage.

    Reference:
        Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
        Mixture-of-Experts, KDD 2018.
    """

    experts: int = 4
    units: tuple[int, ...] = ()

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds experts and gates."""
        return mixed(trunk, tasks, inputs, 1, self.experts, 0, self.units)
