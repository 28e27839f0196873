"""Which tasks should share a network, by how their steps help each other."""

from collections.abc import Sequence

import numpy as np


def propose(
    affinity: np.ndarray, names: Sequence[str], networks: int
) -> list[list[str]]:
    """Divides tasks over networks so that they help each other most.

    A division counts for each task the mean affinity to it of the tasks that it shares
    a network with, and 0 where it is alone. All divisions are looked at but those that
    cannot be better than the best so far; of equals the one with the fewest networks
    is taken.

    Args:
        affinity: `(tasks, tasks)`, of the task of a row to that of a column, as
            `p5_keras.Affinity` measures it; NaN counts as 0.
        names: Names of the tasks.
        networks: How many networks there may be.

    Returns:
        The tasks of each network, in their order.

    Raises:
        ValueError: `networks` is below 1 or above the number of tasks.

    Reference:
        Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning,
        NeurIPS 2021, section 3.2. There a task may be in several networks; here in one.
    """
    count = len(names)
    if not 1 <= networks <= count:
        raise ValueError(
            "`networks` must be from 1 to the number of tasks. "
            f"Received: networks={networks}, tasks={list(names)}"
        )
    table = np.where(np.isfinite(affinity), affinity, 0.0).astype(float)
    np.fill_diagonal(table, -np.inf)
    # No mean is above the largest of its terms.
    most = np.maximum(table.max(axis=0), 0.0) if count > 1 else np.zeros(count)
    best: tuple[float, int, list[list[int]]] = (-np.inf, 0, [])

    def place(task: int, groups: list[list[int]]) -> None:
        nonlocal best
        bound = most[task:].sum() + sum(most[t] for group in groups for t in group)
        if bound < best[0]:
            return
        if task == count:
            found = (sum(_score(table, g) for g in groups), -len(groups))
            if found > best[:2]:
                best = (*found, [list(group) for group in groups])
            return
        for group in groups:
            group.append(task)
            place(task + 1, groups)
            group.pop()
        if len(groups) < networks:
            place(task + 1, [*groups, [task]])

    place(0, [])
    return [[names[t] for t in group] for group in best[2]]


def _score(table: np.ndarray, group: list[int]) -> float:
    if len(group) == 1:
        return 0.0
    part = table[np.ix_(group, group)].copy()
    np.fill_diagonal(part, 0.0)
    return float(part.sum() / (len(group) - 1))
