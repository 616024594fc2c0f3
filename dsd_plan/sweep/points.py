"""One point of a sweep: the scenario there, and the rows that say what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dsd_plan.domain.acceptance import largest_window
from dsd_plan.domain.performance import Performance, WorkloadPerformance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.sweep import Values
from dsd_plan.domain.workload import METRICS, ClosedRequests, PoissonRequests, RequestTrace, Workload
from dsd_plan.errors import InputError, UnstableError
from dsd_plan.files.scenario_keys import LOAD, Key
from dsd_plan.files.variations import Variations
from dsd_plan.optimize.choices.budgets import limits_of, quantity_of
from dsd_plan.optimize.choices.variation import matched_law

Row = dict[str, Any]
Ask = Callable[[Scenario, Plan], Performance]

STATISTICS = ("mean", "p50", "p95", "p99")
WITH_INTERVALS = ("mean", "p95")
LATENCIES = tuple(f"{metric}_{statistic}_ms" for metric in METRICS for statistic in STATISTICS)
BOUNDS = tuple(
    f"{metric}_{statistic}_{end}_ms" for metric in METRICS for statistic in WITH_INTERVALS for end in ("low", "high")
)
OF_WORKLOAD = (
    *("requests_per_s", "tokens_per_s", "goodput_per_s", "slo_attainment", "tokens_per_round", "acceptance_rate"),
    *("energy_j_per_token", "bytes_per_token"),
)
OF_FLEET = ("tokens_per_s", "power_w", "energy_j_per_token", "cost_per_hour", "cost_per_million_tokens")
NUMBERS = (*LATENCIES, *BOUNDS, *OF_WORKLOAD, "saturation", *(f"fleet_{name}" for name in OF_FLEET))
WORDS = ("workload", "outcome", "reason", "source", "busiest_device", "point_hash")
COLUMNS: Mapping[str, type] = {
    "point": int,
    "workload": str,
    "outcome": str,
    "reason": str,
    "source": str,
    "budgets_kept": bool,
    "busiest_device": str,
    **dict.fromkeys(NUMBERS, float),
    "point_hash": str,
}
"""Every column behind those of the keys, in order."""

OK, UNSTABLE, UNSTEADY, REFUSED = "ok", "unstable", "unsteady", "refused"
WINDOWS = 16
"""Positions to which a law of acceptance is carried over where it has no end."""


def point_of(variations: Variations, values: Values) -> tuple[Scenario, Plan]:
    """The scenario and plan of a point, derived keys applied. Raises InputError where they make no sense."""
    scenario, plan = variations.at(values)
    for text, value in values.items():
        key = variations.key(text)
        if key.derived is not None:
            scenario = _derived(scenario, key, float(value))
    return scenario, plan


def _derived(scenario: Scenario, key: Key, value: float) -> Scenario:
    index = key.loc[1] if key.loc else None
    if key.derived == LOAD:
        workloads = tuple(
            _loaded(workload, value) if index in (None, at) else workload
            for at, workload in enumerate(scenario.workloads)
        )
        return replace(scenario, workloads=workloads)
    pairs = list(scenario.pairs)
    assert isinstance(index, int)
    acceptance = pairs[index].acceptance
    windows = min(WINDOWS, largest_window(acceptance) or WINDOWS)
    pairs[index] = replace(pairs[index], acceptance=matched_law(acceptance, windows, value))
    return replace(scenario, pairs=tuple(pairs))


def _loaded(workload: Workload, factor: float) -> Workload:
    """So many times as much; closed users are rounded to whole ones, at least one."""
    requests = workload.requests
    if isinstance(requests, RequestTrace):
        rate = requests.rate_per_s if workload.rate_per_s is None else workload.rate_per_s
        return replace(workload, rate_per_s=rate * factor)
    if isinstance(requests, PoissonRequests):
        return replace(workload, requests=replace(requests, rate_per_s=requests.rate_per_s * factor))
    assert isinstance(requests, ClosedRequests)
    return replace(workload, requests=replace(requests, users=max(1, round(requests.users * factor))))


def rows_of(variations: Variations, number: int, values: Values, ask: Ask) -> list[Row]:
    """A row a workload; a point without numbers has the reason instead, and is never left out."""
    names = [workload.name for workload in variations.scenario.workloads]
    try:
        scenario, plan = point_of(variations, values)
        names = [workload.name for workload in scenario.workloads]
        performance = ask(scenario, plan)
    except UnstableError as error:
        about = {"busiest_device": error.device, "saturation": error.saturation}
        return [_empty(number, values, name, UNSTABLE, str(error)) | about for name in names]
    except InputError as error:
        reason = "; ".join(str(problem) for problem in error.problems)
        return [_empty(number, values, name, REFUSED, reason) for name in names]
    return [_row(number, values, scenario, performance, workload) for workload in performance.workloads]


def _empty(number: int, values: Values, workload: str, outcome: str, reason: str | None) -> Row:
    row: Row = {**values, **dict.fromkeys(COLUMNS)}
    return row | {"point": number, "workload": workload, "outcome": outcome, "reason": reason}


def _row(
    number: int, values: Values, scenario: Scenario, performance: Performance, workload: WorkloadPerformance
) -> Row:
    steady = performance.steady
    reason = None if steady else "no steady state: saturated, or not settled"
    row = _empty(number, values, workload.name, OK if steady else UNSTEADY, reason)
    for metric in METRICS:
        quantiles = getattr(workload, f"{metric}_ms")
        for statistic in STATISTICS:
            row[f"{metric}_{statistic}_ms"] = getattr(quantiles, statistic)
        for statistic in WITH_INTERVALS:
            low, high = (workload.ci or {}).get(f"{metric}_ms.{statistic}") or (None, None)
            row[f"{metric}_{statistic}_low_ms"], row[f"{metric}_{statistic}_high_ms"] = low, high
    row |= {name: getattr(workload, name) for name in OF_WORKLOAD}
    row |= {f"fleet_{name}": getattr(performance.fleet, name) for name in OF_FLEET}
    busiest = max(performance.devices, key=lambda device: device.saturation or 0.0, default=None)
    if busiest is not None:
        row |= {"busiest_device": busiest.name, "saturation": busiest.saturation}
    row["source"] = performance.source
    row["budgets_kept"] = _kept(scenario, performance, workload.name)
    return row


def _kept(scenario: Scenario, performance: Performance, workload: str) -> bool | None:
    """Whether the workload's budgets are kept; None where it has none."""
    limits = [limit for limit in limits_of(scenario) if limit.scope == workload]
    if not limits:
        return None
    return all(limit.excess(quantity_of(performance, limit.scope, limit.quantity)) <= 0.0 for limit in limits)
