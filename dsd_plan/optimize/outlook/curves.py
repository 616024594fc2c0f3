"""Latency against load, from a tenth of what saturates a plan to beyond."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import LoadCurve, LoadPoint
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.variation import with_load
from dsd_plan.optimize.outlook.contenders import Explorer

SHARES_OF_KNEE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2)
PROBE_LOADS = (0.05, 0.005, 0.0005)
"""Light loads, as multiples of today's, at which the knee is read off; the later ones where today is far beyond it."""


def knee(explorer: Explorer, deployed: Deployed) -> float:
    """Multiple of today's load at which the busiest device saturates, from its saturation under a light load.

    Saturation is proportional to open load. For closed users it is the number of them beyond which responses grow.
    """
    for load in PROBE_LOADS:
        performance = explorer.performance(with_load(deployed, load))
        if isinstance(performance, Performance) and busiest(performance) > 0.0:
            return _asked(deployed, load) / busiest(performance)
    return 1.0


def busiest(performance: Performance) -> float:
    """Saturation of the busiest device type."""
    return max((device.saturation or 0.0 for device in performance.devices), default=0.0)


def _asked(deployed: Deployed, load: float) -> float:
    """What rounding to whole users makes of `load`, where all users are closed."""
    now = [stream.requests for stream in deployed.streams]
    then = [stream.requests for stream in with_load(deployed, load).streams]
    users_now = sum(requests.users for requests in now if isinstance(requests, ClosedRequests))
    users_then = sum(requests.users for requests in then if isinstance(requests, ClosedRequests))
    return users_then / users_now if all(isinstance(r, ClosedRequests) for r in now) else load


def load_curves(
    explorer: Explorer,
    choices: Iterable[Choice],
    drawn: frozenset[str] | None = None,
    shares: Sequence[float] = SHARES_OF_KNEE,
) -> tuple[LoadCurve, ...]:
    """One curve for every choice and workload; today's load is among the points. Saturated points hold no latency.

    `drawn`: the workloads that get a curve, where not all do, and only the devices that serve them are looked at;
    `shares` of the knee are the other points.
    """
    curves = []
    for choice in choices:
        deployed = explorer.deployed(choice)
        if drawn is not None:
            from dsd_plan.optimize.choices.parts import around

            deployed = around(deployed, drawn)
        top = knee(explorer, deployed)
        loads = sorted({*(share * top for share in shares), 1.0})
        seen = [(load, explorer.performance(with_load(deployed, load))) for load in loads]
        curves += [
            LoadCurve(
                workload=candidate.workload,
                mode=candidate.mode,
                window=candidate.window or 0,
                share=1.0 if candidate.served == candidate.mode else candidate.share,
                points=tuple(_point(load, performance, candidate.workload) for load, performance in seen),
            )
            for candidate in choice.candidates
            if drawn is None or candidate.workload in drawn
        ]
    return tuple(curves)


def _point(load: float, performance: Performance | UnstableError, workload: str) -> LoadPoint:
    if isinstance(performance, UnstableError):
        return LoadPoint(
            load=load, saturation=performance.saturation, ttft_p95_ms=None, tpot_mean_ms=None, tpot_p95_ms=None
        )
    found = performance.workload(workload)
    return LoadPoint(
        load=load,
        saturation=busiest(performance),
        ttft_p95_ms=found.ttft_ms.p95,
        tpot_mean_ms=found.tpot_ms.mean,
        tpot_p95_ms=found.tpot_ms.p95,
    )
