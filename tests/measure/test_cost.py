"""What a grid will cost, from its smallest steps."""

from __future__ import annotations

import pytest

from dsd_plan.measure.steps.cost import Estimate, affordable, estimate
from dsd_plan.measure.steps.grid import QUICK_GRID, GridPoint
from tests.measure.fake_device import GRID, FakeClock, FakeRunner, law_ms


def test_an_affine_device_is_told_from_its_smallest_steps() -> None:
    runner = FakeRunner(FakeClock())
    points = GRID.points(96)
    cost = estimate(runner, points, runner.clock)
    assert len(runner.visits) == 4
    assert max(point.batch for point in runner.visits) == 1
    for point in points:
        if point.phase == "decode":
            # The smallest step's own token and cache count twice: 0.05 + 0.0064 of it.
            assert 1000.0 * cost.seconds(point) == pytest.approx(law_ms(point) + 0.0564, rel=1e-6)
        else:
            assert 1000.0 * cost.seconds(point) >= law_ms(point)


def test_all_points_stay_where_there_is_time_and_the_cheapest_eight_whatever_there_is() -> None:
    points = QUICK_GRID.points(512)
    cost = Estimate(step_s=0.01, per_token_s=0.001, per_kv_token_s=0.0, per_prompt_token_s=0.001)
    assert affordable(points, cost, 600.0) == points
    slow = Estimate(step_s=100.0, per_token_s=1.0, per_kv_token_s=0.0, per_prompt_token_s=1.0)
    kept = affordable(points, slow, 1.0)
    assert len(kept) == 8
    assert max(slow.seconds(point) for point in kept) <= min(slow.seconds(p) for p in points if p not in kept)


def test_a_minute_is_always_allowed() -> None:
    """Nine points of one second: 27 s fit a minute, whatever the budget; 22 do not."""
    second = Estimate(step_s=1.0, per_token_s=0.0, per_kv_token_s=0.0, per_prompt_token_s=0.0)
    points = [GridPoint("decode", batch, 1, 16) for batch in range(1, 23)]
    assert len(affordable(points[:9], second, 0.1)) == 9
    assert len(affordable(points, second, 0.1)) == 20
    assert len(affordable(points, second, 44.0)) == 22
