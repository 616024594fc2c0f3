"""The hours of a day: what each workload asks in them, and the busiest."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, Workload

HOURS = 24
LEAST_FACTOR = 1e-6
"""An hour in which nothing is asked counts as one in which next to nothing is: open requests need a rate."""
HOURS_A_MONTH = 730.0


def varies(scenario: Scenario) -> bool:
    """Whether any workload's load follows the hours of the day."""
    return any(workload.hourly_load is not None for workload in scenario.workloads)


def peak_of(scenario: Scenario) -> float:
    """The largest factor of any workload on the rates that the scenario gives."""
    return max((max(w.hourly_load) for w in scenario.workloads if w.hourly_load is not None), default=1.0)


def peak_notes(scenario: Scenario) -> tuple[str, ...]:
    """What a result at the loads as given does not tell of the busiest hour."""
    if peak_of(scenario) <= 1.0:
        return ()
    return (f"at the loads as given; the busiest hour of the day asks up to {peak_of(scenario):.3g} times as much",)


def factors_at(scenario: Scenario, hour: int) -> tuple[float, ...]:
    """Each workload's factor in an hour; 1 where it does not vary."""
    return tuple(1.0 if w.hourly_load is None else w.hourly_load[hour] for w in scenario.workloads)


def at_peak(scenario: Scenario) -> Scenario:
    """Every workload at its own largest factor, and `hourly_load` as shares of that. The same where none varies."""
    if not varies(scenario):
        return scenario
    workloads = []
    for workload in scenario.workloads:
        if workload.hourly_load is not None:
            peak = max(workload.hourly_load)
            shares = tuple(factor / peak for factor in workload.hourly_load)
            workload = replace(scaled(workload, peak), hourly_load=shares)
        workloads.append(workload)
    return replace(scenario, workloads=tuple(workloads))


def peaks_apart(scenario: Scenario) -> bool:
    """Whether no hour has every workload at its own largest factor."""
    largest = tuple(1.0 if w.hourly_load is None else max(w.hourly_load) for w in scenario.workloads)
    return varies(scenario) and all(factors_at(scenario, hour) != largest for hour in range(HOURS))


def with_factors(scenario: Scenario, factors: tuple[float, ...]) -> Scenario:
    """Every workload's load times its factor."""
    workloads = (scaled(workload, factor) for workload, factor in zip(scenario.workloads, factors, strict=True))
    return replace(scenario, workloads=tuple(workloads))


def scaled(workload: Workload, factor: float) -> Workload:
    """The workload at `factor` times its load: its rate, or its users, of whom there are whole ones."""
    factor = max(factor, LEAST_FACTOR)
    requests = workload.requests
    if isinstance(requests, PoissonRequests):
        return replace(workload, requests=replace(requests, rate_per_s=requests.rate_per_s * factor))
    if isinstance(requests, ClosedRequests):
        return replace(workload, requests=replace(requests, users=max(1, ceil(requests.users * factor - 1e-9))))
    return replace(workload, rate_per_s=(workload.rate_per_s or requests.rate_per_s) * factor)
