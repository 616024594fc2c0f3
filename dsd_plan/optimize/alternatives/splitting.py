"""Splitting a workload's traffic, tried around the best plans that do not, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

from dsd_plan.optimize.alternatives.ahead import SCOPE as AHEAD
from dsd_plan.optimize.alternatives.by_day import by_day
from dsd_plan.optimize.alternatives.options import NAMES, Outcome
from dsd_plan.optimize.choices.candidates import AnySpace, Space
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.choices.words import number, percent, plan_words
from dsd_plan.optimize.confirmation.compare import fleet_energy, mean_tpot, ratio_of
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.counted import CAPACITY
from dsd_plan.optimize.confirmation.hours import Days
from dsd_plan.optimize.search.search import Found
from dsd_plan.optimize.search.split import LEAST_GAIN, Splits, splittable
from dsd_plan.optimize.search.split_work import relaxed_start, split_bound

SPLIT = "split a workload's traffic between two ways"
MOST_REPLAYS = 4
"""Plans that split traffic and are replayed before it is given up."""
NOT_AMONG_MANY = (
    "; every workload served in one way: splitting a workload's traffic (`share`) is not tried among so many workloads"
)
NO_TWO_WAYS = "; no workload has two ways on different devices that its traffic (`share`) could be split between"
ONE_WAY = (
    "; for plans that serve each workload in one way: splitting its traffic between two (`share`) was tried around the "
    "best plans, and no bound is known for it"
)
ANY_SPLIT = (
    "a lower bound under the model, however traffic is split (`share`): whole devices that carry all work, latency "
    "budgets aside"
)

Price = Callable[[Confirmed], float]
"""The objective of a confirmed plan; of costs that of the day."""
Survive = Callable[[Outcome], Outcome]
"""An outcome with the targets that degraded budgets ask for."""


def with_splits(
    confirmation: Confirmation, space: Space, outcomes: Sequence[Outcome], days: Days, price: Price, survive: Survive
) -> list[Outcome]:
    """The outcomes with what splitting traffic makes better: plain decoding on several device types, and any two ways.

    Plain decoding on two device types still is plain decoding, and stands for it; everything else has a row of its own.
    """
    found = list(outcomes)
    trial = _Trial(confirmation, days, price, survive)
    plain = next((i for i, outcome in enumerate(found) if outcome.name == NAMES["target_only"]), None)
    only_plain = space.purely("target_only")
    if plain is not None and splittable(only_plain):
        better = trial.better(only_plain, [found[plain]], NAMES["target_only"])
        found[plain] = better or found[plain]
    alone = plain is not None and only_plain.by_workload == space.by_workload
    if splittable(space) and not alone:
        better = trial.better(space, found, SPLIT)
        found += [] if better is None else [better]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """What every attempt to split traffic in one decision shares."""

    confirmation: Confirmation
    days: Days
    price: Price
    survive: Survive

    def better(self, space: Space, outcomes: Sequence[Outcome], name: str) -> Outcome | None:
        """The best plan of `space` that splits traffic, where it surely beats every one of the outcomes."""
        confirmation, tell = self.confirmation, self.confirmation.tell
        judge = Judge(confirmation.evaluator, confirmation.lens)
        best = min((o.confirmed for o in outcomes if o.confirmed is not None), key=self.price, default=None)
        bound = split_bound(judge, space)
        if best is None and bound == inf:
            tell("splitting traffic: nothing to gain, all that is there together does not carry it")
            return None
        hopeless = best is not None and bound is not None and bound >= _least_wanted(judge, best)
        if hopeless and bound is not None and self._same_all_day:
            tell(f"splitting traffic: nothing to gain, no split of it can be below {number(bound)}")
            return None
        within = Splits(space.by_workload, space.notes, frozenset(), _starts(judge, space, outcomes, best))
        if not within.starts:
            return None
        before = confirmation.evaluator.calls
        found = None if hopeless else confirmation.best(within, "split traffic", most_replays=MOST_REPLAYS)
        known = found or best
        if known is not None:
            over_the_day = by_day(confirmation, self.days, within, known)
            found = over_the_day if over_the_day.choice.splits else None
        if found is None:
            around = " and ".join(plan_words(start) for start in within.starts)
            asked = confirmation.evaluator.calls - before
            tell(f"splitting traffic: {asked} plans predicted around {around}, none better")
            return None
        outcome = self.survive(Outcome(name, within, found))
        if outcome.confirmed is None:
            return None
        words = plan_words(outcome.confirmed.choice)
        if best is not None and not _surely(confirmation, outcome.confirmed, best, self.price):
            tell(f"splitting traffic: {words} is no better than the best plan without by more than the error")
            return None
        tell(f"splitting traffic: {words} beats every plan that splits none")
        return outcome

    @property
    def _same_all_day(self) -> bool:
        return self.days.flat or self.confirmation.evaluator.scenario.search.minimize != "cost"


def _least_wanted(judge: Judge, best: Confirmed) -> float:
    """An objective below this is worth splitting traffic for."""
    return best.judged.objective * (1.0 - LEAST_GAIN[judge.minimize])


def _starts(judge: Judge, space: Space, outcomes: Sequence[Outcome], best: Confirmed | None) -> tuple[Choice, ...]:
    """The best plan and, of several workloads, plain decoding; where none keeps its budgets every nearest miss.

    Of several workloads also the plan that comes of splitting all of them at will.
    """
    several = len(space.by_workload) > 1
    guessed = relaxed_start(judge, space) if several else None
    if best is None:
        near = [o.choice for o in outcomes if o.choice is not None and not o.choice.splits]
        return tuple(dict.fromkeys((*([] if guessed is None else [guessed]), *near)))
    plain = [o.choice for o in outcomes if o.name == NAMES["target_only"] and o.choice is not None]
    others = [*plain, *([] if guessed is None else [guessed])] if several else []
    return tuple(dict.fromkeys((best.choice, *others)))


def _surely(confirmation: Confirmation, one: Confirmed, other: Confirmed, price: Price) -> bool:
    """Whether one plan's objective is below another's by more than the error: prices are exact."""
    minimize = confirmation.evaluator.scenario.search.minimize
    if minimize in CAPACITY:
        return price(one) < price(other) * (1.0 - LEAST_GAIN[minimize])
    measure = fleet_energy if minimize == "energy" else mean_tpot(confirmation.evaluator.scenario)
    ratio = ratio_of(confirmation, measure, one, other)
    return ratio is not None and ratio.surely_below


def bound_with_splits(judge: Judge, space: AnySpace, found: Found, chosen: Confirmed) -> Found:
    """The search of unsplit plans as the one that stands for the choice; its scope says what holds of split traffic."""
    if not isinstance(space, Space):
        return replace(found, scope=found.scope + NOT_AMONG_MANY)
    if not splittable(space):
        return replace(found, scope=found.scope + NO_TWO_WAYS)
    bound = split_bound(judge, space)
    if chosen.choice.splits or (found.bound is None and bound is not None and bound > 0.0):
        scope = ANY_SPLIT if bound is not None else "no bound is known of traffic that is split (`share`)"
        best = chosen.judged if chosen.choice.splits else found.best
        return Found(best, bound, scope + (AHEAD if AHEAD in found.scope else ""))
    if bound is None or bound <= 0.0:
        return replace(found, scope=found.scope + ONE_WAY)
    objective = chosen.judged.objective
    if bound >= objective:
        words = "; no plan that splits a workload's traffic (`share`) does better either"
    else:
        least = f"{number(bound)}, {percent(1.0 - bound / objective)} below this one"
        words = (
            "; for plans that serve each workload in one way: splitting its traffic between two (`share`) was tried "
            f"around the best plans, and no plan that does is below {least}"
        )
    return replace(found, scope=found.scope + words)


def spaces_of(outcomes: Sequence[Outcome], name: str | None = None) -> list[AnySpace]:
    """Where split traffic was looked for and found better; `name`: of the outcome of that name alone."""
    return [o.space for o in outcomes if isinstance(o.space, Splits) and name in (None, o.name)]
