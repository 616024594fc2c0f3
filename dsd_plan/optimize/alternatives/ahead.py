"""The mode pipelined where it is not searched in full: tried around the best plans, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dsd_plan.optimize.alternatives.options import NAMES, Outcome, nearest_miss
from dsd_plan.optimize.choices.candidates import Space, cost_per_hour
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.objective import Judge, Judged, Key
from dsd_plan.optimize.choices.words import number, percent, plan_words
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.search.around import around
from dsd_plan.optimize.search.search import Found, search

MOST_REPLAYS = 3
"""Plans that draft ahead and are replayed before this mode is given up."""
CLOSE = 0.05
"""Relative difference of objective or TPOT up to which a plan may turn out an equal."""
SAME_COST = 1e-9
SCOPE = (
    "; of the modes but pipelined, which takes long to predict and was only tried around the best plans that draft at "
    "the edge"
)


def ahead(confirmation: Confirmation, space: Space, outcomes: Sequence[Outcome]) -> Outcome:
    """What comes of going on ahead in the best plan that drafts at the edge, and in the best of all.

    It is replayed where the model takes it for better than every other way to speculate, or for about as good.
    """
    name = NAMES["pipelined"]
    within = around(confirmation.evaluator.scenario, space, _starts(outcomes))
    if not within.starts:
        return Outcome(name, within, None, lost=_nothing(outcomes))
    best = search(Judge(confirmation.evaluator, confirmation.lens), within).best
    asked = sum("pipelined" in trial.choice.modes for trial in confirmation.evaluator.trials())
    confirmation.tell(
        f"pipelined: {asked} plans predicted, around {' and '.join(plan_words(start) for start in within.starts)}; "
        'it takes long to predict, and is searched in full with fewer modes: modes = ["target_only", "pipelined"]'
    )
    if best is None:
        return Outcome(name, within, None, nearest_miss(confirmation, within))
    rival = min((o for o in outcomes if _speculates(o)), key=_key, default=None)
    if rival is not None and rival.confirmed is not None and _surely_behind(best, rival.confirmed.judged):
        return Outcome(name, within, None, best.trial, lost=_behind(confirmation, best, rival.confirmed))
    confirmed = confirmation.best(within, "pipelined", most_replays=MOST_REPLAYS)
    if confirmed is None:
        return Outcome(name, within, None, nearest_miss(confirmation, within))
    return Outcome(name, within, confirmed)


def bound_of_others(found: Found) -> Found:
    """The search of the other modes as the one that stands for the choice; its scope says what it does not hold for."""
    return replace(found, scope=found.scope + SCOPE)


def _starts(outcomes: Sequence[Outcome]) -> tuple[Choice, ...]:
    edge = [o.choice for o in outcomes if o.name == NAMES["distributed"] and o.choice is not None]
    kept = [o.confirmed for o in outcomes if o.confirmed is not None]
    best = [min(kept, key=lambda confirmed: confirmed.judged.key).choice] if kept else []
    return tuple(dict.fromkeys((*edge, *(choice for choice in best if "distributed" in choice.modes))))


def _speculates(outcome: Outcome) -> bool:
    return outcome.confirmed is not None and outcome.confirmed.choice.speculates


def _key(outcome: Outcome) -> Key:
    assert outcome.confirmed is not None
    return outcome.confirmed.judged.key


def _nothing(outcomes: Sequence[Outcome]) -> str:
    if any(o.name == NAMES["distributed"] and o.choice is not None for o in outcomes):
        return (
            "what goes on ahead guesses a token more than it proposes, and no acceptance was measured that far, "
            "or only of several candidate paths"
        )
    return "no device at the users' sites drafts, so that nothing can go on ahead"


def _surely_behind(best: Judged, rival: Judged) -> bool:
    """Whether the model's error is not what makes it the worse one."""
    close = best.objective <= rival.objective * (1 + CLOSE) and best.tpot_ms <= rival.tpot_ms * (1 + CLOSE)
    return rival.key <= best.key and not close


def _behind(confirmation: Confirmation, best: Judged, rival: Confirmed) -> str:
    """By what the best plan that drafts ahead loses to another way to speculate, so that it was not replayed."""
    scenario, other = confirmation.evaluator.scenario, rival.judged
    cost = cost_per_hour(scenario, best.choice.counts) - cost_per_hour(scenario, other.choice.counts)
    devices = best.key[1] - other.key[1]
    if scenario.search.minimize == "cost" and cost > SAME_COST:
        what = f"costs {number(cost)} an hour more"
    elif scenario.search.minimize == "energy" and best.key[0] > other.key[0] > 0.0:
        what = f"takes {percent(best.objective / other.objective - 1.0)} more energy a token"
    elif scenario.search.minimize != "tpot" and devices > 0:
        what = f"takes {devices} more devices"
    elif best.key[2] > other.key[2] > 0.0:
        what = f"its mean TPOT is {percent(best.tpot_ms / other.tpot_ms - 1.0)} higher"
    else:
        what = "is no better"
    return f"keeps every budget under the model, but {what} than {plan_words(rival.choice)}"
