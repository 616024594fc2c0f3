"""Which numbers of a study the page leads with. It picks and orders; it works nothing out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dsd_plan.domain.performance import DevicePerformance, Interval, Performance, WorkloadPerformance
from dsd_plan.domain.plan import Assignment, Plan
from dsd_plan.domain.profile import Origin
from dsd_plan.domain.study import Agreement, BudgetCheck, LoadCurve, LoadPoint, Option, Study

FLEET = "fleet"
MANY = 12
"""Workloads above which a page tells the worst first instead of all in their order."""
CURVE_METRICS = ("tpot_p95_ms", "ttft_p95_ms", "tpot_mean_ms")
"""What a load curve holds; the first that a budget limits is the page's key metric."""

ANSWERS = {"yes": "Speculate", "no": "Do not speculate", "undecided": "Undecided"}
MODE_NAMES = {
    "target_only": "target only",
    "fused": "fused",
    "distributed": "distributed",
    "pipelined": "pipelined",
    "edge_only": "edge alone",
}
SURE_FIRST: tuple[Origin, ...] = ("measured", "interpolated", "extrapolated", "declared")


@dataclass(frozen=True, slots=True)
class KeyMetric:
    """The metric of one workload that carries the argument, and its budget if there is one."""

    workload: str
    metric: str
    limit: float | None


def base_load(study: Study) -> str:
    """The load at which everything but curves, maps and tipping points is told."""
    if study.planned_load == 1.0:
        return "today's load"
    return f"the planned {study.planned_load:.3g} × today's load"


def base_name(study: Study) -> str:
    """The same as the name of a point on a load axis."""
    return "today" if study.planned_load == 1.0 else f"planned {study.planned_load:.3g}×"


def base_when(study: Study) -> str:
    """The same as an adverb: "today", "at the planned 1.5 × today's load"."""
    return "today" if study.planned_load == 1.0 else f"at {base_load(study)}"


def mode_name(mode: str) -> str:
    """A mode as it is written in text."""
    return MODE_NAMES.get(mode, mode.replace("_", " "))


def key_metric(study: Study) -> KeyMetric | None:
    """The first budget that load curves can show, by workload; TPOT p95 of the first workload where there is none.

    Of many workloads it is the budget nearest to breaking among those drawn.
    """
    if not study.predicted.workloads:
        return None
    names = [workload.name for workload in study.predicted.workloads]
    if len(names) > MANY:
        drawn = {curve.workload for curve in study.curves}
        mine = [check for check in study.budgets if check.budget in CURVE_METRICS and check.scope in drawn]
        worst = tightest(tuple(mine))
        if worst is not None:
            return KeyMetric(worst.scope, worst.budget, worst.limit)
    for metric in CURVE_METRICS:
        for check in study.budgets:
            if check.budget == metric and check.scope in names:
                return KeyMetric(check.scope, metric, check.limit)
    return KeyMetric(names[0], CURVE_METRICS[0], None)


def key_first(study: Study, names: Iterable[str]) -> list[str]:
    """Each name once, that of the key workload in front."""
    key = key_metric(study)
    return sorted(dict.fromkeys(names), key=lambda name: key is None or name != key.workload)


def limit_of(study: Study, scope: str, budget: str) -> float | None:
    """What was promised, or None."""
    return next((check.limit for check in study.budgets if (check.scope, check.budget) == (scope, budget)), None)


def option_limit(study: Study, option: Option, scope: str, budget: str) -> float | None:
    """What was promised where the option counts: the degraded budgets where its drafts are lost; None: nothing."""
    checks = study.budgets if option.budgets is None else option.budgets
    return next((check.limit for check in checks if (check.scope, check.budget) == (scope, budget)), None)


def best_known(study: Study) -> Performance:
    """What was observed: measured, else replayed; the prediction where the replay found no steady state."""
    seen = study.measured or study.replayed
    return seen if seen.steady else study.predicted


def source_name(performance: Performance) -> str:
    """Where its numbers come from, as a word."""
    return {"model": "predicted", "replay": "replayed", "testbed": "measured", "measured": "measured"}[
        performance.source
    ]


def workload_of(performance: Performance | None, name: str) -> WorkloadPerformance | None:
    """The workload's numbers, or None."""
    if performance is None:
        return None
    return next((workload for workload in performance.workloads if workload.name == name), None)


def latency(workload: WorkloadPerformance | None, metric: str) -> float | None:
    """The value of a metric such as "tpot_p95_ms"."""
    if workload is None:
        return None
    stem, _, statistic = metric.removesuffix("_ms").rpartition("_")
    value: float | None = getattr(getattr(workload, f"{stem}_ms"), statistic)
    return value


def latency_interval(workload: WorkloadPerformance | None, metric: str) -> Interval | None:
    """Its interval over replications, or None."""
    stem, _, statistic = metric.removesuffix("_ms").rpartition("_")
    bounds = (workload.ci or {}).get(f"{stem}_ms.{statistic}") if workload else None
    point = latency(workload, metric)
    return None if bounds is None or point is None else Interval(point=point, low=bounds[0], high=bounds[1])


def surest_last(origins: list[Origin]) -> list[Origin]:
    """The least certain origin first."""
    return sorted(origins, key=SURE_FIRST.index, reverse=True)


def origin_of(study: Study, plan: Plan | None, workload: WorkloadPerformance | None, metric: str = "") -> Origin | None:
    """How a number is known: as said of its metric, else the least certain of all that went into it.

    Where the numbers themselves say nothing, a plan that rests on a declaration still shows it.
    """
    found = workload.origin if workload else None
    if not found:
        return "declared" if plan is not None and rests_on_declaration(study, plan) else None
    stem, _, statistic = metric.removesuffix("_ms").rpartition("_")
    for name in (metric, f"{stem}_ms.{statistic}", f"{stem}_ms", stem):
        if name in found:
            return found[name]
    return surest_last(list(found.values()))[0]


def rests_on_declaration(study: Study, plan: Plan) -> bool:
    """Whether any step time or acceptance that the plan uses was written down instead of measured."""
    used = {(deployment.device, deployment.model) for deployment in plan.deployments}
    drafts = {assignment.draft_model for assignment in plan.assignments}
    return any((p.device, p.model) in used and p.origin == "declared" for p in study.profiles) or any(
        e.draft in drafts and is_declared(e.source) for e in study.acceptance
    )


def assignment_of(study: Study, workload: str) -> Assignment | None:
    """How the plan serves a workload (its first share), or None."""
    return next((a for a in study.plan.assignments if a.workload == workload), None)


def curves_of(study: Study, workload: str) -> tuple[LoadCurve, ...]:
    """The workload's curves, the plan's own first."""
    chosen = chosen_curve(study, workload)
    mine = [curve for curve in study.curves if curve.workload == workload]
    return tuple(sorted(mine, key=lambda curve: curve is not chosen))


def chosen_curve(study: Study, workload: str) -> LoadCurve | None:
    """The curve of the plan's mode and window; of its mode where no window matches; None without either."""
    assignment = assignment_of(study, workload)
    mine = [curve for curve in study.curves if curve.workload == workload]
    if assignment is None:
        return None
    same_mode = [curve for curve in mine if curve.mode == assignment.mode]
    same = [curve for curve in same_mode if curve.window == (assignment.window or 0)]
    split = [curve for curve in same if curve.share == assignment.share]
    return next(iter(split or same or same_mode), None)


def value_at(point: LoadPoint, metric: str) -> float | None:
    """A curve's value of one of `CURVE_METRICS`."""
    value: float | None = getattr(point, metric)
    return value


def holds_between(curve: LoadCurve, metric: str, limit: float) -> tuple[float | None, float | None]:
    """(largest load drawn at which the limit holds, next load drawn at which it does not); None where there is none."""
    kept: float | None = None
    for point in sorted(curve.points, key=lambda p: p.load):
        value = value_at(point, metric)
        none_to_wait_for = value is None and point.ttft_p95_ms is not None  # answers of one token have no TPOT
        if not none_to_wait_for and (value is None or value > limit):
            return kept, point.load
        kept = point.load
    return kept, None


def knee_of(curve: LoadCurve) -> float | None:
    """Where the line through the drawn points reaches saturation 1; None where it stays below."""
    points = sorted(curve.points, key=lambda p: p.load)
    for before, after in pairwise(points):
        if before.saturation < 1 <= after.saturation:
            part = (1 - before.saturation) / (after.saturation - before.saturation)
            return before.load + part * (after.load - before.load)
    return None


def worst_first(agreements: tuple[Agreement, ...]) -> list[Agreement]:
    """Disagreements, then by how much of its tolerance the worse end of an interval uses up."""

    def used(agreement: Agreement) -> float:
        return max(abs(error) for error in errors_of(agreement)) / (agreement.tolerance or 1.0)

    return sorted(agreements, key=lambda a: (a.verdict != "disagrees", -used(a)))


def errors_of(agreement: Agreement) -> tuple[float, float, float]:
    """Relative error of the prediction against the upper end, the point and the lower end of what was observed."""
    seen = agreement.observed
    ends = [agreement.predicted / end - 1 if end else agreement.relative_error for end in (seen.high, seen.low)]
    return ends[0], agreement.relative_error, ends[1]


def tightest(budgets: tuple[BudgetCheck, ...]) -> BudgetCheck | None:
    """The budget broken, else the one kept with the least to spare."""
    return min(budgets, key=lambda check: (check.kept, -used_up(check)), default=None)


def judged_together(study: Study) -> bool:
    """Whether budgets were judged by model and replay together, as those of many workloads are."""
    return any(check.together is not None for check in study.budgets)


def undecided_words(study: Study) -> str:
    """ ", 6 of 2,000 undecided" where the replays leave budgets open; else nothing."""
    found = sum(check.undecided for check in study.budgets)
    return f", {found:,} of {len(study.budgets):,} undecided" if found else ""


def used_up(check: BudgetCheck) -> float:
    """How much of a budget is used up: 1 is just kept; 0 where it is not known."""
    value = budget_value(check)
    if value is None or not value or not check.limit:
        return 0.0
    return check.limit / value if is_floor(check.budget) else value / check.limit


def nearest_first(study: Study, workloads: Sequence[WorkloadPerformance]) -> list[WorkloadPerformance]:
    """Workloads in their order; many with those in front that break a budget, then that are nearest to one."""
    if len(workloads) <= MANY:
        return list(workloads)
    worst: dict[str, tuple[bool, float]] = {}
    for check in study.budgets:
        standing = (check.kept, -used_up(check))
        worst[check.scope] = min(worst.get(check.scope, standing), standing)
    return sorted(workloads, key=lambda workload: worst.get(workload.name, (True, 0.0)))


def is_floor(budget: str) -> bool:
    """Whether a budget says "at least" rather than "at most"."""
    return budget == "goodput_share"


def budget_value(check: BudgetCheck) -> float | None:
    """What a budget was judged by: the replay, of many workloads together with the model; else the model."""
    judged = budget_interval(check)
    return check.predicted if judged is None else judged.point


def budget_interval(check: BudgetCheck) -> Interval | None:
    """The same with its 95 % interval; None where it was not replayed."""
    return check.replayed if check.together is None else check.together


def fullest_device(performance: Performance) -> DevicePerformance | None:
    """The device nearest its knee."""
    known = [device for device in performance.devices if device.saturation is not None]
    return max(known, key=lambda device: device.saturation or 0.0, default=None)


def option_numbers(option: Option) -> Performance | None:
    """An option's numbers: replayed where they were."""
    if option.replayed is not None and option.replayed.steady:
        return option.replayed
    return option.predicted


def declared_parts(study: Study) -> list[str]:
    """Step times and acceptance that nobody measured, those that the plan uses first."""
    used = {(deployment.device, deployment.model) for deployment in study.plan.deployments}
    profiles = [
        f"the step time of {profile.model} on {profile.device}"
        for profile in sorted(study.profiles, key=lambda p: (p.device, p.model) not in used)
        if profile.origin == "declared"
    ]
    pairs = [
        f"the acceptance of {evidence.draft} + {evidence.target}"
        for evidence in study.acceptance
        if is_declared(evidence.source)
    ]
    return list(dict.fromkeys(profiles + pairs))


def busy_devices(study: Study) -> list[str]:
    """Devices that were measured while something else ran on them."""
    busy = [p.device for p in study.profiles if (p.method or {}).get("contention") not in (None, False, 0, "", "none")]
    return list(dict.fromkeys(busy))


def is_declared(source: str) -> bool:
    """Whether acceptance comes from a law somebody wrote down."""
    return "declared" in source or "law" in source


def find(scenario: dict[str, Any], kind: str, key: str, value: object) -> dict[str, Any]:
    """The scenario's entry of this kind whose `key` is `value`; empty where there is none."""
    entries = scenario.get(kind)
    for entry in entries if isinstance(entries, list | tuple) else ():
        if isinstance(entry, dict) and entry.get(key) == value:
            return entry
    return {}
