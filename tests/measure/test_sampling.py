"""The interval of a median: by hand, and as often right as it says."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.sampling import Visited, half_width, median_interval, visited_stats

POINT = GridPoint("decode", 1, 1, 16)


def test_ends_by_hand() -> None:
    """n = 6: ranks 1 and 2 cover 0.96875 and 0.78125, so a tenth of the way in probability, λ = 0.5/1.4 in place."""
    assert median_interval([5.0, 1.0, 4.0, 2.0, 3.0]) is None
    inward = (5 * 0.1) / (1 + 4 * 0.1)
    assert median_interval([6.0, 5.0, 1.0, 4.0, 2.0, 3.0]) == pytest.approx((1.0 + inward, 6.0 - inward))


@pytest.mark.parametrize("n", [6, 7, 12, 25, 60])
def test_the_interval_lies_between_the_ranks_that_enclose_its_level(n: int) -> None:
    interval = median_interval([float(k) for k in range(1, n + 1)])
    assert interval is not None

    def covered(k: int) -> float:
        return 1.0 - 2.0 * sum(comb(n, j) for j in range(k)) / 2.0**n

    rank = int(interval[0])
    assert interval[0] + interval[1] == pytest.approx(n + 1)
    assert covered(rank) >= 0.95 > covered(rank + 1)


@pytest.mark.parametrize("n", [6, 9, 20])
def test_it_is_right_as_often_as_it_says(n: int) -> None:
    """A skewed law, whose median is log 2."""
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(2000):
        interval = median_interval(rng.exponential(1.0, n).tolist())
        assert interval is not None
        held += interval[0] <= np.log(2.0) <= interval[1]
    assert 0.935 * 2000 <= held <= 0.97 * 2000


def test_visits_that_share_a_spell_are_covered() -> None:
    """Samples of a visit share its spell: intervals over visits hold the true median, those over samples would not."""
    rng = np.random.default_rng(3)
    over_visits = over_samples = 0
    for _ in range(400):
        spells = rng.normal(0.0, 0.05, 15)
        visits = [10.0 * np.exp(spell + rng.normal(0.0, 0.01, 8)) for spell in spells]
        stats = visited_stats(visits)
        assert stats.p50_low is not None
        assert stats.p50_high is not None
        over_visits += stats.p50_low <= 10.0 <= stats.p50_high
        pooled = median_interval(np.concatenate(visits).tolist())
        assert pooled is not None
        over_samples += pooled[0] <= 10.0 <= pooled[1]
    assert over_visits >= 0.93 * 400
    assert over_samples < 0.8 * 400


def test_a_long_visit_counts_as_much_as_a_short_one() -> None:
    stats = visited_stats([[1.0] * 50, [3.0], [4.0]])
    assert stats.p50 == 3.0
    assert stats.mean == pytest.approx(57.0 / 52.0)
    assert stats.p95 >= stats.p50


def test_a_point_is_settled_by_several_visits_that_agree() -> None:
    visited = Visited(POINT)
    for value in (100.0, 101.0, 99.0, 100.5, 99.5):
        visited.add([value] * 16)
        assert not visited.settled()
    visited.add([100.2])
    assert visited.settled()
    low, high = 99.0 + 0.5 / 1.4 * 0.5, 101.0 - 0.5 / 1.4 * 0.5
    assert half_width([100.0, 101.0, 99.0, 100.5, 99.5, 100.2]) == pytest.approx(max(high - 100.1, 100.1 - low) / 100.1)
    spread = Visited(POINT)
    for value in (100.0, 101.0, 99.0, 100.5, 99.5, 105.0):
        spread.add([value])
    assert not spread.settled()
    assert spread.samples == 6
