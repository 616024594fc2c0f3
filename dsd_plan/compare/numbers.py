"""What became of every number of a performance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dsd_plan.compare.differences import Ends, difference, finding, ratio
from dsd_plan.domain.comparison import NumberChange, NumberScope
from dsd_plan.domain.performance import Performance, Source, WorkloadPerformance

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")
RATES = (
    "requests_per_s",
    "tokens_per_s",
    "goodput_per_s",
    "slo_attainment",
    "tokens_per_round",
    "acceptance_rate",
    "energy_j_per_token",
    "bytes_per_token",
)
OF_DEVICES = ("saturation", "busy", "mean_batch", "power_w")
OF_FLEET = (
    "cost_per_hour",
    "cost_per_million_tokens",
    "energy_j_per_token",
    "power_w",
    "tokens_per_s",
    "goodput_per_s",
)
EXACT = {"cost_per_hour"}
"""Of the fleet: follows from the plan, without error."""
FLEET = "fleet"
FleetEnds = Mapping[str, Ends]
"""Intervals of the fleet's numbers, by metric."""


def number_changes(
    before: Performance, after: Performance, of_fleet: tuple[FleetEnds, FleetEnds] = ({}, {})
) -> tuple[NumberChange, ...]:
    """Every number that either side knows, of the workloads and devices that both have, and of the fleet.

    A side's interval is its `ci`; of the fleet's numbers it is in `of_fleet`. `source` is the second side's.
    """
    return (*_workloads(before, after), *_devices(before, after), *_fleet(before, after, of_fleet))


def _workloads(before: Performance, after: Performance) -> Iterator[NumberChange]:
    old = {workload.name: workload for workload in before.workloads}
    for new in after.workloads:
        if new.name not in old:
            continue
        for metric in metrics():
            change = _change(
                "workload",
                new.name,
                metric,
                after.source,
                value_of(old[new.name], metric),
                value_of(new, metric),
                (old[new.name].ci or {}).get(metric),
                (new.ci or {}).get(metric),
            )
            if change is not None:
                yield change


def metrics() -> tuple[str, ...]:
    """What is compared of a workload, as it is called in a performance."""
    return (*(f"{latency}.{statistic}" for latency in LATENCIES for statistic in STATISTICS), *RATES)


def value_of(workload: WorkloadPerformance, metric: str) -> float | None:
    """The value of a metric such as "tpot_ms.p95" or "tokens_per_s"."""
    base, _, statistic = metric.partition(".")
    found = getattr(workload, base)
    value: float | None = getattr(found, statistic) if statistic else found
    return value


def _devices(before: Performance, after: Performance) -> Iterator[NumberChange]:
    old = {device.name: device for device in before.devices}
    for new in after.devices:
        for metric in OF_DEVICES if new.name in old else ():
            values = getattr(old[new.name], metric), getattr(new, metric)
            change = _change("device", new.name, metric, after.source, *values)
            if change is not None:
                yield change


def _fleet(before: Performance, after: Performance, ends: tuple[FleetEnds, FleetEnds]) -> Iterator[NumberChange]:
    for metric in OF_FLEET:
        values = getattr(before.fleet, metric), getattr(after.fleet, metric)
        change = _change("fleet", FLEET, metric, after.source, *values, *(side.get(metric) for side in ends))
        if change is not None:
            yield change


def _change(
    scope: NumberScope,
    name: str,
    metric: str,
    source: Source,
    before: float | None,
    after: float | None,
    before_ends: Ends | None = None,
    after_ends: Ends | None = None,
) -> NumberChange | None:
    if before is None and after is None:
        return None
    gap = quotient = None
    if before is not None and after is not None and before_ends is not None and after_ends is not None:
        gap = difference(before, before_ends, after, after_ends)
        quotient = ratio(before, before_ends, after, after_ends)
    return NumberChange(
        scope=scope,
        name=name,
        metric=metric,
        source=source,
        before=before,
        after=after,
        before_interval=before_ends,
        after_interval=after_ends,
        difference=gap,
        ratio=quotient,
        relative=None if after is None or not before else after / before - 1.0,
        finding=finding(before, after, gap, exact=scope == "fleet" and metric in EXACT),
    )
