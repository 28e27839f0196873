"""Hard sharing: parallel heads on one trunk."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.sharing.base import Sharing
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class Hard(Sharing):
    """All heads read the features of one trunk.

    Reference:
        Caruana, Multitask Learning, Machine Learning 1997.
    """

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Gives every task the same features."""
        features = trunk(inputs)
        return {task.name: features for task in tasks}
