"""What a scenario says for the decision alone: budgets in need, limits on power, the system of today."""

from __future__ import annotations

from collections.abc import Iterator

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.hours import HOURS
from dsd_plan.domain.names import unknown_name
from dsd_plan.domain.plan_checks import plan_misfits, plan_problems
from dsd_plan.domain.present import Present
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import Budgets, Workload
from dsd_plan.errors import PlanError, Problem


def decision_problems(scenario: Scenario) -> tuple[Problem, ...]:
    """Everything of it that contradicts itself or the rest."""
    found: list[Problem] = []
    for index, workload in enumerate(scenario.workloads):
        if workload.degraded_budgets is not None:
            found += _degraded(f"workloads[{index}].degraded_budgets", workload, workload.degraded_budgets)
        if workload.hourly_load is not None:
            found += _hourly(f"workloads[{index}].hourly_load", workload.hourly_load)
    load = scenario.search.robust_load
    if load is not None and load < 1.0:
        found.append(Problem("search.robust_load", f"found {load:g}, expected 1 or more: the bad end is more load"))
    for device in scenario.devices:
        lacking = _unknown_power(device) if device.name in (scenario.budgets.power_w or {}) else ()
        if lacking:
            text = f"no power of {device.name} is known: give {' and '.join(lacking)}, or leave the limit out"
            found.append(Problem(f'budgets.power_w["{device.name}"]', text))
    if scenario.present is not None:
        found += _present(scenario, scenario.present)
    return tuple(found)


def _unknown_power(device: Device) -> tuple[str, ...]:
    """What has to be given before the device's power is known, whatever it runs; empty: nothing is missing."""
    idle = device.idle_w is not None or all(profile.idle_w is not None for profile in device.profiles.values())
    models = [model for model, profile in device.profiles.items() if profile.active_w is None]
    return (*(() if idle else ("its idle_w",)), *(f"active_w in its profile of {model}" for model in models))


def _hourly(place: str, factors: tuple[float, ...]) -> Iterator[Problem]:
    if len(factors) != HOURS:
        yield Problem(place, f"found {len(factors)} factors, expected 24: one an hour, from midnight on")
    elif max(factors) <= 0.0:
        yield Problem(place, "found 0 in every hour, expected a load in some; leave it out where it never changes")


def _present(scenario: Scenario, present: Present) -> Iterator[Problem]:
    """Today's plan has to fit, and what was measured has to be of somebody."""
    misfits = (*plan_problems(present.plan), *plan_misfits(scenario, present.plan))
    if not misfits:
        try:
            deploy(scenario, present.plan)
        except PlanError as error:
            misfits = tuple(error.problems)
        except (KeyError, ValueError):
            misfits = ()  # something of the scenario itself leads nowhere, which is said where it stands
    for problem in misfits:
        yield Problem("present.plan", f"{problem.place}: {problem.text}" if problem.place else problem.text)
    names = [workload.name for workload in scenario.workloads]
    seen: dict[str, int] = {}
    for index, measured in enumerate(present.measured):
        place = f"present.measured[{index}]"
        if measured.workload not in names:
            yield Problem(f"{place}.workload", unknown_name("workload", measured.workload, names))
        first = seen.setdefault(measured.workload, index)
        if first < index:
            yield Problem(
                f"{place}.workload", f'"{measured.workload}" is in present.measured[{first}] already; join them'
            )
        if not measured.values():
            yield Problem(place, "found no number, expected at least one, such as tpot_mean_ms")


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
