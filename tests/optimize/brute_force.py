"""Every plan of a small scenario, judged with nothing that the search uses but the model itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Assignment, Deployment, Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError


@dataclass(frozen=True)
class Best:
    """The best of all plans that keep every budget."""

    objective: float
    plan: Plan
    performance: Performance


def best_plan(scenario: Scenario, predict: Callable[[Deployed], Performance]) -> Best | None:
    """None where no plan keeps every budget."""
    best: Best | None = None
    for plan in every_plan(scenario):
        try:
            deployed = deploy(scenario, plan)
            performance = predict(deployed)
        except (PlanError, UnstableError):
            continue
        if not keeps_budgets(scenario, performance):
            continue
        value = objective(scenario, deployed, performance)
        if best is None or value < best.objective:
            best = Best(value, plan, performance)
    return best


def every_plan(scenario: Scenario) -> Iterator[Plan]:
    for ways in product(*(list(ways_of(scenario, workload.name)) for workload in scenario.workloads)):
        used = sorted({name for way in ways for name in (way.target_device, way.draft_device) if name})
        for counts in product(*(range(1, scenario.device(name).count + 1) for name in used)):
            number = dict(zip(used, counts, strict=True))
            models = {(way.target_device, scenario.workload(way.workload).target) for way in ways}
            models |= {(way.draft_device, way.draft_model) for way in ways if way.draft_device and way.draft_model}
            yield Plan(
                scenario=scenario.name,
                assignments=ways,
                deployments=tuple(
                    Deployment(device=device, model=model, count=number[device]) for device, model in sorted(models)
                ),
            )


def ways_of(scenario: Scenario, workload: str) -> Iterator[Assignment]:
    """Every mode, device and window that the scenario searches."""
    return (way for way in _all_ways(scenario, workload) if way.mode in scenario.search.modes)


def _all_ways(scenario: Scenario, workload: str) -> Iterator[Assignment]:
    for target in scenario.devices:
        yield Assignment(workload=workload, mode="target_only", target_device=target.name)
        for pair, window in product(scenario.pairs, scenario.search.windows):
            yield Assignment(
                workload=workload,
                mode="fused",
                target_device=target.name,
                draft_model=pair.draft,
                draft_device=target.name,
                window=window,
            )
            for draft, mode in product(scenario.devices, ("distributed", "pipelined")):
                yield Assignment(
                    workload=workload,
                    mode=mode,  # type: ignore[arg-type]
                    target_device=target.name,
                    draft_model=pair.draft,
                    draft_device=draft.name,
                    window=window,
                )


def keeps_budgets(scenario: Scenario, performance: Performance) -> bool:
    for workload in scenario.workloads:
        seen = performance.workload(workload.name)
        for metric, statistic, limit in workload.budgets.limits():
            value = getattr(getattr(seen, f"{metric}_ms"), statistic)
            if value is None or value > limit:
                return False
        share = workload.budgets.goodput_share
        if share is not None and (seen.slo_attainment is None or seen.slo_attainment < share):
            return False
    for device in performance.devices:
        most = (scenario.budgets.power_w or {}).get(device.name)
        if most is not None and (device.power_w is None or device.power_w / (device.deployed or 0) > most):
            return False
    energy, cost = scenario.budgets.energy_j_per_token, scenario.budgets.cost_per_hour
    used = performance.fleet.energy_j_per_token
    if energy is not None and (used is None or used > energy):
        return False
    return cost is None or performance.fleet.cost_per_hour <= cost


def objective(scenario: Scenario, deployed: Deployed, performance: Performance) -> float:
    minimize = scenario.search.minimize
    if minimize == "cost":
        return deployed.cost_per_hour
    if minimize == "devices":
        return float(sum(deployed.replicas_used().values()))
    if minimize == "energy":
        energy = performance.fleet.energy_j_per_token
        return float("inf") if energy is None else energy
    weights: dict[str, float] = {}
    for stream in deployed.streams:
        weights[stream.workload.name] = weights.get(stream.workload.name, 0.0) + _tokens_per_s(stream.requests)
    return sum(w * (performance.workload(name).tpot_ms.mean or 0.0) for name, w in weights.items()) / sum(
        weights.values()
    )


def _tokens_per_s(requests: object) -> float:
    return float(requests.rate_per_s * (requests.output_tokens - 1))  # type: ignore[attr-defined]
