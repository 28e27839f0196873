"""A trunk that splits into branches, one for each group of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from p5_keras.naming import did_you_mean
from p5_keras.sharing.base import Sharing, check_tasks, columns
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk


@dataclass(frozen=True, kw_only=True)
class Branching(Sharing):
    """The stages up to one are shared by all; each group has those after it.

    Attributes:
        after: Name of the last feature that all tasks share; "input" shares nothing.
            Left out, it is the last but one, or "input" for a trunk of one stage.
        groups: Names of the tasks of each branch. Left out, each has its own.

    Reference:
        Vandenhende et al., Branched Multi-Task Networks, BMVC 2020, where the groups
        are found from the affinity of the tasks; here the user gives them.
    """

    after: str | None = None
    groups: tuple[tuple[str, ...], ...] | None = None

    def features(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Features]:
        """Builds the common stages and the branches."""
        groups = self.groups or tuple((task.name,) for task in tasks)
        flat = [name for group in groups for name in group]
        check_tasks("groups", flat, tasks, self.groups)
        branches = columns(trunk, inputs, [group[0] for group in groups])
        first = next(iter(branches.values()))
        known = ["input", *first]
        after = known[-2] if self.after is None else self.after
        if after not in known[:-1]:
            raise ValueError(
                "`after` must be 'input' or a feature of the trunk before its last."
                f"{did_you_mean(after, known)} "
                f"Received: after={after!r}; features: {known[1:]}"
            )
        split = known.index(after)
        x, common = inputs, {}
        for feature in known[1 : split + 1]:
            stage = first[feature]
            stage.name = f"trunk_{feature}"
            x = common[feature] = stage(x)
        found: dict[str, Features] = {}
        for group, stages in zip(groups, branches.values(), strict=True):
            features, y = dict(common), x
            for feature in known[split + 1 :]:
                y = features[feature] = stages[feature](y)
            found |= dict.fromkeys(group, features)
        return found
