"""Watts and joules of steps, over windows long enough for the meter that counts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dsd_plan.measure.machine import Clock
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.runner import Runner

if TYPE_CHECKING:
    from dsd_plan.measure.power.find import PowerMeter

SHORTEST_S = 2.0
"""Least time over which idle and active power are taken."""
SOME_POINTS = 12
"""Points whose energy is taken unless all are asked for."""

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Declared:
    """Watts that somebody says, where nothing counts them."""

    idle_w: float | None = None
    active_w: float | None = None

    @property
    def any(self) -> bool:
        """Whether anything was said."""
        return self.idle_w is not None or self.active_w is not None


@dataclass(slots=True)
class Energy:
    """What the meter said."""

    idle_w: float | None = None
    active_w: float | None = None
    by_point_j: dict[GridPoint, float] = field(default_factory=dict)


def idle_power_w(meter: PowerMeter, clock: Clock) -> float | None:
    """Power while this process waits, over at least two seconds; None where the counter did not move."""
    return _watts(meter, clock, lambda: clock.sleep(max(SHORTEST_S, meter.window_s)))


def active_power_w(meter: PowerMeter, clock: Clock, step: Callable[[], None]) -> float | None:
    """Power while ``step`` is repeated without a pause, over at least two seconds."""
    step()
    return _watts(meter, clock, lambda: _repeated(step, max(SHORTEST_S, meter.window_s), clock))


def step_energy_j(meter: PowerMeter, clock: Clock, step: Callable[[], None]) -> float | None:
    """Energy of one step, from as many as fill the meter's window; idle power is part of it."""
    step()
    before_j = meter.joules()
    steps = _repeated(step, meter.window_s, clock)
    used_j = meter.joules() - before_j
    return used_j / steps if used_j > 0.0 else None


def some_of(points: Sequence[GridPoint], every: bool) -> tuple[GridPoint, ...]:
    """Points whose energy is taken: all, or a dozen spread over the grid."""
    ordered = sorted(points)
    if every or len(ordered) <= SOME_POINTS:
        return tuple(ordered)
    last = len(ordered) - 1
    return tuple(dict.fromkeys(ordered[round(last * k / (SOME_POINTS - 1))] for k in range(SOME_POINTS)))


def step_energies_j(
    meter: PowerMeter,
    clock: Clock,
    runner: Runner,
    points: Sequence[GridPoint],
    on_progress: OnProgress | None = None,
) -> Mapping[GridPoint, float]:
    """Energy of one step at each of ``points``; a point at which the counter did not move is left out."""
    found = {}
    for done, point in enumerate(points, 1):
        energy_j = step_energy_j(meter, clock, runner.prepared(point))
        if energy_j is not None:
            found[point] = energy_j
        if on_progress is not None:
            on_progress(100 * done // len(points), 100, f"{runner.model}: energy of {done} of {len(points)} points")
    return found


def _watts(meter: PowerMeter, clock: Clock, work: Callable[[], object]) -> float | None:
    before_j, began_s = meter.joules(), clock.wall_s()
    work()
    used_j, seconds = meter.joules() - before_j, clock.wall_s() - began_s
    return used_j / seconds if used_j > 0.0 else None


def _repeated(step: Callable[[], None], at_least_s: float, clock: Clock) -> int:
    ends_s, steps = clock.wall_s() + at_least_s, 0
    while steps == 0 or clock.wall_s() < ends_s:
        step()
        steps += 1
    return steps
