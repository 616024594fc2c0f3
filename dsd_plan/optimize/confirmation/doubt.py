"""A budget that is broken by less than the error: the plan may keep it in service, and what would hold if it did."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf

from dsd_plan.optimize.choices.candidates import AnySpace, WideSpace
from dsd_plan.optimize.confirmation.backcast_error import error_of
from dsd_plan.optimize.confirmation.compare import (
    LEAST_SLACK,
    MOST_SLACK,
    NOTHING_KNOWN,
    Ratio,
    best_known,
    fleet_energy,
    ratio_of,
)
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed


@dataclass(frozen=True, slots=True)
class Doubt:
    """One of the two plans breaks a budget by less than the error."""

    ratio: Ratio | None
    """Objective of speculation over plain decoding's if that budget were kept; None: nothing is known."""
    miss: float
    """Share by which the budget is broken."""
    error: float


def budget_error(confirmation: Confirmation, tpot: Ratio | None) -> float:
    """The share by which a plan's latency may be off its budgets: replay, acceptance, and today's system reproduced.

    Of the last the largest among the kinds of number that budgets are of.
    """
    errors = {} if tpot is None else tpot.errors
    kinds = [
        f"{metric}_ms.{statistic}"
        for workload in confirmation.evaluator.scenario.workloads
        for metric, statistic, _ in workload.budgets.limits()
    ]
    today = max((error_of(confirmation.backcast, kind) for kind in (*kinds, "tpot_ms.mean")), default=0.0)
    return max(LEAST_SLACK, hypot(errors.get("replay", 0.0), errors.get("acceptance", 0.0), today))


def doubt_of(
    confirmation: Confirmation,
    space: AnySpace,
    fastest: Confirmed | None,
    slow: Confirmed | None,
    tpot: Ratio | None,
) -> Doubt | None:
    """The doubt about the one of the two that breaks a budget; None where both keep theirs, or one surely does not.

    With budgets loosened by the error that mode is searched again: where nothing keeps even these, it surely does not.
    """
    found = confirmation.backcast
    if fastest is None or not (fastest.judged.kept or (slow is not None and slow.judged.kept)):
        return None
    missing = slow if fastest.judged.kept else fastest
    if missing is not None and missing.judged.kept:
        return None
    if found is not None and found.saturates is not None:
        return Doubt(None, 0.0 if missing is None else missing.judged.excess, NOTHING_KNOWN)
    if missing is None or slow is None or isinstance(space, WideSpace):
        return None
    error = min(budget_error(confirmation, tpot), MOST_SLACK)
    within = space.purely("target_only") if missing is slow else space.speculating()
    loosened = best_known(confirmation, within, error)
    if loosened is None:
        return None
    minimize = confirmation.evaluator.scenario.search.minimize
    if minimize == "tpot":
        ratio = tpot
    elif minimize == "energy":
        ratio = ratio_of(confirmation, fleet_energy, fastest, slow)
    else:
        # What the mode costs where its budgets are looser is the least that it can cost.
        mine = loosened.objective if missing is fastest else fastest.judged.objective
        theirs = loosened.objective if missing is slow else slow.judged.objective
        point = 1.0 if mine == theirs else (mine / theirs if theirs > 0.0 else inf)
        ratio = Ratio(point, point, point, {})
    return Doubt(ratio, missing.judged.excess, error)
