"""What seeds and test examples say about a difference, and how surely."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean difference and its 95 % interval.

    Attributes:
        mean: The difference.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def shown(self) -> int:
        """1 or -1 where the interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def interval(differences: np.ndarray, level: float = 0.95) -> Interval:
    """Estimates a mean difference from seeds and examples, both a sample.

    A difference varies with the seed of the training and with the example that it is
    measured on. With one value for each pair of them, the mean squares of a two-way
    layout give the variance of the grand mean,
    `(MS_seeds + MS_examples - MS_rest) / (seeds * examples)`, and Satterthwaite's
    degrees of freedom the width of the interval. From 3 seeds on it covers at 0.94 or
    more; with 2 at 0.91, where it is the seeds that differ.

    Args:
        differences: `(seeds, examples)`, of scores of the same example with the same
            seed.
        level: Coverage.

    Raises:
        ValueError: There are fewer than 2 seeds or examples.

    Reference:
        Satterthwaite, An Approximate Distribution of Estimates of Variance Components,
        Biometrics 1946; Brennan, Generalizability Theory, 2001, for the layout.
    """
    seeds, examples = differences.shape
    if seeds < 2 or examples < 2:
        raise ValueError(
            "`differences` must be of 2 seeds and 2 examples or more. "
            f"Received: shape={differences.shape}"
        )
    mean = float(differences.mean())
    by_seed = differences.mean(axis=1) - mean
    by_example = differences.mean(axis=0) - mean
    rest = differences - mean - by_seed[:, None] - by_example
    free = seeds - 1, examples - 1, (seeds - 1) * (examples - 1)
    squares = (
        examples * np.sum(by_seed**2),
        seeds * np.sum(by_example**2),
        np.sum(rest**2),
    )
    of_seeds, of_examples, of_rest = (s / f for s, f in zip(squares, free, strict=True))
    # Each variance is at least 0, so neither mean square counts less than the rest.
    total = max(of_seeds, of_rest) + max(of_examples, of_rest) - of_rest
    if total <= 0:
        return Interval(mean, mean, mean)
    spread = sum(
        m**2 / f
        for m, f in zip((of_seeds, of_examples, of_rest), free, strict=True)
        if f
    )
    freedom = max(total**2 / spread, seeds - 1)
    half = _stats().t.ppf(0.5 + level / 2, freedom) * math.sqrt(
        total / differences.size
    )
    return Interval(mean, mean - half, mean + half)


def delta_m(
    values: Mapping[str, Mapping[str, float]],
    baseline: Mapping[str, Mapping[str, float]],
    better: Mapping[str, Mapping[str, str]],
) -> dict[str, float]:
    """Returns the mean relative gain over a baseline, in percent; above 0 is better.

    `Δm = 100 / K · Σ ± (M - B) / |B|`, with a minus for metrics that are better low.

    Args:
        values: Metrics by task and name.
        baseline: Those of the baseline.
        better: "higher" or "lower", alike.

    Returns:
        "metrics", the mean over all metrics, and "tasks", the mean over tasks of each
        task's mean. A metric whose baseline is 0, or that is missing, does not count;
        NaN where none does.

    Reference:
        Maninis et al., Attentive Single-Tasking of Multiple Tasks, CVPR 2019.
    """
    gains: dict[str, list[float]] = {}
    for task, metrics in values.items():
        for name, value in metrics.items():
            base = baseline[task][name]
            if base and math.isfinite(base) and math.isfinite(value):
                sign = 1 if better[task][name] == "higher" else -1
                gain = 100 * sign * (value - base) / abs(base)
                gains.setdefault(task, []).append(gain)
    if not gains:
        return {"metrics": math.nan, "tasks": math.nan}
    return {
        "metrics": float(np.mean(np.concatenate(list(gains.values())))),
        "tasks": float(np.mean([np.mean(g) for g in gains.values()])),
    }


def mean_ranks(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean over tasks of each arm's rank, 1 for the best; ties share.

    Args:
        scores: By arm and task, higher is better.
    """
    names = list(scores)
    tasks = [t for t in scores[names[0]] if all(t in scores[n] for n in names)]
    ranks = [_stats().rankdata([-scores[n][t] for n in names]) for t in tasks]
    return dict(zip(names, np.mean(ranks, axis=0).tolist(), strict=True))


def _stats() -> Any:
    from scipy import stats  # slow to import, and few need it

    return stats
