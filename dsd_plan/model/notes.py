"""What a reader must know before trusting a prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.idle_caps import idle_cap_notes
from dsd_plan.domain.performance import WorkloadPerformance
from dsd_plan.domain.sustained import slowing
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model.devices import DeviceUse
from dsd_plan.model.solution import PoolSolution, Solution
from dsd_plan.model.traffic import Demand

HIGH_SATURATION = 0.85
SHORT_THINK = 0.05
"""Share of a user's cycle spent away, below which users march in step."""
MEMORY_WAITS = 0.01
CROWDED = 0.02
"""Share of the time beyond full batches from which on a recording's predicted tails are not to be relied on."""


def notes_of(
    deployed: Deployed,
    demands: Sequence[Demand],
    solution: Solution,
    workloads: Sequence[WorkloadPerformance],
    uses: Sequence[DeviceUse],
) -> tuple[str, ...]:
    """Limits reached, extrapolations and assumptions, each with what to do about it."""
    return tuple(dict.fromkeys(_notes(deployed, demands, solution, workloads, uses)))


def _notes(
    deployed: Deployed,
    demands: Sequence[Demand],
    solution: Solution,
    workloads: Sequence[WorkloadPerformance],
    uses: Sequence[DeviceUse],
) -> Iterator[str]:
    for workload in workloads:
        beyond = [key for key, origin in (workload.origin or {}).items() if origin == "extrapolated"]
        if beyond:
            yield f"{workload.name}: {', '.join(beyond)} extrapolated beyond the measured points"
    yield from idle_cap_notes(deployed)
    for use in uses:
        saturation = use.performance.saturation or 0.0
        if saturation >= HIGH_SATURATION:
            yield (
                f"{use.performance.name}: saturation {saturation:.2f}; this near to 1 the predicted p95 and p99 "
                "may be a fifth off: replay before relying on them"
            )
    for demand in demands:
        yield from _about(demand, solution)
    for pool in solution.pools:
        if pool is not None:
            yield from _about_pool(pool)
    for device, profile in deployed.profiles():
        slows = slowing(device, profile)
        if slows is not None:
            yield f"{slows} (`sustained`); predicted as it is then"
    traces = {hop.link: hop.trace for s in deployed.streams for hop in s.up if hop.trace is not None}
    for link, trace in traces.items():
        yield (
            f"{' – '.join(deployed.scenario.links[link].between)}: predicted from its trace's mean of "
            f"{trace.mean_ms:.4g} ms and its spread, as if that were new for every message; a slow drift is not: "
            "replay it"
        )
    if deployed.scenario.faults:
        yield "predicted without the scenario's faults, which only a replay plays"
    if not solution.settled:
        yield "the fixed point did not settle: users and draft queues may be a few per cent off; replay to be sure"


def _about(demand: Demand, solution: Solution) -> Iterator[str]:
    name = demand.stream.workload.name
    if demand.paths > 1 and isinstance(demand.stream.acceptance, AcceptanceLaw):
        yield (
            f"{name}: {demand.paths} candidate paths are accepted as if they were independent, "
            f"1 − (1 − p)^{demand.paths} a position, which is optimistic; record rounds of {demand.paths} paths"
        )
    if isinstance(demand.stream.requests, RequestTrace):
        yield (
            f"{name}: the recorded arrivals count as they came (index of dispersion "
            f"{_dispersion(demand.stream.requests):.1f}, Poisson 1)"
        )
        wait = solution.states[demand.index].wait
        if wait is not None and wait.mean > solution.states[demand.index].round / 2.0:
            yield (
                f"{name}: recorded bursts fill its draft devices, and waiting there is more than half of a round; "
                "that is predicted to a half at best: replay it"
            )
    if demand.users > 1:
        state = solution.states[demand.index]
        if demand.think < SHORT_THINK * (demand.away + state.request):
            yield f"{name}: users who do not think fall into step with each other; TTFT may be off by a half, replay it"


def _about_pool(pool: PoolSolution) -> Iterator[str]:
    target = pool.demands[0]
    name = target.stream.assignment.target_device
    if any(isinstance(demand.stream.requests, RequestTrace) for demand in pool.demands):
        full = pool.pool.together * pool.table.full
        crowded = float(pool.live.law[np.arange(pool.live.law.size) * pool.table.unit > full].sum())
        if crowded > CROWDED:
            yield (
                f"{name}: recorded bursts bring more than full batches can serve, {crowded:.0%} of the time; what "
                "waits then is predicted to a half at best: replay it"
            )
    if pool.pool.replicas > 1:
        if pool.pool.together > 1:
            yield f"{name}: live sessions are taken to be spread over its replicas nearly evenly"
        else:
            yield f"{name}: its replicas are taken to fill independently of each other"
    law = pool.live.law
    inside = pool.pool.together * pool.pool.places
    if np.isfinite(inside):
        waiting = float(law[np.arange(law.size) * pool.table.unit >= inside].sum())
        if waiting > MEMORY_WAITS:
            room = "KV memory holds" if pool.time.engine is None else "there is room for"
            places = f"{pool.pool.places:.0f} sessions a replica"
            yield f"{name}: {room} {places}; {waiting:.0%} of the time a request waits for it"


def _dispersion(requests: RequestTrace) -> float:
    """Variance over mean of the arrivals in windows of ten mean gaps."""
    at = requests.arrival_s - requests.arrival_s[0]
    windows = max(int(at.size / 10), 1)
    counts = np.bincount(np.minimum((at / max(float(at[-1]), 1e-9) * windows).astype(int), windows - 1))
    return float(counts.var() / counts.mean())
