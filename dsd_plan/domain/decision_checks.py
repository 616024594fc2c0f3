"""What a scenario says for the decision alone: budgets that are accepted in need, and limits on power."""

from __future__ import annotations

from collections.abc import Iterator

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import Budgets, Workload
from dsd_plan.errors import Problem


def decision_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """Everything of it that contradicts itself or the rest."""
    found: list[Problem] = []
    for index, workload in enumerate(scenario.workloads):
        if workload.degraded_budgets is not None:
            found += _degraded(f"workloads[{index}].degraded_budgets", workload, workload.degraded_budgets)
    for device in scenario.devices:
        lacking = _unknown_power(device) if device.name in (scenario.budgets.power_w or {}) else ()
        if lacking:
            text = f"no power of {device.name} is known: give {' and '.join(lacking)}, or leave the limit out"
            found.append(Problem(f'budgets.power_w["{device.name}"]', text))
    return tuple(found)


def _unknown_power(device: Device) -> tuple[str, ...]:
    """What has to be given before the device's power is known, whatever it runs; empty: nothing is missing."""
    idle = device.idle_w is not None or all(profile.idle_w is not None for profile in device.profiles.values())
    models = [model for model, profile in device.profiles.items() if profile.active_w is None]
    return (*(() if idle else ("its idle_w",)), *(f"active_w in its profile of {model}" for model in models))


def _degraded(place: str, workload: Workload, degraded: Budgets) -> Iterator[Problem]:
    """Budgets for the time without drafts: none may be harder than the one for every day."""
    daily = {(metric, statistic): limit for metric, statistic, limit in workload.budgets.limits()}
    for metric, statistic, limit in degraded.limits():
        other = daily.get((metric, statistic))
        if other is not None and limit < other:
            key = f"{metric}_{statistic}_ms"
            yield Problem(
                f"{place}.{key}",
                f"found {limit:g}, harder than the {other:g} of `budgets`, which hold every day; loosen it",
            )
    share, usual = degraded.goodput_share, workload.budgets.goodput_share
    if share is not None and not degraded.limits():
        yield Problem(
            f"{place}.goodput_share", "has no latency budget to be a share of; add one here, such as tpot_p95_ms"
        )
    if share is not None and usual is not None and share > usual:
        yield Problem(f"{place}.goodput_share", f"found {share:g}, harder than the {usual:g} of `budgets`; loosen it")
    for key in ("pace_tokens_per_s", "stall_share"):
        if getattr(degraded, key) is not None:
            yield Problem(f"{place}.{key}", "not supported yet: budgets on reading; give a tpot or itl budget instead")
