"""Sessions sent to the least busy draft device instead of a random one: tried where drafts are at the edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dsd_plan.domain.plan import Routing
from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.optimize.alternatives.options import Outcome
from dsd_plan.optimize.choices.candidates import AnySpace, Space, site_copies
from dsd_plan.optimize.choices.choice import EDGE_MODES, Candidate, Choice
from dsd_plan.optimize.choices.objective import SAME_PRICE, Judge, Judged
from dsd_plan.optimize.choices.words import counts_words, plan_words
from dsd_plan.optimize.confirmation.compare import fleet_energy, mean_tpot, ratio_of
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.counted import CAPACITY
from dsd_plan.optimize.search.rivals import Lead, best_near, lead, rivals_of

ROUTING: Routing = "jsq"
"""The device with the fewest live sessions. The model takes all that spread sessions evenly for alike."""
WORTH_A_REPLAY = 1.02
"""By how many times a plan has to be ahead in time or energy under the model; prices are exact."""
FAR_BEHIND = 1.25
"""Times the objective of another way's plan, beyond which no better plan with drafts routed is sought."""

SearchIn = Callable[[AnySpace], Outcome]
"""The best confirmed plan that drafts at the edge in a space, or its nearest miss."""


def routed_space(scenario: Scenario, space: Space) -> Space | None:
    """The same with every draft at the edge routed; None where there is no choice of devices anywhere.

    Copies of a site each have devices of their own, which no session of another may use: there they stay as they are.
    """
    groups = tuple(tuple(_routed(scenario, c) for c in group) for group in space.by_workload)
    return None if groups == space.by_workload else Space(groups, space.notes, space.must)


def _routed(scenario: Scenario, candidate: Candidate) -> Candidate:
    if candidate.mode not in EDGE_MODES or candidate.draft_device is None:
        return candidate
    device = scenario.device(candidate.draft_device)
    if device.usable < 2 or site_copies(scenario, device) > 1:
        return candidate
    return replace(candidate, draft_routing=ROUTING)


def with_routing(
    confirmation: Confirmation,
    space: AnySpace,
    found: Outcome,
    search_in: SearchIn,
    others: Sequence[Outcome] = (),
) -> tuple[AnySpace, Outcome]:
    """Space and outcome with routed drafts, where these are surely better; else as they were.

    The best plan is asked about first, with its windows and replicas chosen anew; only where the model takes that for
    better is the whole space searched again with drafts routed, and replayed. Where one of the `others` is far ahead of
    that plan, it alone is replayed: no other with drafts routed would be chosen either.
    """
    start = found.choice
    other = routed_space(confirmation.evaluator.scenario, space) if isinstance(space, Space) else None
    if other is None or start is None or "distributed" not in start.modes:
        return space, found
    scenario = confirmation.evaluator.scenario
    near = Choice(tuple(_routed(scenario, c) for c in start.candidates), start.counts)
    if near.candidates == start.candidates:
        return space, found
    judge = Judge(confirmation.evaluator, confirmation.lens)
    (rival,) = rivals_of(other, [near])
    best, here = best_near(judge, rival, near), judge.judge(start)
    ahead = lead(best, here)
    if not best.kept or not _promising(ahead, judge.minimize):
        confirmation.tell(f"draft_routing {ROUTING}: no better around {plan_words(start)} under the model")
        return space, found
    if _far_behind(best, others):
        seen = confirmation.confirmed(best.choice)
        if not seen.judged.kept:
            way = plan_words(best.choice)
            confirmation.tell(
                f"{way}: breaks a budget in the replay; none is sought beside it, another way is far ahead"
            )
            return space, found
        routed = Outcome(found.name, other.purely("distributed"), seen)
    else:
        routed = search_in(other)
    words = plan_words(start)
    if routed.confirmed is None or not _surely(confirmation, routed.confirmed, found.confirmed):
        confirmation.tell(f"draft_routing {ROUTING}: no better than {words} by more than the error")
        return space, found
    confirmation.tell(
        f"draft_routing {ROUTING} (each new session goes to the draft device with the fewest): "
        f"{plan_words(routed.confirmed.choice)} on {counts_words(scenario, routed.confirmed.choice.counts)}, where "
        f"devices are drawn at random {_otherwise(scenario, found)}"
    )
    return other, routed


def _far_behind(best: Judged, others: Sequence[Outcome]) -> bool:
    kept = [outcome.confirmed.judged.objective for outcome in others if outcome.confirmed is not None]
    return bool(kept) and best.objective > FAR_BEHIND * min(kept)


def _promising(ahead: Lead, minimize: Objective) -> bool:
    measured = ahead.by == "tpot" or (ahead.by == "objective" and minimize in ("tpot", "energy"))
    return ahead.ratio > (WORTH_A_REPLAY if measured else 1.0)


def _otherwise(scenario: Scenario, found: Outcome) -> str:
    if found.confirmed is None:
        return "no plan keeps every budget"
    return f"{plan_words(found.confirmed.choice)} on {counts_words(scenario, found.confirmed.choice.counts)}"


def _surely(confirmation: Confirmation, one: Confirmed, other: Confirmed | None) -> bool:
    """Whether a plan beats the other beyond the error: by the objective; at the same, by devices, else by mean TPOT."""
    if other is None:
        return True
    scenario = confirmation.evaluator.scenario
    minimize = scenario.search.minimize
    if minimize in CAPACITY:
        mine, theirs = one.judged.objective, other.judged.objective
        if abs(mine - theirs) > SAME_PRICE * theirs:
            return mine < theirs
        if one.judged.key[1] != other.judged.key[1]:
            return one.judged.key[1] < other.judged.key[1]
    ratio = ratio_of(confirmation, fleet_energy if minimize == "energy" else mean_tpot(scenario), one, other)
    return ratio is not None and ratio.surely_below


def not_varied(space: AnySpace) -> str:
    """What a bound over `space` takes as given: settings that no search moves."""
    every = [candidate for group in space.by_workload for candidate in group]
    routed = any(candidate.draft_routing is not None for candidate in every)
    edge = any(candidate.mode == "distributed" for candidate in every)
    if routed:
        better = f"draft_routing {ROUTING}, better here than a random one"
        device = f"the draft device with the fewest sessions for each ({better})"
    else:
        tried = f" (draft_routing {ROUTING} was tried around the best plan that drafts at the edge)" if edge else ""
        device = f"a random draft device a session{tried}"
    return (
        f"; for plans with routing jsq, {device}, static windows and each device's own batch cap: another routing, "
        "draft_routing, draft_devices_per_session, policy, batch_cap or batching is not searched and may do better"
    )
