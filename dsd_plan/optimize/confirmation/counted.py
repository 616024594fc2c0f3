"""What may be counted as saved: capacity that is still there when every draft is lost, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study_decision import DraftsLost
from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total, site_copies
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.confirmation.compare import Ratio, scaled

CAPACITY = ("cost", "devices")
"""Objectives that a plan lowers by having fewer devices."""
ACCEPT = (
    "Decide what users may see while every draft is lost: what `degraded_budgets` of a workload allow counts as saved."
)


def counted_counts(scenario: Scenario, choice: Choice, lost: DraftsLost | None) -> Mapping[str, int]:
    """Replicas by device type (per copy of its site), with the targets that survive the loss of every draft.

    Where none of them do, all that are there.
    """
    counts = dict(choice.counts)
    if lost is None or lost.survives:
        return counts
    for name in lost.targets:
        device = scenario.device(name)
        whole = None if lost.targets_needed is None else lost.targets_needed[name]
        counts[name] = device.usable if whole is None else whole // site_copies(scenario, device)
    return counts


def set_free(scenario: Scenario, mine: Mapping[str, int], plain: Mapping[str, int]) -> float:
    """Price an hour of the owned and reserved devices that `plain` runs beyond `mine`: they are paid for all the same.

    What a plan costs is the price of what it runs, so that this counts as saved; it is where they have other work.
    """
    return sum(
        device.cost_per_hour * site_copies(scenario, device) * (device.paid_for(more) - device.paid_for(fewer))
        for device in scenario.devices
        if device.commitment in ("owned", "reserved")
        and (more := plain.get(device.name, 0)) > (fewer := mine.get(device.name, 0))
    )


def counted_ratio(scenario: Scenario, choice: Choice, lost: DraftsLost | None, objective: Ratio | None) -> Ratio | None:
    """The ratio of the objective with the targets that survive; infinite where none do."""
    if objective is None or lost is None or lost.survives or scenario.search.minimize not in CAPACITY:
        return objective
    if lost.targets_needed is None:
        return replace(objective, point=inf, low=inf, high=inf)
    more = tuple(counted_counts(scenario, choice, lost).items())
    if scenario.search.minimize == "cost":
        own, counted = cost_per_hour(scenario, choice.counts), cost_per_hour(scenario, more)
    else:
        own, counted = device_total(scenario, choice.counts), device_total(scenario, more)
    factor = counted / own if own > 0.0 else (1.0 if counted <= own else inf)
    return scaled(objective, factor)
