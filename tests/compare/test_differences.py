"""Differences with intervals: hand-worked numbers, and properties."""

from __future__ import annotations

from math import hypot, isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.compare.differences import difference, finding, ratio
from dsd_plan.domain.performance import Interval

values = st.floats(min_value=0.1, max_value=1e4)
widths = st.floats(min_value=0.0, max_value=0.9)


def test_half_widths_add_as_squares() -> None:
    found = difference(10.0, (7.0, 13.0), 20.0, (16.0, 24.0))
    assert (found.point, found.low, found.high) == (10.0, 5.0, 15.0)


def test_each_side_counts_where_it_points() -> None:
    """The low end of a difference lies where the second is low and the first high."""
    found = difference(10.0, (9.0, 13.0), 20.0, (16.0, 21.0))
    assert found.low == 10.0 - hypot(4.0, 3.0)
    assert found.high == 10.0 + hypot(1.0, 1.0)


def test_a_ratio_is_a_difference_of_logarithms() -> None:
    found = ratio(10.0, (5.0, 20.0), 30.0, (30.0, 30.0))
    assert found is not None
    assert isclose(found.point, 3.0)
    assert isclose(found.low, 1.5)
    assert isclose(found.high, 6.0)
    assert ratio(0.0, (0.0, 0.0), 1.0, (1.0, 1.0)) is None
    assert ratio(1.0, (-0.1, 2.0), 1.0, (1.0, 1.0)) is None


@pytest.mark.parametrize(
    ("before", "after", "gap", "exact", "found"),
    [
        (10.0, 10.0, None, False, "same"),
        (10.0, 10.0 * (1 + 1e-12), None, False, "same"),
        (10.0, 11.0, None, False, "not known"),
        (10.0, None, None, False, "not known"),
        (10.0, 11.0, None, True, "changed"),
        (10.0, 11.0, Interval(point=1.0, low=-0.1, high=2.1), False, "not significant"),
        (10.0, 11.0, Interval(point=1.0, low=0.0, high=2.0), False, "not significant"),
        (10.0, 11.0, Interval(point=1.0, low=0.1, high=1.9), False, "significant"),
        (11.0, 10.0, Interval(point=-1.0, low=-1.9, high=-0.1), False, "significant"),
    ],
)
def test_findings(before: float, after: float | None, gap: Interval | None, exact: bool, found: str) -> None:
    assert finding(before, after, gap, exact=exact) == found


@given(values, values, widths, widths, widths, widths)
def test_it_holds_its_point_and_turns_with_its_sides(
    before: float, after: float, a: float, b: float, c: float, d: float
) -> None:
    old, new = (before * (1 - a), before * (1 + b)), (after * (1 - c), after * (1 + d))
    there, back = difference(before, old, after, new), difference(after, new, before, old)
    assert there.low <= there.point <= there.high
    assert (back.low, back.point, back.high) == (-there.high, -there.point, -there.low)
    share, inverse = ratio(before, old, after, new), ratio(after, new, before, old)
    assert share is not None
    assert inverse is not None
    assert isclose(share.low * inverse.high, 1.0)


def test_of_equal_means_one_in_twenty_is_called_different() -> None:
    """Two sides of eight replications each with the same mean; their own intervals are Student's."""
    rng = np.random.default_rng(7)
    draws = rng.normal(100.0, 4.0, size=(4000, 2, 8))
    means = draws.mean(axis=2)
    halves = 2.365 * draws.std(axis=2, ddof=1) / np.sqrt(8)
    called = 0
    for (before, after), (half, other) in zip(means.tolist(), halves.tolist(), strict=True):
        gap = difference(before, (before - half, before + half), after, (after - other, after + other))
        called += finding(before, after, gap, exact=False) == "significant"
    assert 0.025 <= called / 4000 <= 0.055
