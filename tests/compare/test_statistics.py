"""Intervals, gains and ranks, by hand and by how often they are right."""

import math

import numpy as np
import pytest
from scipy import stats

from p5_keras.compare import delta_m, interval, mean_ranks


def test_interval_by_hand():
    # Means of seeds 2 and 4, of examples 1, 3 and 5; the rest is 0, so the variance
    # is (6 + 8) / 6 with mean squares 3 * (1 + 1) / 1 and 2 * (4 + 0 + 4) / 2.
    found = interval(np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 6.0]]))
    freedom = 14**2 / (6**2 / 1 + 8**2 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(14 / 6)
    assert found.mean == 3
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))
    assert found.shown == 0


def test_interval_of_equal_examples_is_that_of_seeds():
    rows = np.repeat([[1.0], [2.0], [4.0]], 5, axis=1)
    found = interval(rows)
    low, high = stats.t.interval(0.95, 2, 7 / 3, stats.sem([1, 2, 4]))
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize(("sign", "shown"), [(1, 1), (-1, -1)], ids=["above", "below"])
def test_shown(sign, shown):
    rng = np.random.default_rng(0)
    assert interval(sign + 0.1 * rng.normal(size=(3, 50))).shown == shown


def test_no_difference_at_all_is_not_shown():
    assert interval(np.zeros((3, 10))).shown == 0


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match=r"2 seeds .* Received: shape=\(1, 10\)"):
        interval(np.zeros((1, 10)))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("spreads", [(1, 0, 1), (0, 1, 1), (0.3, 1, 1), (0, 0, 1)])
def test_intervals_cover_at_about_their_rate(seeds, spreads):
    """Where a spread is 0 they cover more: that it is 0 cannot be known.

    Two seeds that happen to be alike hide how different seeds are.
    """
    rng, examples, covered = np.random.default_rng(0), 30, 0
    of_seeds, of_examples, of_rest = spreads
    for _ in range(1000):
        rows = (
            0.5
            + of_seeds * rng.normal(size=(seeds, 1))
            + of_examples * rng.normal(size=(1, examples))
            + of_rest * rng.normal(size=(seeds, examples))
        )
        found = interval(rows)
        covered += found.low <= 0.5 <= found.high
    least = 0.90 if seeds == 2 else 0.93
    assert least <= covered / 1000 <= (0.97 if of_seeds == 1 else 1)


HIGH_LOW = {"a": {"acc": "higher"}, "b": {"mae": "lower", "rmse": "lower"}}


def test_delta_m_by_hand():
    base = {"a": {"acc": 0.5}, "b": {"mae": 2.0, "rmse": 4.0}}
    ours = {"a": {"acc": 0.6}, "b": {"mae": 1.0, "rmse": 5.0}}
    # +20 %, +50 %, -25 %; the second task's mean is 12.5 %.
    found = delta_m(ours, base, HIGH_LOW)
    assert found == pytest.approx({"metrics": 15.0, "tasks": 16.25})
    assert delta_m(base, base, HIGH_LOW) == {"metrics": 0, "tasks": 0}


def test_delta_m_leaves_out_what_has_no_ratio():
    base = {"a": {"acc": 0.0}, "b": {"mae": 2.0, "rmse": math.nan}}
    ours = {"a": {"acc": 0.6}, "b": {"mae": 1.0, "rmse": 5.0}}
    assert delta_m(ours, base, HIGH_LOW) == {"metrics": 50.0, "tasks": 50.0}
    nothing = delta_m({"a": {"acc": 1.0}}, base, HIGH_LOW)
    assert math.isnan(nothing["tasks"]) and math.isnan(nothing["metrics"])


def test_mean_ranks_share_ties():
    scores = {
        "x": {"a": 3.0, "b": 1.0},
        "y": {"a": 2.0, "b": 1.0},
        "z": {"a": 1.0, "b": 5.0},
    }
    assert mean_ranks(scores) == {"x": 1.75, "y": 2.25, "z": 2.0}
