"""The whole choice: each mode's best confirmed plan, the best of all, its equals, and the verdict's case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from dsd_plan.domain.scenario import Mode
from dsd_plan.optimize.alternatives.ahead import CLOSE, ahead, bound_of_others
from dsd_plan.optimize.alternatives.by_day import SCOPE as OF_THE_PEAK
from dsd_plan.optimize.alternatives.by_day import by_day
from dsd_plan.optimize.alternatives.case import NOT_SEARCHED, Case
from dsd_plan.optimize.alternatives.gain import daily, objective_ratio
from dsd_plan.optimize.alternatives.options import EDGE_ALONE, HEAD, MIXED, NAMES, Outcome, nearest_miss, trouble
from dsd_plan.optimize.alternatives.routed import with_routing
from dsd_plan.optimize.alternatives.splitting import SPLIT, bound_with_splits, with_splits
from dsd_plan.optimize.alternatives.standing import joined, rescued, standing_for
from dsd_plan.optimize.alternatives.steadfast import SCOPE as BUT_FLEETING
from dsd_plan.optimize.alternatives.steadfast import steadfast
from dsd_plan.optimize.choices.candidates import AnySpace, Space, WideSpace, searched_modes, tried_ahead
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Choice
from dsd_plan.optimize.choices.evaluate import Trial
from dsd_plan.optimize.choices.objective import SAME_PRICE, Judge, Key, rounded, spelling
from dsd_plan.optimize.confirmation.compare import Ratio, fleet_energy, mean_tpot, ratio_of
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.counted import CAPACITY
from dsd_plan.optimize.confirmation.doubt import Doubt, doubt_of
from dsd_plan.optimize.confirmation.drafts_lost import Survival
from dsd_plan.optimize.confirmation.hours import Days
from dsd_plan.optimize.search.around import Around
from dsd_plan.optimize.search.search import Found, search
from dsd_plan.optimize.search.split import splittable
from dsd_plan.optimize.verdict.infeasible import why_infeasible

RUNNERS_UP = 2
"""Plans beside each mode's best that are replayed, because they might be its equals."""
MOST_OF_RUNNERS_UP = 60
"""Workloads from which on no plan but each mode's best is replayed: what else was tried are steps towards it."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What was chosen, and beside what."""

    chosen: Confirmed
    best: Found
    """The search whose bound holds for the choice."""
    outcomes: tuple[Outcome, ...]
    equivalents: tuple[tuple[Confirmed, Ratio], ...]
    """Plans that the data cannot tell from the chosen one, with TPOT over the chosen one's."""
    case: Case
    survival: Survival
    """Of the loss of every draft, by choice."""
    days: Days
    """Of the hours of the day, by choice."""
    space: AnySpace
    """What was searched, with drafts routed where that is better."""


def decide(confirmation: Confirmation, space: AnySpace, stage: Callable[[str], None], peak: float = 1.0) -> Decision:
    """Choose. Raises InfeasibleError where no plan keeps every budget. `stage` is told what begins.

    `peak`: what the loads of the confirmation's scenario are multiples of.
    """
    evaluator = confirmation.evaluator
    survival, days = Survival(confirmation, peak), Days(confirmation)
    key = partial(_daily_key, days)
    space, outcomes = _searched(confirmation, space, survival, days, stage)
    outcomes = _answering(confirmation, space, survival, outcomes)
    kept = [outcome.confirmed for outcome in outcomes if outcome.confirmed is not None]
    cheapest = min(kept, key=key)
    best = steadfast(cheapest, kept, survival, key)
    if best is not cheapest:
        fleeting, lasting = (spelling(plan.choice, evaluator.scenario) for plan in (cheapest, best))
        confirmation.tell(f"{fleeting} saves only while its drafts are there; {lasting} saves without them: taken")
    stage("replaying the runners-up")
    equals = [
        other
        for other in _equals(confirmation, best)
        if survival.allows(other.choice) and any(o.space.holds(other.choice.candidates) for o in outcomes)
    ]
    chosen = min([best, *equals], key=_simplicity)
    outcomes = standing_for(outcomes, chosen)
    equivalents = []
    for other in [best, *equals]:
        ratio = None if other.choice == chosen.choice else _tpot_ratio(confirmation, other, chosen)
        if ratio is not None:
            equivalents.append((other, ratio))
    stage("weighing the verdict")
    seeds = [c.choice for c in kept if not isinstance(space, Space) or space.holds(c.choice.candidates)]
    # The simplest of equals may be a little above the best: the gap is its own.
    overall = replace(search(Judge(evaluator, confirmation.lens), space, seeds), best=chosen.judged)
    if isinstance(space, Space) and tried_ahead(evaluator.scenario):
        overall = bound_of_others(overall)
    overall = bound_with_splits(Judge(evaluator, confirmation.lens), space, overall, chosen)
    if not days.flat and evaluator.scenario.search.minimize == "cost":
        overall = replace(overall, scope=overall.scope + OF_THE_PEAK)
    if best is not cheapest:
        overall = replace(overall, scope=overall.scope + BUT_FLEETING)
    case = _case(confirmation, space, outcomes, chosen, survival, days)
    return Decision(chosen, overall, tuple(outcomes), tuple(equivalents), case, survival, days, space)


def _searched(
    confirmation: Confirmation, space: AnySpace, survival: Survival, days: Days, stage: Callable[[str], None]
) -> tuple[AnySpace, list[Outcome]]:
    """The best of every mode and of what is tried around them; the space with drafts routed where that is better."""
    outcomes: list[Outcome] = []
    for mode in SIMPLEST_FIRST:
        if mode in searched_modes(confirmation.evaluator.scenario):
            stage(f"searching: {NAMES[mode]}")
            found = [_outcome(confirmation, within, mode, name) for name, within in _kinds(space, mode)]
            if mode == "distributed":
                space, found[0] = with_routing(
                    confirmation,
                    space,
                    found[0],
                    lambda other: _outcome(confirmation, other, "distributed", NAMES["distributed"]),
                    outcomes,
                )
            found = [_over_the_day(confirmation, days, outcome) for outcome in found]
            outcomes += [_surviving(confirmation, survival, outcome) for outcome in found]
    if len(space.by_workload) > 1:
        stage(f"searching: {MIXED}")
        for mixed in [_over_the_day(confirmation, days, outcome) for outcome in _mixed(confirmation, space, outcomes)]:
            outcomes = joined(outcomes, _surviving(confirmation, survival, mixed))
    listed = space if isinstance(space, Space) and tried_ahead(confirmation.evaluator.scenario) else None
    if listed is not None:
        stage(f"searching: {NAMES['pipelined']}")
        outcomes.append(_surviving(confirmation, survival, ahead(confirmation, listed, outcomes)))
    if isinstance(space, Space) and splittable(space):
        stage(f"searching: {SPLIT}")
        outcomes = with_splits(
            confirmation,
            space,
            outcomes,
            days,
            lambda confirmed: _daily_key(days, confirmed)[0],
            lambda outcome: _surviving(confirmation, survival, outcome),
        )
    return space, outcomes


def _answering(
    confirmation: Confirmation, space: AnySpace, survival: Survival, outcomes: list[Outcome]
) -> list[Outcome]:
    """The outcomes, of which one at least has a plan. Raises InfeasibleError where no plan keeps every budget."""
    if any(outcome.confirmed is not None for outcome in outcomes):
        return outcomes
    refused = survival.refused(outcome.choice for outcome in outcomes if outcome.lost and outcome.choice)
    error = refused or why_infeasible(
        confirmation.evaluator, space, confirmation.lens, confirmation.corrected_by, confirmation.bears
    )
    # A way out is replayed before it is told; a plan that breaks a budget under the model only is none.
    revived = rescued(confirmation, outcomes) if refused is None else []
    outcomes = [_surviving(confirmation, survival, outcome) for outcome in revived]
    if all(outcome.confirmed is None for outcome in outcomes):
        raise error
    return outcomes


def _daily_key(days: Days, confirmed: Confirmed) -> Key:
    """Where cost decides it is the day's: on-demand devices are not paid in the hours that do without them."""
    key = confirmed.judged.key
    if days.flat or days.scenario.search.minimize != "cost":
        return key
    return (rounded(days.cost_per_hour(confirmed.choice)), *key[1:])


def _kinds(space: AnySpace, mode: Mode) -> list[tuple[str, AnySpace]]:
    """What is searched for a mode, by name: on the target a head or n-gram apart from a draft model."""
    if mode != "fused" or isinstance(space, WideSpace):
        return [(NAMES[mode], space)]
    named: list[tuple[str, AnySpace]] = [(NAMES[mode], space.of_kinds(("model",)))]
    on_target = space.of_kinds(("head", "ngram"))
    if any(candidate.mode == mode for group in on_target.by_workload for candidate in group):
        named.insert(0, (HEAD, on_target))
    return named


def _outcome(confirmation: Confirmation, space: AnySpace, mode: Mode, name: str) -> Outcome:
    """The mode for every workload that can; where that breaks a budget, for some of them."""
    tried = [space.purely(mode)]
    if mode != "target_only" and len(space.by_workload) > 1:
        tried.append(space.partly(mode))
    for within in tried:
        confirmed = confirmation.best(within, mode.replace("_", " "))
        if confirmed is not None:
            return Outcome(name, within, confirmed)
    return Outcome(name, tried[0], None, nearest_miss(confirmation, tried[0]))


def _over_the_day(confirmation: Confirmation, days: Days, outcome: Outcome) -> Outcome:
    """The outcome with the plan that is its cheapest over the day, which need not be so at the peak."""
    if outcome.confirmed is None:
        return outcome
    return replace(outcome, confirmed=by_day(confirmation, days, outcome.space, outcome.confirmed))


def _surviving(confirmation: Confirmation, survival: Survival, outcome: Outcome) -> Outcome:
    """Degraded budgets are budgets: where they are given, a plan has the targets to keep them without its drafts."""
    if not survival.accepted or outcome.confirmed is None:
        return outcome
    lost = survival.of(outcome.confirmed.choice)
    if lost is None or lost.survives:
        return outcome
    more = survival.needed(outcome.confirmed.choice)
    if more is not None and confirmation.evaluator.trial(more).performance is not None:
        raised = confirmation.confirmed(more)
        if raised.judged.kept:
            confirmation.tell(f"{outcome.name}: {lost.sentence}; that many are planned with")
            return replace(outcome, confirmed=replace(raised, found=outcome.confirmed.found))
    confirmation.tell(f"{outcome.name}: {lost.sentence}; not planned with")
    return replace(outcome, confirmed=None, miss=outcome.confirmed.judged.trial, lost=lost.sentence)


def _mixed(confirmation: Confirmation, space: AnySpace, outcomes: list[Outcome]) -> list[Outcome]:
    """A plan of several modes, where that beats every plan of one."""
    known = [outcome.confirmed.choice for outcome in outcomes if outcome.confirmed is not None]
    keys = [outcome.confirmed.judged.key for outcome in outcomes if outcome.confirmed is not None]
    confirmed = confirmation.best(space, "any mode", known)
    if confirmed is None or confirmed.choice in known or any(key <= confirmed.judged.key for key in keys):
        return []
    return [Outcome(MIXED, space, confirmed)]


def _equals(confirmation: Confirmation, best: Confirmed) -> list[Confirmed]:
    """Replayed plans that keep every budget and cannot be told from the best, runners-up among them."""
    for choice in _runners_up(confirmation, best):
        confirmation.observe(choice)
    found = []
    for choice in confirmation.observed:
        whole = len(choice.candidates) == len(best.choice.candidates)
        if whole and choice != best.choice and confirmation.judge(choice).kept:
            other = confirmation.confirmed(choice)
            if _indistinguishable(confirmation, other, best):
                found.append(other)
    return found


def _runners_up(confirmation: Confirmation, best: Confirmed) -> list[Choice]:
    if len(best.choice.candidates) > MOST_OF_RUNNERS_UP:
        return []
    judge = Judge(confirmation.evaluator, confirmation.lens)
    close = []
    for trial in confirmation.evaluator.trials():
        choice = trial.choice
        if len(choice.candidates) != len(best.choice.candidates) or choice in confirmation.observed:
            continue
        if choice.splits and not best.choice.splits:
            continue
        judged = judge.judge(choice)
        mine = best.judged
        if (
            judged.kept
            and judged.objective <= mine.objective * (1 + CLOSE)
            and judged.tpot_ms <= mine.tpot_ms * (1 + CLOSE)
        ):
            close.append(judged)
    close.sort(key=lambda judged: judged.key)
    return [judged.choice for judged in close[:RUNNERS_UP]]


def _indistinguishable(confirmation: Confirmation, other: Confirmed, best: Confirmed) -> bool:
    """The same price, and an objective and TPOT whose difference is within the error."""
    minimize = confirmation.evaluator.scenario.search.minimize
    if minimize in CAPACITY:
        gap = abs(other.judged.objective - best.judged.objective)
        if gap > SAME_PRICE * best.judged.objective or other.judged.key[1] > best.judged.key[1]:
            return False
    if minimize == "energy":
        energy = ratio_of(confirmation, fleet_energy, other, best)
        if energy is None or energy.surely_above or energy.point > 1 + CLOSE:
            return False
    tpot = _tpot_ratio(confirmation, other, best)
    return tpot is not None and not tpot.surely_above and not tpot.surely_below


def _tpot_ratio(confirmation: Confirmation, one: Confirmed, other: Confirmed) -> Ratio | None:
    return ratio_of(confirmation, mean_tpot(confirmation.evaluator.scenario), one, other)


def _simplicity(confirmed: Confirmed) -> tuple[int, int, int, int, str]:
    """Less traffic that is split, then fewer devices, then simpler modes, then smaller windows."""
    _, devices, _, complexity, windows, words = confirmed.judged.key
    return confirmed.choice.splits, devices, complexity, windows, words


def _case(
    confirmation: Confirmation,
    space: AnySpace,
    outcomes: list[Outcome],
    chosen: Confirmed,
    survival: Survival,
    days: Days,
) -> Case:
    """The best speculative plan against the best plain one, kept or not, each replayed."""
    plain_name = NAMES["target_only"]
    speculative = [outcome for outcome in outcomes if outcome.name not in (plain_name, EDGE_ALONE) and _drafts(outcome)]
    plain = next((outcome for outcome in outcomes if outcome.name == plain_name), None)
    fastest = _representative(confirmation, speculative, days)
    if chosen.choice.speculates:
        fastest = chosen
    slow = _representative(confirmation, [plain] if plain is not None else [], days)
    if plain is not None and chosen.choice.modes == ("target_only",) * len(chosen.choice.modes):
        slow = chosen
    tpot = None
    if fastest is not None and slow is not None:
        tpot = _tpot_ratio(confirmation, fastest, slow)
    tried: list[AnySpace] = [outcome.space for outcome in outcomes if isinstance(outcome.space, Around)]
    return Case(
        scenario=confirmation.evaluator.scenario,
        speculative=fastest,
        plain=slow,
        objective=daily(
            days, objective_ratio(confirmation, space, tried, outcomes, fastest, slow, tpot), fastest, slow
        ),
        tpot=tpot,
        plain_trouble=_trouble(confirmation, plain),
        speculative_trouble=_speculative_trouble(confirmation, speculative, fastest),
        edge=_edge(outcomes),
        lost=None if fastest is None else survival.of(fastest.choice),
        backcast=confirmation.backcast,
        doubt=_doubt(confirmation, space, speculative, fastest, slow, tpot, days),
    )


def _doubt(
    confirmation: Confirmation,
    space: AnySpace,
    speculative: list[Outcome],
    fastest: Confirmed | None,
    slow: Confirmed | None,
    tpot: Ratio | None,
    days: Days,
) -> Doubt | None:
    """What breaks a budget by less than the error; a plan that cannot lose its drafts is refused for that."""
    if any(outcome.lost for outcome in speculative) and (fastest is None or not fastest.judged.kept):
        return None
    found = doubt_of(confirmation, space, fastest, slow, tpot)
    return None if found is None else replace(found, ratio=daily(days, found.ratio, fastest, slow))


def _drafts(outcome: Outcome) -> bool:
    """Whether some workload speculates; also where no plan at all stands for the outcome."""
    return outcome.choice is None or outcome.choice.speculates


def _edge(outcomes: list[Outcome]) -> Trial | None:
    for outcome in outcomes:
        if outcome.name == NAMES["distributed"]:
            return outcome.miss if outcome.confirmed is None else outcome.confirmed.judged.trial
    return None


def _representative(confirmation: Confirmation, outcomes: list[Outcome], days: Days) -> Confirmed | None:
    """The best of these that keeps its budgets; else the nearest miss that has a performance, replayed."""
    kept = [outcome.confirmed for outcome in outcomes if outcome.confirmed is not None]
    if kept:
        best = min(kept, key=lambda confirmed: _daily_key(days, confirmed))
        # Going on ahead is said to be better than the simpler ways only where it surely is.
        simpler = kept if "pipelined" in best.choice.modes else []
        same = [other for other in simpler if other is not best and _indistinguishable(confirmation, other, best)]
        return min([best, *same], key=_simplicity)
    misses = [o.miss for o in outcomes if o.miss is not None and o.miss.performance is not None]
    if not misses:
        return None
    nearest = min(misses, key=lambda trial: confirmation.judge(trial.choice).excess)
    return confirmation.confirmed(nearest.choice)


def _trouble(confirmation: Confirmation, outcome: Outcome | None) -> str:
    if outcome is None:
        return NOT_SEARCHED
    return "" if outcome.confirmed is not None else trouble(confirmation, outcome.miss)


def _speculative_trouble(confirmation: Confirmation, outcomes: list[Outcome], fastest: Confirmed | None) -> str:
    if any(outcome.confirmed is not None for outcome in outcomes):
        return ""
    if fastest is not None:
        trial = fastest.judged.trial
        lost = next((outcome.lost for outcome in outcomes if outcome.choice == trial.choice), "")
        why = f"cannot lose its drafts: {lost}" if lost else trouble(confirmation, trial)
        return f"({spelling(trial.choice, confirmation.evaluator.scenario)}) {why}"
    misses = [outcome for outcome in outcomes if outcome.miss is not None]
    if misses:
        return "; ".join(f"to {o.name} {trouble(confirmation, o.miss)}" for o in misses)
    return ""
