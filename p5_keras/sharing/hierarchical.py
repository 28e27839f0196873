"""Tasks at different depths of one trunk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p5_keras.naming import check_keys, did_you_mean
from p5_keras.sharing.base import Sharing
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class Hierarchical(Sharing):
    """Each task is attached at its own depth, low-level tasks early.

    A head sees the features up to its depth and no deeper ones; the stages beyond a
    task's depth belong to the tasks that are attached there.

    Attributes:
        depths: Name of the deepest feature that each task may read. Left out, the
            tasks are spread over the stages in their order, the last one at the end.

    Reference:
        Søgaard and Goldberg, Deep Multi-Task Learning with Low Level Tasks Supervised
        at Lower Layers, ACL 2016.
    """

    depths: Mapping[str, str] | None = None

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Gives each task the features up to its depth."""
        features = trunk(inputs)
        known = list(features)
        if len(known) < 2:
            raise ValueError(
                "Hierarchical sharing needs a trunk of two stages or more. "
                f"Received: trunk={trunk!r} with the features {known}"
            )
        depths = self.depths
        if depths is None:
            depths = {
                task.name: known[(i + 1) * len(known) // len(tasks) - 1]
                if len(tasks) <= len(known)
                else known[i * len(known) // len(tasks)]
                for i, task in enumerate(tasks)
            }
        check_keys("depths", depths, [task.name for task in tasks])
        for task, feature in depths.items():
            if feature not in known:
                raise ValueError(
                    "Each value of `depths` must be a feature of the trunk."
                    f"{did_you_mean(feature, known)} "
                    f"Received: {task!r}: {feature!r}; features: {known}"
                )
        return {
            task: {n: features[n] for n in known[: known.index(feature) + 1]}
            for task, feature in depths.items()
        }
