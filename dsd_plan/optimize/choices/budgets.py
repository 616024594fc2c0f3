"""What was promised, what a plan makes of it, and by how much a promise is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from dsd_plan.domain.performance import Interval, Performance, WorkloadPerformance
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import BudgetCheck

FLEET = "fleet"
POWER = "power_w"
MANY_WORKLOADS = 12
"""From which on candidates are no longer listed and tried one by one, and a replay judges budgets by intervals."""
LATENCIES = ("ttft", "tpot", "itl", "e2e")
SAID = {"cost_per_hour": "cost an hour", "energy_j_per_token": "energy a token", POWER: "power"}
"""Quantities in a sentence that are no latency."""
BETWEEN_TOKENS = ("tpot", "itl")
"""Metrics of the time between tokens, which requests of a single token do not have."""

SURE = 0.025
"""Chance of the opposite at which a budget counts as surely kept, or surely broken: a 95 % interval on either side."""

Reading = Mapping[tuple[str, str], float | None]
"""Value by (scope, quantity): a workload's name or "fleet", and e.g. "tpot_p95_ms"; None: not known."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget: `quantity` of `scope` may not pass `limit`."""

    scope: str
    """A workload's name, "fleet", or with `power_w` a device type's name."""
    quantity: str
    limit: float

    @property
    def of_device(self) -> bool:
        """Whether it limits the mean power of one device of a type, which falls with every replica, as latency does."""
        return self.quantity == POWER

    @property
    def at_least(self) -> bool:
        """Whether the budget is a floor rather than a ceiling."""
        return self.quantity == "goodput_share"

    @property
    def of_fleet(self) -> bool:
        """Fleet budgets get worse with every replica; a workload's get better."""
        return self.scope == FLEET

    @property
    def of_workload(self) -> bool:
        """Whether it was promised to a workload."""
        return not self.of_fleet and not self.of_device

    def excess(self, value: float | None, slack: float = 0.0) -> float:
        """By what share `value` breaks the limit once that is loosened by `slack`; 0 or less: it is kept."""
        if value is None:
            return inf
        if self.at_least:
            limit = self.limit / (1.0 + slack)
            return limit / value - 1.0 if value > 0.0 else inf
        limit = self.limit * (1.0 + slack)
        # A limit of zero (a fleet that may cost nothing) is kept by zero and by nothing else.
        return value / limit - 1.0 if limit > 0.0 else (-1.0 if value <= 0.0 else inf)

    def __str__(self) -> str:
        return f"{self.scope}: {self.quantity}"

    @property
    def words(self) -> str:
        """Inside a sentence: "TPOT p95 of chat", "cost an hour of the fleet"."""
        metric, _, statistic = self.quantity.removesuffix("_ms").partition("_")
        what = f"{metric.upper()} {statistic}" if metric in LATENCIES else self.quantity.replace("_", " ")
        return f"{SAID.get(self.quantity, what)} of {'the fleet' if self.scope == FLEET else self.scope}"


@dataclass(frozen=True, slots=True)
class Together:
    """One budgeted quantity: what model and replay together make of it."""

    value: Interval
    """About 95 %."""
    chance_broken: float
    """Of the budget, 0 to 1."""

    @property
    def undecided(self) -> bool:
        """Whether it may as well be kept as broken."""
        return SURE < self.chance_broken < 1.0 - SURE


def limits_of(scenario: Scenario) -> tuple[Limit, ...]:
    """Every budget of the scenario, the workloads' first."""
    found = []
    for workload in scenario.workloads:
        for metric, statistic, limit in workload.budgets.limits():
            found.append(Limit(workload.name, f"{metric}_{statistic}_ms", limit))
        if workload.budgets.goodput_share is not None:
            found.append(Limit(workload.name, "goodput_share", workload.budgets.goodput_share))
    found += [Limit(name, POWER, limit) for name, limit in (scenario.budgets.power_w or {}).items()]
    if scenario.budgets.energy_j_per_token is not None:
        found.append(Limit(FLEET, "energy_j_per_token", scenario.budgets.energy_j_per_token))
    if scenario.budgets.cost_per_hour is not None:
        found.append(Limit(FLEET, "cost_per_hour", scenario.budgets.cost_per_hour))
    return tuple(found)


def quantity_of(performance: Performance, scope: str, quantity: str) -> float | None:
    """What a budget is held against; 0 where every request ended and none had what the budget limits."""
    value = value_seen(performance, scope, quantity)
    if value is None and scope != FLEET and quantity.partition("_")[0] in BETWEEN_TOKENS:
        # Requests of one token end without a gap that could be too long.
        return 0.0 if performance.steady and performance.workload(scope).e2e_ms.mean is not None else None
    return value


def value_seen(performance: Performance, scope: str, quantity: str) -> float | None:
    """The value of a budgeted quantity in a performance; None where it is not known, or there is no such thing."""
    if scope == FLEET:
        value: float | None = getattr(performance.fleet, quantity)
        return value
    if quantity == POWER:
        return power_of_one(performance, scope)
    workload = performance.workload(scope)
    if quantity == "goodput_share":
        return workload.slo_attainment
    metric, statistic = quantity.removesuffix("_ms").split("_")
    latency: float | None = getattr(getattr(workload, f"{metric}_ms"), statistic)
    return latency


def _is_known(performance: Performance, limit: Limit) -> bool:
    return value_seen(performance, limit.scope, limit.quantity) is not None


def power_of_one(performance: Performance, device: str) -> float | None:
    """Mean power of one deployed device of a type; 0 where none is deployed, None where it is not known."""
    for row in performance.devices:
        if row.name == device:
            return row.power_w / row.deployed if row.power_w is not None and row.deployed else None
    return 0.0


def interval_of(workload: WorkloadPerformance, metric: str, point: float) -> Interval | None:
    """The replay's interval of a metric such as "tpot_ms.p95"; None where it has none."""
    bounds = (workload.ci or {}).get(metric)
    return None if bounds is None else Interval(point=point, low=bounds[0], high=bounds[1])


def observed_interval(performance: Performance, scope: str, quantity: str) -> Interval | None:
    """What was observed of a budgeted quantity, with its interval where the replay gave one."""
    value = quantity_of(performance, scope, quantity)
    if value is None:
        return None
    found = None
    if scope != FLEET and quantity != POWER:
        if quantity == "goodput_share":
            metric = "slo_attainment"
        else:
            name, statistic = quantity.removesuffix("_ms").split("_")
            metric = f"{name}_ms.{statistic}"
        found = interval_of(performance.workload(scope), metric, value)
    return found or Interval(point=value, low=value, high=value)


def judged_value(limit: Limit, seen: Interval, *, many: bool) -> float:
    """What a budget is judged by: the observed value.

    Of `many` workloads some miss their budgets by chance, so that there one counts as broken where its whole interval
    is beyond it.
    """
    fine = seen.high if limit.at_least else seen.low
    if many and not limit.of_fleet and limit.excess(seen.point) > 0.0 and limit.excess(fine) <= 0.0:
        return limit.limit
    return seen.point


def budget_checks(
    scenario: Scenario,
    predicted: Performance | None,
    replayed: Performance | None,
    together: Mapping[tuple[str, str], Together] | None = None,
) -> tuple[BudgetCheck, ...]:
    """One row a budget. Kept is judged by the replay where there is one: the model alone may be an optimist.

    `together`: of many workloads, what model and replay say together; it is then judged by that.
    """
    rows = []
    for limit in limits_of(scenario):
        expected = None if predicted is None else quantity_of(predicted, limit.scope, limit.quantity)
        seen = None if replayed is None else observed_interval(replayed, limit.scope, limit.quantity)
        both = None if together is None else together.get((limit.scope, limit.quantity))
        judged = expected if replayed is None else None
        if both is not None:
            judged = both.value.point
        elif seen is not None:
            judged = judged_value(limit, seen, many=len(scenario.workloads) >= MANY_WORKLOADS)
        rows.append(
            BudgetCheck(
                scope=limit.scope,
                budget=limit.quantity,
                limit=limit.limit,
                predicted=None if predicted is None else value_seen(predicted, limit.scope, limit.quantity),
                replayed=None if replayed is None or not _is_known(replayed, limit) else seen,
                kept=limit.excess(judged) <= 0.0,
                together=None if both is None else both.value,
                chance_broken=None if both is None else both.chance_broken,
                undecided=both is not None and both.undecided,
            )
        )
    return tuple(rows)
