"""Where what the best plan saves is gone with its drafts, and another plan saves without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from dsd_plan.domain.study_decision import DraftsLost
from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.objective import SAME_PRICE, Key
from dsd_plan.optimize.confirmation.confirm import Confirmed
from dsd_plan.optimize.confirmation.counted import CAPACITY, counted_counts
from dsd_plan.optimize.confirmation.drafts_lost import Survival

SCOPE = "; a plan that saves more, but only while its drafts are there, was not chosen"


def steadfast(
    best: Confirmed, kept: Sequence[Confirmed], survival: Survival, key: Callable[[Confirmed], Key]
) -> Confirmed:
    """`best`; or, where none of what it saves against plain decoding counts, the best that saves and can lose nothing.

    Capacity counts as saved only where the targets survive the loss of every draft, or where users accept what is left
    (`degraded_budgets`). `key` orders plans by what is minimized.
    """
    lost = survival.of(best.choice)
    if survival.scenario.search.minimize not in CAPACITY or survival.accepted or lost is None or lost.survives:
        return best
    plain = min((key(plan)[0] for plan in kept if set(plan.choice.modes) == {"target_only"}), default=0.0)
    least = plain * (1.0 - SAME_PRICE)
    if key(best)[0] + _missing(survival, best.choice, lost) < least:
        return best
    sure = [plan for plan in kept if key(plan)[0] < least and plan.choice.speculates and survival.lasts(plan.choice)]
    return min(sure, key=key, default=best)


def _missing(survival: Survival, choice: Choice, lost: DraftsLost) -> float:
    """What the targets add to the objective that would survive the loss of the drafts."""
    if lost.targets_needed is None:
        return inf
    counted = tuple(counted_counts(survival.scenario, choice, lost).items())
    of = cost_per_hour if survival.scenario.search.minimize == "cost" else device_total
    return float(of(survival.scenario, counted) - of(survival.scenario, choice.counts))
