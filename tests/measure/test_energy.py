"""Watts and joules of a device whose power is known."""

from __future__ import annotations

from typing import Literal

import pytest

from dsd_plan.domain.profile_checks import profile_problems
from dsd_plan.measure.steps.energy import Declared, some_of
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.profile import Settings, profile_together
from tests.measure.fake_device import GRID, FakeClock, FakeRunner, law_ms

IDLE_W, ACTIVE_W = 20.0, 120.0


class FakeMeter:
    """20 W all the time, 100 W more for every processor second."""

    source: Literal["nvml", "rapl"] = "rapl"
    window_s = 0.4
    details = "a fake"

    def __init__(self, clock: FakeClock, stuck: bool = False) -> None:
        self._clock = clock
        self._stuck = stuck

    def joules(self) -> float:
        if self._stuck:
            return 7.0
        return IDLE_W * self._clock.wall + (ACTIVE_W - IDLE_W) * self._clock.cpu

    def close(self) -> None:
        pass


def profiled(clock: FakeClock, meter: FakeMeter | None, **settings: object) -> object:
    asked = Settings(device="box", grid=GRID, budget_s=5.0, meter=meter, **settings)  # type: ignore[arg-type]
    return profile_together((FakeRunner(clock),), asked, clock=clock)[0]


@pytest.mark.parametrize("every", [True, False])
def test_power_and_energy_are_those_of_the_device(every: bool) -> None:
    clock = FakeClock()
    profile = profiled(clock, FakeMeter(clock), energy_of_all=every)
    assert profile.power_source == "rapl"
    assert profile.idle_w == pytest.approx(IDLE_W)
    assert profile.active_w == pytest.approx(ACTIVE_W)
    known = [point for point in profile.points if point.energy_j is not None]
    assert len(known) == (len(profile.points) if every else 12)
    for point in known:
        ms = law_ms(GridPoint(point.phase, point.batch, point.new_tokens, point.context_tokens))
        assert point.energy_j == pytest.approx(ACTIVE_W * ms / 1000.0)
    assert (profile.method["power"], profile.method["energy_points"]) == ("a fake", len(known))
    assert profile_problems(profile) == ()


def test_a_counter_that_stands_still_gives_no_power_never_0() -> None:
    clock = FakeClock()
    profile = profiled(clock, FakeMeter(clock, stuck=True))
    assert (profile.idle_w, profile.active_w, profile.power_source) == (None, None, "none")
    assert {point.energy_j for point in profile.points} == {None}


def test_declared_watts_are_marked() -> None:
    profile = profiled(FakeClock(), None, declared=Declared(idle_w=3.0, active_w=9.0))
    assert (profile.idle_w, profile.active_w, profile.power_source) == (3.0, 9.0, "declared")
    assert profile_problems(profile) == ()


def test_a_dozen_points_lie_all_over_the_grid() -> None:
    points = GRID.points(96)
    chosen = some_of(points, every=False)
    assert len(chosen) == 12
    assert {min(points), max(points)} <= set(chosen)
    assert some_of(points[:5], every=False) == tuple(sorted(points[:5]))
