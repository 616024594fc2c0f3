"""From a plan to its capacity: breaking loads, bottlenecks, headroom, one device more or less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dsd_plan.capacity.bottleneck import LIFTED, Doubled, short_at
from dsd_plan.capacity.breaking import (
    MOST_LOAD,
    RESOLUTION,
    SATURATION,
    Edge,
    Loads,
    any_excess,
    excess_of,
    unsteady,
    what_breaks,
)
from dsd_plan.capacity.changes import deployed_count, device_types, not_used, one_less, one_more
from dsd_plan.capacity.growth import Growing, growth_of
from dsd_plan.capacity.words import sentence_of
from dsd_plan.domain.capacity import Bottleneck, BudgetLimit, Capacity, Headroom, NextLimit, WorkloadGrowth
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.hours import at_peak, varies
from dsd_plan.domain.performance import Interval, Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.errors import UnstableError
from dsd_plan.model import with_intervals
from dsd_plan.optimize.choices.budgets import FLEET, Limit, limits_of, quantity_of, value_seen
from dsd_plan.optimize.choices.evaluate import Predict
from dsd_plan.optimize.choices.words import number

MOST_NEXT = 16.0
"""Multiple of the first breaking load beyond which nobody asks what breaks next."""
NEXT = 3
"""How often the first bottleneck is lifted to see what is behind it."""

OnProgress = Callable[[int, int, str], None]


def capacity_of(
    scenario: Scenario,
    plan: Plan,
    predict: Predict,
    growing: Growing | None = None,
    on_progress: OnProgress | None = None,
) -> Capacity:
    """All that `capacity` says but the replay, of the peak where loads follow the hours of the day.

    Raises PlanError where the plan cannot be deployed.
    """
    scenario = at_peak(scenario)
    deployed = deploy(scenario, plan)
    every = limits_of(scenario)
    limits = tuple(limit for limit in every if not limit.of_fleet)
    types = device_types(plan)
    stage = _Stages(on_progress, 3 + len(limits) + len(scenario.workloads) + 2 * len(types))

    stage("where everything breaks")
    loads = Loads(deployed, predict)
    whole = loads.edge(any_excess(limits))
    saturated = loads.edge(unsteady)
    first = _first_break(loads, whole, limits)
    doubled = Doubled(deployed, predict)
    bottleneck = None
    if whole.broken is not None:
        short = short_at(loads, whole.broken, first, predict)
        bottleneck = doubled.bottleneck(short, limits)
    alone = {workload.name: Loads(deployed, predict, workload.name) for workload in scenario.workloads}

    rows = []
    for limit in limits:
        stage(f"where {limit} breaks")
        rows.append(_budget(limit, loads, alone.get(limit.scope, loads), doubled, predict))
    now = loads.answer(1.0)
    rows += [_fleet_budget(limit, now) for limit in every if limit.of_fleet]
    kept = frozenset(limit for limit in limits if excess_of(limit)(now) <= 0.0)
    growths = []
    for name, own in alone.items():
        stage(f"{name} alone")
        growths.append(_growth_alone(name, own, limits, kept))
    stage("what breaks next")
    following = _next_limits(deployed, limits, predict)
    more, less = [], []
    for device in types:
        stage(f"one more {device}")
        more.append(one_more(scenario, plan, device, limits, whole.load, predict))
        stage(f"one {device} less")
        less.append(one_less(scenario, plan, device, limits, kept, predict))
    stage("done")

    found = Capacity(
        scenario=scenario.name,
        sentence="",
        load=whole.load,
        holds_now=whole.load is None or whole.load >= 1.0,
        breaks=None if whole.broken is None else SATURATION if first is None else str(first),
        bottleneck=bottleneck,
        saturation_load=saturated.load,
        searched_to=MOST_LOAD,
        resolution=RESOLUTION,
        budgets=tuple(rows),
        alone=tuple(growths),
        next_limits=following,
        headroom=_headroom(deployed, now),
        one_more=tuple(more),
        one_less=tuple(less),
        not_used=not_used(scenario, plan),
        growth=None if growing is None else growth_of(growing, _edges(rows, saturated)),
        notes=_notes(loads, whole, predict),
        of_busiest_hour=varies(scenario),
    )
    return replace(found, sentence=sentence_of(found))


@dataclass(slots=True)
class _Stages:
    on_progress: OnProgress | None
    total: int
    done: int = -1

    def __call__(self, text: str) -> None:
        self.done = min(self.done + 1, self.total)
        if self.on_progress is not None:
            self.on_progress(self.done, self.total, text)


def _first_break(loads: Loads, edge: Edge, limits: Sequence[Limit]) -> Limit | None:
    """The budget that breaks first; None where no steady state is left, or nothing breaks."""
    if edge.broken is None:
        return None
    broken = what_breaks(loads.answer(edge.broken), tuple(limits))
    return broken[0] if broken else None


def _budget(limit: Limit, loads: Loads, own: Loads, doubled: Doubled, predict: Predict) -> BudgetLimit:
    edge = loads.edge(excess_of(limit))
    now = loads.answer(1.0)
    saturates = edge.broken is not None and isinstance(loads.answer(edge.broken), UnstableError)
    bottleneck = None
    if edge.broken is not None:
        short = short_at(loads, edge.broken, limit, predict)
        bottleneck = doubled.bottleneck(short, (limit,))
    return BudgetLimit(
        scope=limit.scope,
        budget=limit.quantity,
        limit=limit.limit,
        now=None if isinstance(now, UnstableError) else value_seen(now, limit.scope, limit.quantity),
        kept_now=excess_of(limit)(now) <= 0.0,
        load=edge.load,
        interval=None if saturates else _interval(limit, loads, edge, predict),
        alone=own.edge(excess_of(limit)).load,
        saturates=saturates,
        bottleneck=bottleneck,
    )


def _interval(limit: Limit, loads: Loads, edge: Edge, predict: Predict) -> Interval | None:
    """Loads at which the budget would break if the quantity were at the ends of the model's interval there."""
    if not edge.kept or edge.broken is None or limit.at_least or limit.of_device:
        return None
    answer = loads.answer(edge.kept)
    assert isinstance(answer, Performance)
    metric, statistic = limit.quantity.removesuffix("_ms").split("_")
    found = with_intervals(loads.at(edge.kept), answer, predict).workload(limit.scope)
    bounds = (found.ci or {}).get(f"{metric}_ms.{statistic}")
    value = quantity_of(answer, limit.scope, limit.quantity)
    if bounds is None or not value or bounds[0] <= 0.0:
        return None
    low = loads.edge(excess_of(limit, value / bounds[1] - 1.0)).load
    high = loads.edge(excess_of(limit, value / bounds[0] - 1.0)).load
    if low is None or high is None:
        return None
    return Interval(point=edge.kept, low=min(low, edge.kept), high=max(high, edge.kept))


def _fleet_budget(limit: Limit, now: Performance | UnstableError) -> BudgetLimit:
    """Cost does not follow load, and energy a token falls with it: both are judged today."""
    value = None if isinstance(now, UnstableError) else quantity_of(now, FLEET, limit.quantity)
    return BudgetLimit(
        scope=FLEET,
        budget=limit.quantity,
        limit=limit.limit,
        now=value,
        kept_now=limit.excess(value) <= 0.0,
        load=None,
        interval=None,
        alone=None,
        saturates=False,
        bottleneck=None,
    )


def _growth_alone(name: str, own: Loads, limits: tuple[Limit, ...], kept: frozenset[Limit]) -> WorkloadGrowth:
    """What is broken today breaks at no load, so that it is told apart."""
    judged = tuple(limit for limit in limits if limit in kept)
    edge = own.edge(any_excess(judged))
    first = _first_break(own, edge, judged)
    what = None if edge.broken is None else SATURATION if first is None else str(first)
    broken = tuple(str(limit) for limit in limits if limit not in kept and limit.scope == name)
    if isinstance(own.answer(1.0), UnstableError):
        broken = (SATURATION, *broken)
    return WorkloadGrowth(workload=name, load=edge.load, breaks=what, broken_now=broken)


def _next_limits(deployed: Deployed, limits: tuple[Limit, ...], predict: Predict) -> tuple[NextLimit, ...]:
    """Lift what is short, look again; the first row is the plan as it is."""
    found: list[NextLimit] = []
    for _ in range(1 + NEXT):
        loads = Loads(deployed, predict)
        edge = loads.edge(any_excess(limits))
        if edge.broken is None or edge.load is None or (found and edge.load > MOST_NEXT * found[0].load):
            break
        first = _first_break(loads, edge, limits)
        short = short_at(loads, edge.broken, first, predict)
        name = None if short.resource is None else short.resource.name
        what = SATURATION if first is None else str(first)
        # The load at twice as much of it is said of the first alone; here the next row says what lifting it gives.
        found.append(
            NextLimit(
                load=edge.load, breaks=what, bottleneck=Bottleneck(name=name, why=short.why, load_if_doubled=None)
            )
        )
        if short.resource is None:
            break
        deployed = short.resource.more(deployed, LIFTED)
    return tuple(found)


def _headroom(deployed: Deployed, now: Performance | UnstableError) -> tuple[Headroom, ...]:
    known = {} if isinstance(now, UnstableError) else {device.name: device.saturation for device in now.devices}
    closed = {
        name
        for stream in deployed.streams
        if isinstance(stream.requests, ClosedRequests)
        for name in (stream.assignment.target_device, stream.assignment.draft_device)
    }
    scenario = deployed.scenario
    sites = {device.name: scenario.site(device.site).count for device in scenario.devices}
    rows = []
    for device in device_types(deployed.plan):
        saturation = known.get(device)
        rows.append(
            Headroom(
                device=device,
                count=deployed_count(deployed.plan, device),
                saturation=saturation,
                spare=None if saturation is None else 1.0 - saturation,
                load_at_knee=1.0 / saturation if saturation and device not in closed else None,
                sites=sites[device],
            )
        )
    return tuple(rows)


def _edges(rows: Sequence[BudgetLimit], saturated: Edge) -> dict[str, float | None]:
    edges = {f"{row.scope}: {row.budget}": row.load for row in rows if row.scope != FLEET}
    return {**edges, SATURATION: saturated.load}


def _notes(loads: Loads, whole: Edge, predict: Predict) -> tuple[str, ...]:
    """What is to be known of the predictions today and at the breaking load (or the most that was tried)."""
    notes = []
    deployed = loads.deployed
    if any(isinstance(stream.requests, ClosedRequests) for stream in deployed.streams):
        notes.append("closed users are whole: a multiple of them is rounded, and they slow down instead of saturating")
    for load in (1.0, whole.kept):
        answer = None if load is None else loads.answer(load)
        if load is not None and isinstance(answer, Performance):
            told = with_intervals(loads.at(load), answer, predict).notes
            where = "" if load == 1.0 else f"at {number(load)} × today's load: "
            notes += [where + note for note in told if note not in notes]
    return tuple(notes)
