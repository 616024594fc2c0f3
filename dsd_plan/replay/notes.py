"""What a result says of the run behind it, be it replications or one whole run: a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import FaultWindow
from dsd_plan.domain.performance import DevicePerformance
from dsd_plan.domain.profile import Origin
from dsd_plan.replay.layout import FATES
from dsd_plan.replay.load import link_name

SLOW = ("slow_link", "slow_device")
NO_FATE = "stalled, sent another way, left without its draft, moved or prefilled again"


def overfull_devices(offered: Mapping[str, float], counts: Mapping[str, int]) -> Iterator[str]:
    """What is saturated before anything runs, and what to do, by device type; `counts` of them are deployed."""
    for name, saturation in sorted(offered.items(), key=lambda item: -item[1]):
        if saturation >= 1.0:
            needed = floor(counts[name] * saturation) + 1
            yield (
                f"{name} is saturated: requests ask {saturation:.3g} times what it can do at full batches; offer less "
                f"than {100.0 / saturation:.3g} % of this load, or deploy at least {needed} of it instead of "
                f"{counts[name]}"
            )


def overfull_links(sent: Mapping[str, float]) -> Iterator[str]:
    """As `overfull_devices`, of links of limited bandwidth."""
    for name, saturation in sent.items():
        if saturation >= 1.0:
            yield (
                f"{name} is saturated: requests send {saturation:.3g} times what it can carry; offer less than "
                f"{100.0 / saturation:.3g} % of this load, raise its bandwidth, or send less (wire, window)"
            )


def fullest(devices: Sequence[DevicePerformance]) -> Iterator[str]:
    """Where to look first when a run has not settled."""
    known = [(device.saturation, device.name) for device in devices if device.saturation is not None]
    if known:
        saturation, name = max(known)
        yield f"the fullest is {name}: asked for {saturation:.0%} of what it can do at full batches"


def fault_notes(
    deployed: Deployed, requests: int, fates: Sequence[int], ends_s: Sequence[float], *, whole: bool = False
) -> Iterator[str]:
    """What faults did to `requests` requests, `fates` of them each of FATES, in runs that were over at `ends_s`.

    Only what leaves a mark on single requests can be counted; which faults leave none is said.
    """
    came = [fault for fault in deployed.scenario.faults if fault.at_s < max(ends_s)]
    for index, fault in enumerate(deployed.scenario.faults):
        over = sum(end_s <= fault.at_s for end_s in ends_s)
        if over > 0:
            where = "the run ended" if whole else "measuring ended"
            at = f"before, {'' if len(ends_s) == 1 else 'at the latest '}at {max(ends_s):.4g} s"
            if over < len(ends_s):
                at = f"before in {over} of {len(ends_s)} replications"
            yield f"faults[{index}]: {fault.kind} at {fault.at_s:.4g} s: {where} {at}"
    if not came:
        return
    parts = []
    if any(fault.kind not in SLOW for fault in came):
        told = ", ".join(f"{count} {fate}" for fate, count in zip(FATES, fates, strict=True) if count > 0)
        runs = "" if whole else f" in {len(ends_s)} replications"
        parts.append(f"of all {requests} requests{runs} {told or f'none was {NO_FATE}'}")
    unmarked = tuple(_unmarked(deployed, came))
    if unmarked:
        parts.append(f"{' and '.join(unmarked)} leave no mark on single requests, and are not counted")
    if not whole:
        parts.append("numbers are averages over the run with its faults, not of a steady state")
    yield f"faults: {'; '.join(parts)}"


def _unmarked(deployed: Deployed, came: Sequence[FaultWindow]) -> Iterator[str]:
    if any(fault.kind in SLOW for fault in came):
        yield "slow spells"
    targets = {pool.device.name for pool in deployed.targets}
    if any(fault.kind == "device_down" and fault.device in targets for fault in came):
        yield "waits for a replica that is down"


def extrapolation_notes(workload: str, origin: dict[str, Origin] | None) -> Iterator[str]:
    """Inputs of a workload that lie beyond what was measured."""
    beyond = [key for key, found in (origin or {}).items() if found == "extrapolated"]
    if beyond:
        yield f"{workload}: {', '.join(beyond)} extrapolated beyond the measured points"


def repetition_notes(deployed: Deployed, run_s: float) -> Iterator[str]:
    """Links' traces that a run of so many seconds played more than once."""
    traces = {hop.link: hop.trace for s in deployed.streams for hop in (*s.up, *s.down) if hop.trace is not None}
    for link, trace in traces.items():
        if len(trace.at_s) > 1 and run_s > trace.length_s:
            yield (
                f"{link_name(deployed, link)}: its trace of {trace.length_s:.4g} s was played "
                f"{run_s / trace.length_s:.1f} times in a run of {run_s:.4g} s"
            )


def memory_notes(deployed: Deployed, waits: Sequence[int], prompts: Sequence[int]) -> Iterator[str]:
    """How many requests waited for KV memory; both by replica, `prompts` counts those that it was given."""
    first = 0
    for pool in deployed.targets:
        mine = slice(first, first + pool.replicas)
        first += pool.replicas
        waited = sum(waits[mine])
        if waited > 0:
            yield f"{pool.device.name}: {waited / sum(prompts[mine]):.0%} of requests waited for KV memory"
