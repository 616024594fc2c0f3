"""What no plan can keep and what never binds, though each number of the scenario is fine by itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dsd_plan.domain.deployed import MIB_PER_GIB
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import METRICS, STATISTICS, Budgets, RequestTrace, Workload


def contradictions(scenario: Scenario) -> tuple[str, ...]:
    """A sentence each: where, found, and what to do. None of them keeps the file from being read."""
    found: list[str] = []
    for workload in scenario.workloads:
        found += _memory(scenario, workload)
        for place, budgets in (("budgets", workload.budgets), ("degraded_budgets", workload.degraded_budgets)):
            found += () if budgets is None else _order(f"{workload.name}: {place}", budgets)
    return tuple(found)


def _order(place: str, budgets: Budgets) -> Iterator[str]:
    """A percentile is never above a higher one, so that its budget cannot bind where it is looser."""
    for metric in METRICS:
        set_ = [(at, getattr(budgets, f"{metric}_{at}_ms")) for at in STATISTICS]
        for (lower, loose), (higher, tight) in pairwise([(at, limit) for at, limit in set_ if limit is not None]):
            if tight < loose:
                yield (
                    f"{place}.{metric}_{lower}_ms is {loose:g}, above {metric}_{higher}_ms, which is {tight:g}: "
                    f"{lower} is never above {higher}, so that the {loose:g} decides nothing; were the two mixed up?"
                )
    for at in STATISTICS:
        first, whole = getattr(budgets, f"ttft_{at}_ms"), getattr(budgets, f"e2e_{at}_ms")
        if first is not None and whole is not None and whole < first:
            yield (
                f"{place}.ttft_{at}_ms is {first:g}, above e2e_{at}_ms, which is {whole:g}: no answer ends before it "
                f"begins, so that the {first:g} decides nothing; were the two mixed up?"
            )


def _memory(scenario: Scenario, workload: Workload) -> Iterator[str]:
    """A device has to hold the target's weights and the cache of at least one request."""
    model = scenario.model(workload.target)
    able = [device for device in scenario.devices if _may_serve(workload, device)]
    if not able or not model.kv_mib_per_token:
        return
    largest = max(able, key=lambda device: device.memory_gib)
    weights_gib = model.weights_gib or 0.0
    holds = (largest.memory_gib - weights_gib) * MIB_PER_GIB / model.kv_mib_per_token
    tokens = _longest(workload)
    if holds < tokens:
        needed = weights_gib + tokens * model.kv_mib_per_token / MIB_PER_GIB
        yield (
            f"{workload.name}: no device can hold one of its requests beside {model.name}: the {largest.memory_gib:g} "
            f"GiB of {largest.name} leave {max(holds, 0.0):.0f} tokens of KV memory, the longest request needs "
            f"{tokens}; give it memory_gib of {needed:.4g} or more"
        )


def _may_serve(workload: Workload, device: Device) -> bool:
    return workload.target in device.profiles and (
        workload.allowed_sites is None or device.site in workload.allowed_sites
    )


def _longest(workload: Workload) -> int:
    requests = workload.requests
    if isinstance(requests, RequestTrace):
        return int((requests.prompt_tokens + requests.output_tokens).max())
    return requests.prompt_tokens + requests.output_tokens
