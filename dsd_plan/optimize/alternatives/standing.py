"""Which outcome a confirmed plan stands for."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.optimize.alternatives.options import Outcome
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed


def joined(outcomes: list[Outcome], mixed: Outcome) -> list[Outcome]:
    """A plan of one mode stands for that mode, even where the search among all of them found it."""
    if mixed.confirmed is None or not any(
        outcome.space.holds(mixed.confirmed.choice.candidates) for outcome in outcomes
    ):
        return [*outcomes, mixed]
    return standing_for(outcomes, mixed.confirmed)


def standing_for(outcomes: list[Outcome], chosen: Confirmed) -> list[Outcome]:
    """The chosen plan stands for the first outcome whose space holds it."""
    for index, outcome in enumerate(outcomes):
        if outcome.space.holds(chosen.choice.candidates):
            return [*outcomes[:index], replace(outcome, confirmed=chosen, miss=None, lost=""), *outcomes[index + 1 :]]
    return outcomes


def rescued(confirmation: Confirmation, outcomes: list[Outcome]) -> list[Outcome]:
    """With the best replayed plan that keeps every budget, where there is one."""
    seen = [confirmation.judge(choice) for choice in confirmation.observed]
    best = min((judged for judged in seen if judged.kept), key=lambda judged: judged.key, default=None)
    return outcomes if best is None else standing_for(outcomes, confirmation.confirmed(best.choice))
