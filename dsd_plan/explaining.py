"""A prediction with its reasons: each round taken apart, and the round trips up to which drafting at the edge pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from dsd_plan.domain.anatomy import Anatomy
from dsd_plan.domain.deployed import AT_THE_EDGE, Deployed, Stream, deploy
from dsd_plan.domain.network import Hop
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Assignment, Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.planning import predict

NEAR_MS, MOST_MS = 0.05, 1e5
"""How exactly a break-even is looked for, and up to which round trip."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Up to which round trip a workload's drafting at the edge is worth it, at this load.

    Both ways are predicted anew at every round trip that is looked at: a longer one also changes who waits for whom.
    """

    workload: str
    against: str
    """"target_only" or "fused": the same plan with this workload served so."""
    rtt_ms: float | None
    """Of the links on its route, without serialisation; not above 0: at no round trip. None where `why_not` says why,
    or where requests of one token have no rounds."""
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
    near_ms = break_even_with(performance.workload(mine.workload), against, guesses)
    if near_ms is None:
        return BreakEven(mine.workload, mode, None, against.tpot_ms.mean)
    edge, beside = deploy(scenario, plan), deploy(scenario, replace(plan, assignments=assignments))
    if not edge.streams[index].up:  # on the target's own site there is no link to lengthen
        return BreakEven(mine.workload, mode, near_ms, against.tpot_ms.mean)
    rtt_ms = _crossing(lambda at_ms: _behind_ms(edge, beside, index, at_ms), near_ms)
    why_not = None if rtt_ms is not None else f"drafting at the edge wins at all up to {MOST_MS / 1000:g} s"
    return BreakEven(mine.workload, mode, rtt_ms, against.tpot_ms.mean, why_not)


def _behind_ms(edge: Deployed, beside: Deployed, index: int, rtt_ms: float) -> float:
    """By how much a token takes longer at the edge than beside, both with that round trip; inf: it is saturated."""
    from dsd_plan.model import predict as predict_deployed

    name = edge.streams[index].workload.name
    try:
        mine = predict_deployed(_at(edge, index, rtt_ms)).workload(name).tpot_ms.mean
    except UnstableError:
        return inf
    try:
        other = predict_deployed(_at(beside, index, rtt_ms)).workload(name).tpot_ms.mean
    except UnstableError:
        return -inf
    assert mine is not None  # there are rounds: a guess was made from them
    assert other is not None
    return mine - other


def _at(deployed: Deployed, index: int, rtt_ms: float) -> Deployed:
    """One stream's route takes `rtt_ms`, every delay on it scaled alike; of no delay, half of it each way."""

    def changed(stream: Stream) -> Stream:
        now_ms = sum(hop.mean_ms for hop in (*stream.up, *stream.down))

        def hops(found: tuple[Hop, ...]) -> tuple[Hop, ...]:
            if now_ms > 0.0:
                factor = rtt_ms / now_ms
                return tuple(hop._replace(mean_ms=hop.mean_ms * factor, rtt_ms=hop.rtt_ms * factor) for hop in found)
            return (found[0]._replace(mean_ms=rtt_ms / 2.0, rtt_ms=rtt_ms), *found[1:])

        return replace(stream, up=hops(stream.up), down=hops(stream.down))

    streams = tuple(changed(s) if at == index else s for at, s in enumerate(deployed.streams))
    return replace(deployed, streams=streams)


def _crossing(behind_ms: Callable[[float], float], near_ms: float) -> float | None:
    """The round trip above which the edge is behind, looked for around `near_ms`; None: nowhere up to the most."""
    low, high = 0.0, max(near_ms, 1.0)
    if behind_ms(low) >= 0.0:
        return min(near_ms, 0.0)
    while behind_ms(high) < 0.0:
        low, high = high, 1.5 * high
        if high > MOST_MS:
            return None
    # The guess is often near: steps away from it grow, so that few are needed.
    step = 8.0 * NEAR_MS
    while high - step > low and behind_ms(high - step) >= 0.0:
        high, step = high - step, 4.0 * step
    low = max(low, high - step)
    while high - low > NEAR_MS:
        middle = (low + high) / 2.0
        low, high = (middle, high) if behind_ms(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0
