"""A decision with all that a page draws of it, so that rendering computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.hours import varies
from dsd_plan.domain.scenario import Mode, Objective, Scenario
from dsd_plan.domain.study import Agreement, Option, Provenance, Study, Verdict, WorkloadParts
from dsd_plan.domain.study_decision import Backcast
from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.domain.summary import summary
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.alternatives.options import lasting, option_of, option_rows, whole_devices, with_present
from dsd_plan.optimize.alternatives.routed import not_varied
from dsd_plan.optimize.choices.budgets import budget_checks
from dsd_plan.optimize.choices.candidates import AnySpace, Space, WideSpace, device_total, with_ahead
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.side_by_side import Beside, Parts, RunAll, one_by_one
from dsd_plan.optimize.choices.words import number, percent, plan_words
from dsd_plan.optimize.confirmation.backcast import against, today_words, widened, widened_checks
from dsd_plan.optimize.confirmation.compare import Ratio
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.evidence import acceptance_evidence, profile_evidence
from dsd_plan.optimize.confirmation.hours import day_words
from dsd_plan.optimize.decision import Decision
from dsd_plan.optimize.outlook.contenders import Explorer, contenders
from dsd_plan.optimize.outlook.curves import load_curves
from dsd_plan.optimize.outlook.draft_worth import draft_worth
from dsd_plan.optimize.outlook.ground import Ground
from dsd_plan.optimize.outlook.maps import maps_to_draw
from dsd_plan.optimize.outlook.tipping import outlook_of, tips_to_look_for
from dsd_plan.optimize.pareto import pareto_front
from dsd_plan.optimize.verdict.measure_next import alone_next
from dsd_plan.optimize.verdict.verdict import verdict

OUTLOOK = "drawing load curves and maps, looking for tipping points"
MOST_DRAWN = 8
"""Workloads of a large fleet whose latency is drawn against load."""
NOT_AHEAD = (
    "curves, maps and tipping points are without the mode pipelined, which was not chosen and takes longer to predict"
)
FEW_SHARES = (0.5, 0.8, 0.95, 1.1)
"""Of the knee, where a large fleet is looked at."""


def study_of(
    confirmation: Confirmation,
    space: AnySpace,
    decision: Decision,
    *,
    agreements: Sequence[Agreement],
    story: Sequence[str],
    provenance: Provenance,
    stage: Callable[[str], None],
    pareto: Sequence[Objective] = (),
    run_all: RunAll = one_by_one,
    ended: Callable[[int, int], None] = lambda done, total: None,
    beside: Beside | None = None,
) -> Study:
    """The study of a decision. `stage` is told what begins; a front of `pareto` is searched for.

    What lies around the decision is worked out by `run_all`, and what is asked for `beside` with it; `ended` is told
    how many parts of it have ended.
    """
    scenario = confirmation.evaluator.scenario
    chosen = decision.chosen
    rows = option_rows(confirmation, decision.outcomes, chosen, decision.survival, decision.days)
    present = confirmation.backcast
    plain = None if decision.case.plain is None else decision.case.plain.choice
    if present is not None:
        present = against(present, scenario, chosen.observed.pooled, device_total(scenario, chosen.choice.counts))
        rows = with_present(rows, scenario, _at_peak(confirmation, present))
    ends = today_words(present)
    stage(OUTLOOK)
    explorer = Explorer(scenario, confirmation.evaluator.predict, confirmation.evaluator.trials())
    bests, parts = _bests(decision), Parts()
    if beside is not None:
        beside.answered(edge_alone(scenario, decision, verdict(decision.case)).sentence)
        parts.add("beside", partial(beside.ask, chosen.judged.trial.plan, chosen.predicted, chosen.observed.pooled))
    # What goes on ahead takes longer to predict: it is asked about under many conditions where it was chosen.
    goes_ahead, known = _goes_ahead(chosen.choice), [o.choice for o in decision.outcomes if o.choice is not None]
    ways = with_ahead(scenario, space) if goes_ahead and isinstance(space, Space) else space
    asked = [choice for choice in known if goes_ahead or not _goes_ahead(choice)]
    groups = contenders(ways, scenario, chosen.choice, {mode: c for mode, c in bests.items() if c in asked})
    if len(asked) < len(known):
        story = (*story, NOT_AHEAD)
    if chosen.choice.splits:
        story = (*story, "maps are of each workload served in one way, also where the chosen plan splits its traffic")
    grounds = [Ground(explorer, chosen.choice, workload, group) for workload, group in groups.items() if group]
    parts.add("maps", *maps_to_draw(grounds))
    if isinstance(ways, Space):
        outlook = outlook_of(explorer, ways, chosen.choice, asked, groups, confirmation.lens)
        parts.add("draft worth", partial(draft_worth, outlook))
        parts.add("tips", *tips_to_look_for(outlook))
    if isinstance(space, WideSpace):
        tightest = _tightest(scenario, chosen)
        parts.add("curves", partial(load_curves, explorer, [chosen.choice], tightest, FEW_SHARES))
    else:
        drawn = [choice for choice in bests.values() if choice in asked]
        each = dict.fromkeys([chosen.choice, *drawn])
        parts.add("curves", *(partial(load_curves, explorer, [choice]) for choice in each))
    seen = parts.work_out(run_all, ended)
    tips: tuple[TippingPoint, ...] = tuple(seen.get("tips", ()))
    if beside is not None:
        beside.found.extend(seen["beside"])
    found = edge_alone(scenario, decision, verdict(decision.case, tips))
    front = pareto_front(confirmation, space, chosen.choice, pareto)
    return Study(
        name=scenario.name,
        scenario=summary(scenario),
        plan=chosen.judged.trial.plan,
        predicted=chosen.predicted,
        replayed=widened(chosen.observed.pooled, present),
        measured=None,
        agreements=tuple(agreements),
        verdict=replace(found, sentence=found.sentence + day_words(decision.days, chosen.choice, plain) + ends),
        budgets=widened_checks(
            budget_checks(scenario, chosen.predicted, chosen.observed.pooled, chosen.together), present
        ),
        options=_carrying(rows, present),
        alternatives=_carrying(_alternatives(confirmation, decision), present),
        equivalents=_carrying([_equivalent(confirmation, *other) for other in decision.equivalents], present),
        pareto=front,
        pareto_axes=tuple(pareto),
        optimality_gap=decision.best.gap,
        bound_scope=decision.best.scope + not_varied(space),
        curves=tuple(curve for curves in seen.get("curves", ()) for curve in curves),
        maps=tuple(seen.get("maps", ())),
        round_parts=_round_parts(decision),
        energy_parts=chosen.observed.energy_parts,
        attribution=chosen.observed.attribution,
        prices=chosen.observed.prices,
        tipping_points=tips,
        draft_worth=tuple(worth for found_worth in seen.get("draft worth", ()) for worth in found_worth),
        acceptance=acceptance_evidence(scenario),
        profiles=profile_evidence(scenario),
        story=(*story, f"{confirmation.evaluator.calls:,} plans predicted, {len(confirmation.observed)} replayed"),
        backcast=present,
        hours=decision.days.of(chosen.choice),
        provenance=provenance,
    )


def _carrying(rows: Iterable[Option], present: Backcast | None) -> tuple[Option, ...]:
    """The same with intervals that hold the error with which today's system was reproduced."""
    return tuple(row if row.replayed is None else replace(row, replayed=widened(row.replayed, present)) for row in rows)


def edge_alone(scenario: Scenario, decision: Decision, found: Verdict) -> Verdict:
    """Where the draft model answers by itself, that is no speculation: the verdict says so, and what it costs.

    What to measure next is then what that choice rests on: no acceptance is among it.
    """
    mine = [c.workload for c in decision.chosen.choice.candidates if c.mode == "edge_only"]
    if not mine:
        return found
    whose = "all requests" if len(mine) == len(decision.chosen.choice.candidates) else ", ".join(mine)
    cost = number(decision.days.cost_per_hour(decision.chosen.choice))
    told = f"The edge alone, where the draft's own text will do, answers {whose} for {cost} an hour in all"
    if decision.chosen.choice.speculates:
        return replace(found, sentence=f"{found.sentence} {told}.")
    others = [o.confirmed for o in decision.outcomes if o.confirmed is not None and o.choice != decision.chosen.choice]
    next_best = sorted(others, key=lambda other: other.judged.key)[:1]
    following = alone_next(scenario, [decision.chosen, *next_best])
    return replace(
        found,
        answer="no",
        sentence=f"Do not speculate here: {told[0].lower()}{told[1:]}.",
        measure_next=following.words,
        measurement=following.measurement,
    )


def _at_peak(confirmation: Confirmation, present: Backcast) -> Backcast:
    """Today's plan with its numbers of the busiest hour, where loads follow the hours: options are compared there."""
    scenario = confirmation.evaluator.scenario
    if not varies(scenario):
        return present
    try:
        predicted = confirmation.evaluator.predict(deploy(scenario, present.plan))
    except UnstableError as unstable:
        return replace(present, predicted=None, replayed=None, saturates=unstable.device)
    return replace(present, predicted=predicted, replayed=None)


def _tightest(scenario: Scenario, chosen: Confirmed) -> frozenset[str]:
    """Workloads with the least room below a budget: of a large fleet only these are drawn against load."""
    checks = budget_checks(scenario, chosen.predicted, chosen.observed.pooled, chosen.together)
    room: dict[str, float] = {}
    for check in checks:
        value = check.predicted if check.together is None else check.together.point
        used = (value or 0.0) / check.limit if check.limit > 0.0 else 0.0
        room[check.scope] = max(room.get(check.scope, 0.0), used)
    names = sorted((w.name for w in scenario.workloads), key=lambda name: -room.get(name, 0.0))
    return frozenset(names[:MOST_DRAWN])


def _bests(decision: Decision) -> dict[Mode, Choice]:
    """The plan that stands for each mode: the chosen one for its own, else the mode's best, else its nearest miss."""
    found: dict[Mode, Choice] = {}
    for choice in (outcome.choice for outcome in decision.outcomes):
        modes = set() if choice is None else set(choice.modes)
        speculative = modes - {"target_only"} or modes
        if choice is not None and len(speculative) == 1:
            found.setdefault(speculative.pop(), choice)
    return found


def _goes_ahead(choice: Choice) -> bool:
    """Plans in which some draft goes on ahead."""
    return "pipelined" in choice.modes


def _alternatives(confirmation: Confirmation, decision: Decision) -> tuple[Option, ...]:
    """Each mode's best plan with why it lost; the chosen plan stands for its own mode."""
    return lasting(
        option_of(confirmation, outcome, decision.chosen, decision.days, name=plan_words(outcome.choice))
        for outcome in decision.outcomes
        if outcome.choice is not None
    )


def _equivalent(confirmation: Confirmation, other: Confirmed, ratio: Ratio) -> Option:
    trial = other.judged.trial
    change = ratio.point - 1.0
    return Option(
        name=plan_words(other.choice),
        chosen=False,
        plan=trial.plan,
        predicted=other.predicted,
        replayed=other.observed.pooled,
        devices=whole_devices(confirmation.evaluator.scenario, other.choice.counts),
        cost_per_hour=other.observed.pooled.fleet.cost_per_hour,
        reason=f"mean TPOT {percent(abs(change))} {'higher' if change >= 0 else 'lower'}, "
        f"within the error of {percent(ratio.error)}",
    )


def _round_parts(decision: Decision) -> tuple[WorkloadParts, ...]:
    """Where the time of a round goes: in the chosen plan first, then in each other mode's best."""
    plans = [decision.chosen, *(o.confirmed for o in decision.outcomes if o.confirmed is not None)]
    found: dict[tuple[str, str], WorkloadParts] = {}
    for plan in plans:
        for candidate in plan.choice.candidates:
            parts = plan.predicted.workload(candidate.workload).round_parts
            if parts is not None:
                key = (candidate.workload, candidate.mode)
                found.setdefault(key, WorkloadParts(workload=key[0], mode=key[1], parts=parts))
    return tuple(found.values())
