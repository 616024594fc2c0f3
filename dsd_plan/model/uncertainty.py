"""How far a prediction may be off: its inputs' measured errors, and the model's own known error in that regime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import sqrt

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance, WorkloadPerformance
from dsd_plan.errors import UnstableError
from dsd_plan.model.input_errors import declared_inputs, sources_of
from dsd_plan.model.known_errors import errors_of, outside_regime
from dsd_plan.model.traffic import demands_of

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")
MOST_SOURCES = 48
"""Measured inputs that are varied one at a time, two predictions each."""
NAMED = 3
"""Declared inputs that a note names; more are counted."""


def with_intervals(
    deployed: Deployed, predicted: Performance, predict: Callable[[Deployed], Performance]
) -> Performance:
    """`predicted` with a `ci` for each workload's metric: about 95 %, errors of inputs and model as independent.

    Half the distance between the predictions at an input's two ends is its part; squares add up. An end at which the
    plan has no steady state leaves the interval out (null), and a note says so.
    """
    notes = list(predicted.notes)
    demands = demands_of(deployed)
    parts: dict[tuple[str, str], float | None] = {
        (workload.name, metric): (value * shares.get(metric, 0.0)) ** 2
        for workload in predicted.workloads
        for shares in [errors_of(deployed, demands, workload.name)]
        for metric, value in values_of(workload)
    }
    sources = tuple(sources_of(deployed))
    if len(sources) > MOST_SOURCES:
        notes.append(f"intervals hold the model's own error only: {len(sources)} measured inputs are too many to vary")
        sources = ()
    for source in sources:
        try:
            low, high = predict(source.low), predict(source.high)
            base = predicted if source.base is None else predict(source.base)
        except UnstableError as error:
            notes.append(f"no intervals: at one end of what was measured of {source.name}, {error.device} is saturated")
            parts = dict.fromkeys(parts)
            break
        by_name = [{workload.name: workload for workload in answer.workloads} for answer in (low, high, base)]
        for workload in predicted.workloads:
            ends = [dict(values_of(answer[workload.name])) for answer in by_name]
            for metric, value in values_of(workload):
                a, b, middle = (end.get(metric) for end in ends)
                known = parts[workload.name, metric]
                if known is not None and a is not None and b is not None and middle:
                    parts[workload.name, metric] = known + (value * (b - a) / 2.0 / middle) ** 2
    declared = declared_inputs(deployed)
    if declared:
        more = f" and {len(declared) - NAMED} more" if len(declared) > NAMED else ""
        notes.append(f"not in the intervals, for nobody measured it: {', '.join(declared[:NAMED])}{more}")
    notes += outside_regime(deployed)
    workloads = tuple(
        replace(
            workload,
            ci={metric: _interval(value, parts[workload.name, metric]) for metric, value in values_of(workload)},
        )
        for workload in predicted.workloads
    )
    return replace(predicted, workloads=workloads, notes=tuple(notes))


def values_of(workload: WorkloadPerformance) -> Iterator[tuple[str, float]]:
    """(metric, value) of everything that gets an interval."""
    for latency in LATENCIES:
        for statistic in STATISTICS:
            value = getattr(getattr(workload, latency), statistic)
            if value is not None:
                yield f"{latency}.{statistic}", value
    if workload.tokens_per_s is not None:
        yield "tokens_per_s", workload.tokens_per_s


def _interval(value: float, square: float | None) -> tuple[float, float] | None:
    if square is None:
        return None
    half = sqrt(square)
    return max(value - half, 0.0), value + half
