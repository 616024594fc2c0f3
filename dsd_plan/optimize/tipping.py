"""How far one input may move, all others held, before another mode is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

from dsd_plan.domain.scenario import Mode
from dsd_plan.domain.study import TippingPoint
from dsd_plan.optimize.ground import ACCEPTANCE_RANGE, RTT_RANGE_MS, Condition, Ground

SCAN_STEPS = 6
"""Steps from today's value to either end of the range; a mode that wins only between two of them goes unseen."""
BISECTIONS = 8


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    now: float
    searched: tuple[float, float]
    at: Callable[[float], Condition]
    by_ratio: bool


def tipping_points(grounds: Sequence[Ground]) -> tuple[TippingPoint, ...]:
    """For every workload with more than one mode: the nearest change of the fastest mode along each input."""
    return tuple(
        _tipping(ground, given) for ground in grounds if len(ground.contenders) > 1 for given in _inputs(ground)
    )


def _inputs(ground: Ground) -> list[_Input]:
    found = []
    if ground.rtt_ms is not None:
        low, high = RTT_RANGE_MS
        searched = (min(low, ground.rtt_ms), max(high, 2.0 * ground.rtt_ms))
        found.append(_Input("rtt_ms", ground.rtt_ms, searched, _at_rtt, by_ratio=searched[0] > 0.0))
    if ground.acceptance is not None:
        low, high = ACCEPTANCE_RANGE
        searched = (min(low, ground.acceptance), max(high, ground.acceptance))
        found.append(_Input("acceptance", ground.acceptance, searched, _at_acceptance, by_ratio=False))
    found.append(_Input("load", 1.0, ground.load_range, _at_load, by_ratio=True))
    return found


def _at_rtt(value: float) -> Condition:
    return Condition(rtt_ms=value)


def _at_acceptance(value: float) -> Condition:
    return Condition(acceptance=value)


def _at_load(value: float) -> Condition:
    return Condition(load=value)


def _tipping(ground: Ground, given: _Input) -> TippingPoint:
    near: dict[Mode, int] = dict(ground.near)

    def fastest(value: float) -> Mode | None:
        if here is not None and ground.surely(here, given.at(value), near):
            return here
        found = ground.standings(given.at(value), near)
        near.update({standing.mode: standing.window for standing in found})
        return found[0].mode if found[0].tpot_ms is not None else None

    here: Mode | None = None
    here = fastest(given.now)
    nearest: tuple[float, float, Mode] | None = None
    for end in given.searched:
        tip = _first_change(given, here, end, fastest)
        if tip is not None and (nearest is None or _distance(given, tip[0]) < nearest[0]):
            nearest = (_distance(given, tip[0]), *tip)
    return TippingPoint(
        workload=ground.workload,
        input=given.name,
        now=given.now,
        tips_at=None if nearest is None else nearest[1],
        searched=given.searched,
        becomes=None if nearest is None else nearest[2],
    )


def _first_change(
    given: _Input, here: Mode | None, end: float, fastest: Callable[[float], Mode | None]
) -> tuple[float, Mode] | None:
    """Where the fastest mode first differs on the way from now to `end`, and what it is there."""
    if end == given.now:
        return None
    same = given.now
    for step in range(1, SCAN_STEPS + 1):
        other = _between(given, given.now, end, step / SCAN_STEPS)
        mode = fastest(other)
        if mode is None or mode == here:
            # Where nothing has a steady state there is no faster mode to change to.
            same = other
            continue
        for _ in range(BISECTIONS):
            middle = _between(given, same, other, 0.5)
            found = fastest(middle)
            if found is None or found == here:
                same = middle
            else:
                other, mode = middle, found
        return float(f"{other:.4g}"), mode
    return None


def _between(given: _Input, start: float, end: float, share: float) -> float:
    if given.by_ratio and start > 0.0 and end > 0.0:
        return start * exp(log(end / start) * share)
    return start + (end - start) * share


def _distance(given: _Input, value: float) -> float:
    if given.by_ratio and given.now > 0.0 and value > 0.0:
        return abs(log(value / given.now))
    return abs(value - given.now)
