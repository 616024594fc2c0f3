"""What a better-aligned draft would be worth: acceptance a little higher, windows and replicas chosen anew."""

from __future__ import annotations

from dsd_plan.domain.deployed import Stream
from dsd_plan.domain.study_outlook import DraftWorth
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total
from dsd_plan.optimize.choices.objective import Judged
from dsd_plan.optimize.choices.variation import first_accepted
from dsd_plan.optimize.choices.words import counts_words, plan_words
from dsd_plan.optimize.outlook.inputs import MOST_ACCEPTED, accepted_at
from dsd_plan.optimize.outlook.tipping import Outlook
from dsd_plan.optimize.search.rivals import Rival, best_near

BETTER = 0.05
"""By how much the first proposal of a round is accepted more often."""


def draft_worth(outlook: Outlook) -> tuple[DraftWorth, ...]:
    """One entry for each pair that a plan considered drafts with; a pair that is hardly ever rejected has none."""
    pairs: dict[tuple[str, str], Stream] = {}
    for rival in (*outlook.rivals, *outlook.stand_ins):
        for stream in outlook.explorer.deployed(rival.start).streams:
            if stream.acceptance is not None and stream.assignment.draft_model is not None:
                pairs.setdefault((stream.assignment.draft_model, stream.workload.target), stream)
    found = (_worth(outlook, draft, target, stream) for (draft, target), stream in sorted(pairs.items()))
    return tuple(worth for worth in found if worth is not None)


def _worth(outlook: Outlook, draft: str, target: str, stream: Stream) -> DraftWorth | None:
    scenario, acceptance = outlook.explorer.scenario, stream.acceptance
    assert acceptance is not None
    windows = 1 + max(c.window or 0 for rival in outlook.rivals for family in rival.families for c in family)
    now = first_accepted(acceptance, windows)
    then = min(now + BETTER, MOST_ACCEPTED)
    if then <= now:
        return None
    names = tuple(workload.name for workload in scenario.workloads if workload.target == target)
    near = {rival: judged.choice for rival, judged in outlook.today.items()}
    # A recording is compared with itself as a law by position, so that nothing but acceptance differs.
    as_law = outlook.judge_at(accepted_at(scenario, names, draft, windows, 0.0, added=True))
    today = best_near(as_law, outlook.chosen, near[outlook.chosen])
    with_it = outlook.judge_at(accepted_at(scenario, names, draft, windows, BETTER, added=True))
    there = outlook.decided(with_it, near)
    better = best_near(with_it, outlook.chosen, near[outlook.chosen]) if there.rival is outlook.chosen else there.judged
    # The chosen draft may give way to this one, in the same mode.
    others = [judged for judged, rival in outlook.elsewhere(with_it) if _drafts(rival, draft)]
    better = min([better, *others], key=lambda judged: (not judged.kept, judged.key))
    if not better.kept or not today.kept:
        return None
    energies = _energy(today), _energy(better)
    return DraftWorth(
        draft=draft,
        target=target,
        acceptance_now=now,
        acceptance_then=then,
        plan_now=_words(outlook, today),
        plan_then=_words(outlook, better),
        saves_cost_per_hour=_cost(outlook, today) - _cost(outlook, better),
        saves_tpot_ms=today.tpot_ms - better.tpot_ms,
        saves_energy_j_per_token=None if None in energies else (energies[0] or 0.0) - (energies[1] or 0.0),
        saves_devices=device_total(scenario, today.choice.counts) - device_total(scenario, better.choice.counts),
    )


def _drafts(rival: Rival, draft: str) -> bool:
    return any(candidate.draft_model == draft for candidate in rival.start.candidates)


def _words(outlook: Outlook, judged: Judged) -> str:
    counts = counts_words(outlook.explorer.scenario, judged.choice.counts)
    return f"{plan_words(judged.choice)} ({counts})"


def _cost(outlook: Outlook, judged: Judged) -> float:
    return cost_per_hour(outlook.explorer.scenario, judged.choice.counts)


def _energy(judged: Judged) -> float | None:
    return judged.trial.reading.get((FLEET, "energy_j_per_token"))
