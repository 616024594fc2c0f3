"""What users will see: one type for the model, the replayer and the testbed alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter

from dsd_plan.domain.identity import Same
from dsd_plan.domain.profile import Origin
from dsd_plan.domain.records import record

Source = Literal["model", "replay", "testbed", "measured"]
"""`measured` is a system in service, as its logs or metrics tell."""


@record
class Interval:
    """A point estimate with its confidence interval."""

    point: float
    low: float
    high: float
    level: float = 0.95


@record
class Quantiles:
    """Mean and quantiles of a latency in ms. None: not known (no steady state)."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@record
class RoundParts:
    """Mean time of one round (of one iteration, in target_only and fused) by where it goes, in ms."""

    draft_ms: float
    uplink_ms: float
    wait_ms: float
    verify_ms: float
    downlink_ms: float


@record
class WorkloadPerformance:
    """One workload's latency, throughput and price. Definitions: docs/glossary.md."""

    name: str
    requests: int | None
    """How many requests stand behind the numbers; None from the model."""
    ttft_ms: Quantiles
    tpot_ms: Quantiles
    itl_ms: Quantiles
    e2e_ms: Quantiles
    requests_per_s: float | None
    tokens_per_s: float | None
    goodput_per_s: float | None
    slo_attainment: float | None
    tokens_per_round: float | None
    """(output_tokens − 1) / rounds: counted after the last round's cut. None in target_only."""
    acceptance_rate: float | None
    rounds_per_request: float | None
    energy_j_per_token: float | None
    bytes_per_token: float | None
    round_parts: RoundParts | None = None
    ci: dict[str, tuple[float, float] | None] | None = None
    """95 % intervals over replications by metric, e.g. "ttft_ms.mean"."""
    origin: dict[str, Origin] | None = None
    """How each input behind the numbers is known."""


@record
class DevicePerformance:
    """One device type's load. Saturation is offered work over the work possible at full batches; the knee is at 1."""

    name: str
    saturation: float | None
    busy: float | None
    mean_batch: float | None
    power_w: float | None
    wasted: float | None = None
    """Share of an edge draft's busy time, and so of the energy above idle, that went into tokens drafted ahead and
    thrown away. None: not a draft device, or not told."""
    deployed: int | None = None
    """How many of them are deployed, over all copies of their site; `power_w` is of all of these together."""


@record
class LinkPerformance:
    """One link with a limited bandwidth, over all its copies."""

    name: str
    """Its two sites; `up` leads from the first to the second."""
    up_busy: float
    """Share of the time in which it sends."""
    down_busy: float
    up_bytes_per_s: float
    down_bytes_per_s: float


@record
class FleetPerformance:
    """Sums over the fleet."""

    tokens_per_s: float | None
    goodput_per_s: float | None
    power_w: float | None
    energy_j_per_token: float | None
    cost_per_hour: float
    cost_per_million_tokens: float | None


@record
class Performance:
    """What a plan gives its users, as predicted, replayed or measured (`source`)."""

    source: Source
    workloads: tuple[WorkloadPerformance, ...]
    devices: tuple[DevicePerformance, ...]
    fleet: FleetPerformance
    steady: bool = True
    links: tuple[LinkPerformance, ...] = ()
    """From the replay: links whose bandwidth is limited and that the plan uses."""
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting a number: limits reached, extrapolations, assumptions."""

    def workload(self, name: str) -> WorkloadPerformance:
        """The workload called `name`. Raises KeyError."""
        if len(self.workloads) > FEW:
            return _by_name(Same(self.workloads))[name]
        for workload in self.workloads:
            if workload.name == name:
                return workload
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema dsd-plan/performance/1."""
        return {"schema": "dsd-plan/performance/1", **_ADAPTER.dump_python(self, mode="json")}


FEW = 12
"""Workloads up to which one is looked for in their order."""


@lru_cache(maxsize=2)
def _by_name(workloads: Same[tuple[WorkloadPerformance, ...]]) -> dict[str, WorkloadPerformance]:
    # From the last to the first: of two with one name the first stands.
    return {workload.name: workload for workload in reversed(workloads.thing)}


_ADAPTER = TypeAdapter(Performance)
