"""Every plan of a small scenario that serves each workload in one way or in two, shares on a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError
from tests.optimize.brute_force import Best, keeps_budgets, objective, ways_of


def best_split(scenario: Scenario, predict: Callable[[Deployed], Performance], shares: Sequence[float]) -> Best | None:
    """The best of all that keep every budget; None where none does."""
    best: Best | None = None
    for plan in _plans(scenario, shares):
        try:
            deployed = deploy(scenario, plan)
            performance = predict(deployed)
        except (PlanError, UnstableError):
            continue
        if keeps_budgets(scenario, performance):
            value = objective(scenario, deployed, performance)
            if best is None or value < best.objective:
                best = Best(value, plan, performance)
    return best


def _plans(scenario: Scenario, shares: Sequence[float]) -> Iterator[Plan]:
    for served in product(*(list(_served(scenario, w.name, shares)) for w in scenario.workloads)):
        ways = tuple(part for parts in served for part in parts)
        used = sorted({name for way in ways for name in (way.target_device, way.draft_device) if name})
        models = {(way.target_device, scenario.workload(way.workload).target) for way in ways}
        models |= {(way.draft_device, way.draft_model) for way in ways if way.draft_device and way.draft_model}
        for counts in product(*(range(1, scenario.device(name).count + 1) for name in used)):
            number = dict(zip(used, counts, strict=True))
            deployments = tuple(Deployment(device=d, model=m, count=number[d]) for d, m in sorted(models))
            yield Plan(scenario=scenario.name, assignments=ways, deployments=deployments)


def _served(scenario: Scenario, workload: str, shares: Sequence[float]) -> Iterator[tuple[Assignment, ...]]:
    ways = list(ways_of(scenario, workload))
    yield from ((way,) for way in ways)
    for one, other in combinations(ways, 2):
        for share in shares:
            yield replace(one, share=share), replace(other, share=round(1.0 - share, 9))
