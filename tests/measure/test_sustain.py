"""A device that throttles is seen to, and one that does not is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.measure.steps.profile import Settings, profile_together
from dsd_plan.measure.steps.sustain import sustained_run
from tests.measure.fake_device import GRID, FakeClock, FakeRunner


def stepping(clock: FakeClock, ms: Callable[[float], float]) -> Callable[[], None]:
    def step() -> None:
        clock.wall += ms(clock.wall) / 1000.0

    return step


def test_a_throttle_is_stored_where_it_sets_in() -> None:
    """5 ms a step, 8 ms from the 30th second on: 0.625 of the speed."""
    clock = FakeClock()
    found = sustained_run(stepping(clock, lambda wall: 5.0 if wall < 130.0 else 8.0), 5.0, 120.0, clock)
    assert len(found.rows) == 60
    assert [share for seconds, share in found.rows if seconds < 29.9] == [1.0] * 14
    assert {share for seconds, share in found.rows if seconds > 32.1} == {0.625}
    assert found.rows[-1][0] == pytest.approx(120.0, abs=0.5)
    assert found.lowest_share == 0.625


def test_noise_is_not_heat() -> None:
    clock = FakeClock()
    found = sustained_run(stepping(clock, lambda wall: 5.05), 5.0, 10.0, clock)
    assert {share for _, share in found.rows} == {1.0}
    faster = sustained_run(stepping(clock, lambda wall: 4.0), 5.0, 10.0, clock)
    assert {share for _, share in faster.rows} == {1.0}


def test_windows_are_a_second_at_least_and_progress_reaches_the_end() -> None:
    clock, told = FakeClock(), []
    found = sustained_run(
        stepping(clock, lambda wall: 10.0), 10.0, 5.0, clock, on_progress=lambda *what: told.append(what)
    )
    assert [round(seconds) for seconds, _ in found.rows] == [1, 2, 3, 4, 5]
    assert [row[0] for row in told][-1] == 100


def test_a_profile_holds_what_is_left_of_the_speed_that_its_points_have() -> None:
    """Heat comes after the grid is done: the points are cool, the shares are of them."""
    clock = FakeClock()
    hot = [float("inf")]
    runner = FakeRunner(clock, factor=lambda wall: 2.0 if wall > hot[0] else 1.0)
    settings = Settings(device="box", grid=GRID, budget_s=5.0, sustain_s=20.0)

    def told(done: int, total: int, text: str) -> None:
        if text.startswith("sustained") and hot[0] == float("inf"):
            hot[0] = clock.wall + 5.0

    profile = profile_together((runner,), settings, clock=clock, on_progress=told)[0]
    assert profile.sustained is not None
    shares = [share for _, share in profile.sustained]
    assert shares[:5] == [1.0] * 5
    assert shares[-5:] == [0.5] * 5
    assert profile.method is not None
    assert profile.method["sustained_lowest_share"] == 0.5
    assert profile.method["sustained_step"] == "decode of batch 2, 1 new and 16 context tokens"
    assert profile_problems(profile) == ()
