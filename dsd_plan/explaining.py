"""A prediction with its reasons: each round taken apart, and the round trips up to which drafting at the edge pays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dsd_plan.domain.anatomy import Anatomy
from dsd_plan.domain.deployed import AT_THE_EDGE, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Assignment, Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.planning import predict


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Up to which round trip a workload's drafting at the edge is worth it, at this load."""

    workload: str
    against: str
    """"target_only" or "fused": the same plan with this workload served so."""
    rtt_ms: float | None
    """None where the other way cannot carry the load, or has no round to compare with."""
    other_tpot_ms: float | None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction, each workload's round taken apart, and the round trips up to which drafting at the edge pays."""

    performance: Performance
    anatomies: tuple[Anatomy, ...]
    break_evens: tuple[BreakEven, ...]


def explain(scenario: Scenario, plan: Plan) -> Explanation:
    """What `predict` says, with its reasons. Raises what `predict` raises."""
    from dsd_plan.model import anatomies

    performance = predict(scenario, plan)
    found = []
    for index, assignment in enumerate(plan.assignments):
        if assignment.mode in AT_THE_EDGE and assignment.share == 1.0:
            found += [_break_even(scenario, plan, index, mode, performance) for mode in ("target_only", "fused")]
    return Explanation(performance, anatomies(deploy(scenario, plan), performance), tuple(b for b in found if b))


def _break_even(
    scenario: Scenario, plan: Plan, index: int, mode: Literal["target_only", "fused"], performance: Performance
) -> BreakEven | None:
    """Against the same plan with one assignment in another mode; None where the draft is not on the target."""
    from dsd_plan.model import break_even_with, guesses_of
    from dsd_plan.model import predict as predict_deployed

    mine = plan.assignments[index]
    if mode == "target_only":
        other = Assignment(
            workload=mine.workload, mode=mode, target_device=mine.target_device, routing=mine.routing, share=mine.share
        )
    else:
        other = replace(mine, mode=mode, draft_device=mine.target_device, draft_routing=None)
    assignments = (*plan.assignments[:index], other, *plan.assignments[index + 1 :])
    try:
        changed = predict_deployed(deploy(scenario, replace(plan, assignments=assignments)))
    except PlanError:
        return None
    except UnstableError as error:
        return BreakEven(mine.workload, mode, None, None, f"{error.device} could not carry the load")
    against = changed.workload(mine.workload)
    guesses = guesses_of(deploy(scenario, plan), index)
    rtt_ms = break_even_with(performance.workload(mine.workload), against, guesses)
    return BreakEven(mine.workload, mode, rtt_ms, against.tpot_ms.mean)
