"""What a difference says: its sign by its interval, its weight by a smallest size."""

import math
from typing import Any

from p5_keras.task import Task

Json = dict[str, Any]

YES, NO, SMALL, UNKNOWN = "yes", "no", "too small to matter", "not shown"


def smallest_difference(
    task: Task, baseline: float, metric: str | None = None
) -> float:
    """Returns the smallest difference from a baseline that matters, in its units.

    It is the share `Task.smallest_difference` of the way from the baseline to
    perfection: 0.02 of an accuracy from 0.5 on is 0.01, of an error of 3 is 0.06.

    Args:
        task: The task.
        baseline: What is to be beaten.
        metric: The metric; if left out, `Task.example_scores`, whose perfection is 1,
            or 0 where they are below 0, as errors are. The share is that of `primary`.
    """
    share = task.smallest_difference.get(metric or task.primary, 0.02)
    if metric is None:
        room = 1 - baseline if baseline >= 0 else -baseline
    else:
        room = 1 - baseline if task.better[metric] == "higher" else baseline
    return share * max(room, 0.0)


def answer(
    mean: float | None,
    low: float | None,
    high: float | None,
    smallest: float | None = None,
) -> str:
    """Says whether a difference is above 0: one of `YES`, `NO`, `SMALL`, `UNKNOWN`.

    Args:
        mean: The difference; higher is better.
        low: Lower end of its interval; `None` where nothing was measured.
        high: Upper end.
        smallest: The smallest that matters; 0 if left out.
    """
    if low is None or high is None or not (low > 0 or high < 0):
        return UNKNOWN
    if smallest and mean is not None and abs(mean) < smallest:
        return SMALL
    return YES if low > 0 else NO


def sign(difference: Json) -> int:
    """Returns 1 or -1 where a difference is shown and matters, else 0.

    Args:
        difference: "mean", "low" and "high", and perhaps "smallest_difference".
    """
    return ((said := answer_of(difference)) == YES) - (said == NO)


def answer_of(difference: Json) -> str:
    """Returns the `answer` of a difference; see `sign`."""
    smallest = difference.get("smallest_difference")
    return answer(difference["mean"], difference["low"], difference["high"], smallest)


def beats_trivial(task: Json) -> str:
    """Says whether a task beats the trivial predictor; see `answer`.

    The scores of its test examples must be better, and its primary metric too, both by
    a difference that matters. Who answers the same for every example knows nothing of
    them, whatever the score.

    Args:
        task: A task's entry in `results.json`.
    """
    score = task.get("score") or {}
    low, high = score.get("interval") or (None, None)
    small = score.get("smallest_difference")
    said = answer(score.get("difference"), low, high, small)
    if said != YES:
        return said
    if score.get("same_answer"):
        return NO
    metric = task.get("metrics", {}).get(task.get("primary"), {})
    test, trivial = metric.get("test"), metric.get("trivial")
    small = metric.get("smallest_difference")
    if None in (test, trivial, small) or math.isnan(test - trivial):
        return said
    gain = test - trivial if metric.get("better") == "higher" else trivial - test
    return SMALL if gain < small else said
