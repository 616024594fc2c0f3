"""The present system reproduced: how far the model is from what was measured, carried into all that is predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, hypot, log, sqrt

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.performance import Interval, Performance, WorkloadPerformance
from dsd_plan.domain.present import METRICS, Present, value_of
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import BudgetCheck
from dsd_plan.domain.study_decision import Backcast, BackcastRow
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.evaluate import Predict
from dsd_plan.optimize.choices.words import number, percent
from dsd_plan.optimize.confirmation.backcast_error import error_of, kind_of
from dsd_plan.optimize.confirmation.compare import mean_tpot
from dsd_plan.optimize.confirmation.observation import Observe

UNMEASURED = ("ttft_ms.mean", "ttft_ms.p95", "tpot_ms.mean", "tpot_ms.p95")
"""Compared between model and replay for a workload of which nothing was measured."""
SAME = 1e-3
WITH_THE_WAY = ("ttft", "e2e")
"""Metrics that hold the way to the servers and back."""


def backcast(scenario: Scenario, predict: Predict, observe: Observe | None = None) -> Backcast | None:
    """Predict today's plan (and replay it) and lay both beside what was measured; None where no plan is given."""
    present = scenario.present
    if present is None:
        return None
    deployed = deploy(scenario, present.plan)
    predicted, saturates = None, None
    try:
        predicted = predict(deployed)
    except UnstableError as unstable:
        saturates = unstable.device
    replayed = None if observe is None or predicted is None else observe(present.plan).pooled
    rows = tuple(_rows(scenario, present, predicted, replayed))
    logs: dict[str, list[float]] = {}
    for row in rows:
        if row.measured is not None and row.ratio:
            logs.setdefault(kind_of(row.metric), []).append(log(row.ratio))
    every = [value for found in logs.values() for value in found]
    error = _rms(every)
    return Backcast(
        plan=present.plan,
        predicted=predicted,
        replayed=replayed,
        rows=rows,
        error=error,
        errors={metric: rms for metric, found in logs.items() if (rms := _rms(found)) is not None},
        bias=exp(sum(every) / len(every)) if every else None,
        devices=deployed.replicas_used(),
        cost_per_hour=deployed.cost_per_hour,
        saturates=saturates,
        saves={},
        sentence=_sentence(rows, error, saturates, predicted, replayed),
    )


def widened(performance: Performance, found: Backcast | None) -> Performance:
    """Each interval's ends moved out by the backcast's error on the log scale, as independent.

    ln(end / value)² becomes ln(end / value)² + error², so that what was measured of today's system lies within.
    """
    if found is None or found.error is None:
        return performance
    workloads = tuple(replace(workload, ci=_wider(workload, found)) for workload in performance.workloads)
    note = (
        f"intervals hold the error with which today's system was reproduced ({percent(found.error)} over "
        f"{sum(row.measured is not None for row in found.rows)} measured numbers)"
    )
    return replace(performance, workloads=workloads, notes=(*performance.notes, note))


def widened_checks(checks: Sequence[BudgetCheck], found: Backcast | None) -> tuple[BudgetCheck, ...]:
    """The replayed intervals of latency budgets, widened likewise; whether one is kept stays the replay's word."""
    if found is None or found.error is None:
        return tuple(checks)
    return tuple(
        replace(
            check,
            replayed=widened_value(check.replayed, found, check.scope, check.budget),
            together=widened_value(check.together, found, check.scope, check.budget),
        )
        for check in checks
    )


def widened_value(seen: Interval | None, found: Backcast | None, scope: str, budget: str) -> Interval | None:
    """One interval of a budgeted quantity, widened likewise; what is no latency stays as it is."""
    metric = _metric_of(budget)
    if seen is None or metric is None or found is None or found.error is None:
        return seen
    low, high = _moved_out(seen.point, (seen.low, seen.high), _reach(found, scope, metric))
    return Interval(point=seen.point, low=low, high=high)


def _metric_of(budget: str) -> str | None:
    """ "tpot_ms.p95" of the budget "tpot_p95_ms"; None of what is no latency."""
    kind, _, statistic = budget.removesuffix("_ms").partition("_")
    return f"{kind}_ms.{statistic}" if kind in METRICS and budget.endswith("_ms") else None


def _wider(workload: WorkloadPerformance, found: Backcast) -> dict[str, tuple[float, float] | None] | None:
    if workload.ci is None:
        return None
    wider: dict[str, tuple[float, float] | None] = {}
    for metric, bounds in workload.ci.items():
        value = value_of(workload, metric) if bounds is not None else None
        if bounds is not None and value is not None:
            bounds = _moved_out(value, bounds, _reach(found, workload.name, metric))
        wider[metric] = bounds
    return wider


def _reach(found: Backcast, workload: str, metric: str) -> float:
    """The error of a metric; of one that was measured at least its own, which the mean over others may hide."""
    own = [row.ratio for row in found.rows if (row.workload, row.metric) == (workload, metric) and row.measured]
    return max(error_of(found, metric), *(abs(log(ratio)) for ratio in own if ratio), 0.0)


def _moved_out(value: float, bounds: tuple[float, float], error: float) -> tuple[float, float]:
    low, high = bounds
    if value <= 0.0:
        return bounds
    low = value * exp(-hypot(log(value / low), error)) if low > 0.0 else low
    return low, value * exp(hypot(log(high / value), error))


def _rows(
    scenario: Scenario, present: Present, predicted: Performance | None, replayed: Performance | None
) -> list[BackcastRow]:
    measured = {found.workload: dict(found.values()) for found in present.measured}
    ways_ms = _ways_ms(scenario, present) if present.measured_at == "servers" else {}
    rows = []
    for workload in scenario.workloads:
        numbers: Mapping[str, float] = measured.get(workload.name, {})
        for metric in numbers or UNMEASURED:
            off_ms = ways_ms.get(workload.name, 0.0) if kind_of(metric) in WITH_THE_WAY else 0.0
            expected = _less(predicted, workload.name, metric, off_ms)
            seen = _seen(replayed, workload.name, metric, off_ms)
            beside = numbers.get(metric, None if numbers or seen is None else seen.point)
            rows.append(
                BackcastRow(
                    workload=workload.name,
                    metric=metric,
                    predicted=expected,
                    replayed=seen,
                    measured=numbers.get(metric),
                    ratio=expected / beside if expected and beside else None,
                )
            )
    return rows


def _ways_ms(scenario: Scenario, present: Present) -> dict[str, float]:
    """Mean time of the prompt up and the first token down by workload; of several streams, weighted by their shares."""
    ways: dict[str, float] = {}
    for stream in deploy(scenario, present.plan).streams:
        there = mean_delay_ms(stream.up, stream.messages.prompt_up)
        back = mean_delay_ms(stream.down, stream.messages.first_down)
        name = stream.workload.name
        ways[name] = ways.get(name, 0.0) + stream.assignment.share * (there + back)
    return ways


def _less(performance: Performance | None, name: str, metric: str, off_ms: float) -> float | None:
    value = None if performance is None else value_of(performance.workload(name), metric)
    return None if value is None else max(value - off_ms, 0.0)


def _seen(replayed: Performance | None, name: str, metric: str, off_ms: float) -> Interval | None:
    point = _less(replayed, name, metric, off_ms)
    if replayed is None or point is None:
        return None
    bounds = (replayed.workload(name).ci or {}).get(metric)
    low, high = (point, point) if bounds is None else (max(end - off_ms, 0.0) for end in bounds)
    return Interval(point=point, low=low, high=high)


def _rms(logs: Sequence[float]) -> float | None:
    return sqrt(sum(value**2 for value in logs) / len(logs)) if logs else None


def _sentence(
    rows: Sequence[BackcastRow],
    error: float | None,
    saturates: str | None,
    predicted: Performance | None,
    replayed: Performance | None,
) -> str:
    if predicted is None:
        return (
            f"Under the model {saturates} saturates today, which the system in service does not: its step times, its "
            "load or its count of devices are not what the scenario says."
        )
    measured = [row for row in rows if row.measured is not None and row.ratio is not None]
    if error is None or not measured:
        what = "was predicted" if replayed is None else "was predicted and replayed"
        return f"Today's plan {what}, but nothing measured is given to hold it against: add [[present.measured]]."
    worst = max(measured, key=lambda row: abs(log(row.ratio or 1.0)))
    return (
        f"Today's system is reproduced within {percent(error)} (root mean square of {len(measured)} measured numbers); "
        f"the worst is {worst.metric} of {worst.workload}: predicted {number(worst.predicted)}, measured "
        f"{number(worst.measured)}."
    )


def against(found: Backcast, scenario: Scenario, chosen: Performance, devices: int) -> Backcast:
    """The backcast with what the chosen plan, as replayed and on so many devices, saves against it."""
    saves = {
        "cost_per_hour": found.cost_per_hour - chosen.fleet.cost_per_hour,
        "devices": float(sum(found.devices.values()) - devices),
    }
    measure = mean_tpot(scenario)
    now, then = (None if p is None else measure(p) for p in (found.replayed or found.predicted, chosen))
    if now and then:
        saves["tpot_share"] = 1.0 - then / now
    return replace(found, saves=saves)


def today_words(found: Backcast | None) -> str:
    """The chosen plan against today's system, as the end of a verdict."""
    if found is None or not found.saves:
        return ""
    parts = []
    for key, what in (("cost_per_hour", "an hour"), ("devices", "devices")):
        saved = found.saves[key]
        what = "device" if key == "devices" and abs(saved) == 1.0 else what
        if abs(saved) > SAME:
            parts.append(f"{number(abs(saved))} {what} {'less' if saved > 0 else 'more'}")
    share = found.saves.get("tpot_share", 0.0)
    if abs(share) > SAME:
        error = error_of(found, "tpot_ms.mean")
        give = f" ± {percent(error)}" if error > 0.0 else ""
        parts.append(f"mean TPOT {percent(abs(share))}{give} {'lower' if share > 0 else 'higher'}")
    return f" Against the system as it is today: {', '.join(parts) or 'nothing changes'}."


def measure_next(error: float, gain: float) -> str:
    """What to do where the backcast's error hides the difference."""
    return (
        f"Measure the step times of today's devices (`dsd-plan profile device`) and its load: today's system is "
        f"reproduced only within {percent(error)}, more than the difference of {percent(gain)}."
    )
