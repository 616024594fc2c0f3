"""The cheapest plan over the day within one mode: on-demand devices are worth what they are paid for in its hours."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.hours import HOURS, factors_at
from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.choices.candidates import AnySpace
from dsd_plan.optimize.choices.evaluate import Repriced
from dsd_plan.optimize.choices.objective import SAME_PRICE, Judge, spelling, tpot_weights
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.hours import Days
from dsd_plan.optimize.search.search import search

MOST_REPLAYS = 3
"""Plans that are cheaper over the day and are replayed before the cheapest at the peak stays."""
SCOPE = (
    "; the bound is of the cost at the peak: over the day plans were searched with on-demand devices at their mean "
    "price of its hours, and no bound is known"
)


def by_day(confirmation: Confirmation, days: Days, space: AnySpace, best: Confirmed) -> Confirmed:
    """The cheapest confirmed plan of `space` over the day: `best`, which is so at the peak, or one that is found anew.

    It is searched with on-demand devices at the share of their price that a fleet in proportion to the load would pay,
    and compared by the true day, hour by hour in whole devices.
    """
    scenario = confirmation.evaluator.scenario
    kinds = {device.commitment == "on_demand" for device in scenario.devices if device.cost_per_hour > 0.0}
    if days.flat or scenario.search.minimize != "cost" or len(kinds) < 2:
        return best
    priced = Repriced(_weighted(scenario), confirmation.evaluator)
    paid = days.cost_per_hour(best.choice)
    for _ in range(MOST_REPLAYS):
        found = search(Judge(priced, confirmation.lens), space).best
        if found is None or found.choice == best.choice:
            break
        cost = days.cost_per_hour(found.choice)
        if cost >= paid * (1.0 - SAME_PRICE):
            break
        other = confirmation.confirmed(found.choice)
        words = spelling(found.choice, scenario)
        if other.judged.kept:
            confirmation.tell(
                f"over the day {words} costs {number(cost)} an hour, {spelling(best.choice)} {number(paid)}"
            )
            return replace(other, found=best.found)
        confirmation.tell(f"over the day {words} would cost less, and breaks a budget in the replay")
        confirmation.corrected_by(found.choice)
    return best


def _weighted(scenario: Scenario) -> Scenario:
    """On-demand devices at their price times the mean load of the day over the busiest hour's."""
    weights = tpot_weights(scenario)
    asked = [
        sum(weights[w.name] * factor for w, factor in zip(scenario.workloads, factors_at(scenario, hour), strict=True))
        for hour in range(HOURS)
    ]
    share = sum(asked) / HOURS / max(asked) if max(asked) > 0.0 else 1.0
    devices = tuple(
        replace(device, cost_per_hour=device.cost_per_hour * share) if device.commitment == "on_demand" else device
        for device in scenario.devices
    )
    return replace(scenario, devices=devices)
