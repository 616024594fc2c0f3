"""What a scenario's faults mean: when links are cut and devices away, and which way is left meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from dsd_plan.domain.fleet import HOLD_S, FaultWindow
from dsd_plan.domain.network import Hop, route
from dsd_plan.domain.scenario import Scenario


class Spell(NamedTuple):
    """From (included) until (excluded), in s; `factor` on times meanwhile."""

    from_s: float
    until_s: float
    factor: float = 1.0


class Detour(NamedTuple):
    """A time in which a route is cut, and the way that is left: (up, down), or None."""

    from_s: float
    until_s: float
    ways: tuple[tuple[Hop, ...], tuple[Hop, ...]] | None
    hold_until_s: float
    """Without a way: until when the target holds what its sessions have in memory."""


def cuts(scenario: Scenario, link: int) -> tuple[Spell, ...]:
    """When a link carries nothing, in order; spells that touch are one."""
    return _joined([fault for fault in scenario.faults if _hits_link(scenario, fault, link, "link_down")])


def slow_links(scenario: Scenario, link: int) -> tuple[Spell, ...]:
    """When a link's delays are longer; factors of spells that overlap multiply."""
    return _slow([fault for fault in scenario.faults if _hits_link(scenario, fault, link, "slow_link")])


def outages(scenario: Scenario, device: str, index: int) -> tuple[Spell, ...]:
    """When the index-th device of a type is away (at every copy of its site); a fault without index hits them all."""
    return _joined([fault for fault in scenario.faults if _hits_device(fault, device, index, "device_down")])


def slow_devices(scenario: Scenario, device: str, index: int) -> tuple[Spell, ...]:
    """When its steps take longer; as `slow_links`."""
    return _slow([fault for fault in scenario.faults if _hits_device(fault, device, index, "slow_device")])


def detours(scenario: Scenario, start: str, end: str) -> tuple[Detour, ...]:
    """The times in which the usual route between two sites is cut, in order."""
    usual = route(scenario, start, end)
    used = frozenset(hop.link for hop in usual[0]) if usual is not None else frozenset()
    down = [fault for fault in scenario.faults if fault.kind == "link_down"]
    times_s = sorted({time_s for fault in down for time_s in (fault.at_s, fault.at_s + fault.for_s)})
    found: list[Detour] = []
    for from_s, until_s in pairwise(times_s):
        now = [fault for fault in down if fault.at_s <= from_s and until_s <= fault.at_s + fault.for_s]
        cut = frozenset(
            link
            for link in range(len(scenario.links))
            for fault in now
            if _hits_link(scenario, fault, link, fault.kind)
        )
        if not cut & used:
            continue
        ways = route(scenario, start, end, cut)
        if found and found[-1].until_s == from_s and found[-1].ways == ways:
            found[-1] = found[-1]._replace(until_s=until_s)
        else:
            cutting = [fault for fault in now if any(_hits_link(scenario, fault, link, fault.kind) for link in used)]
            held_s = min(HOLD_S if fault.hold_s is None else fault.hold_s for fault in cutting)
            found.append(Detour(from_s, until_s, ways, from_s + held_s))
    return tuple(found)


def _hits_link(scenario: Scenario, fault: FaultWindow, link: int, kind: str) -> bool:
    joins = fault.between is not None and set(fault.between) == set(scenario.links[link].between)
    return fault.kind == kind and joins


def _hits_device(fault: FaultWindow, device: str, index: int, kind: str) -> bool:
    return fault.kind == kind and fault.device == device and fault.index in (None, index)


def _joined(faults: list[FaultWindow]) -> tuple[Spell, ...]:
    found: list[Spell] = []
    for from_s, until_s in sorted((fault.at_s, fault.at_s + fault.for_s) for fault in faults):
        if found and from_s <= found[-1].until_s:
            found[-1] = Spell(found[-1].from_s, max(found[-1].until_s, until_s))
        else:
            found.append(Spell(from_s, until_s))
    return tuple(found)


def _slow(faults: list[FaultWindow]) -> tuple[Spell, ...]:
    return tuple(Spell(fault.at_s, fault.at_s + fault.for_s, fault.factor or 1.0) for fault in faults)
