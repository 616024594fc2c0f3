"""The same modes on other device types, or with other drafts: what takes over where the planned ones no longer do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import PlanError
from dsd_plan.optimize.choices.candidates import Space, full_counts, plan_of
from dsd_plan.optimize.choices.choice import Candidate, Choice, same_but_window
from dsd_plan.optimize.search.rivals import Rival, families_of

MOST = 16
"""Ways that are looked at."""

Chosen = tuple[Candidate, ...]


def stand_ins(scenario: Scenario, space: Space, rivals: Sequence[Rival]) -> tuple[Rival, ...]:
    """Each rival with one device type, or one draft, in the place of another wherever that is used."""
    known: list[Chosen] = [rival.start.candidates for rival in rivals]
    found: list[Rival] = []
    for rival in rivals:
        for chosen in _elsewhere(space, rival.start.candidates):
            if space.admits(chosen) and not any(all(map(same_but_window, chosen, other)) for other in known):
                known.append(chosen)
                start = Choice(chosen, full_counts(scenario, chosen))
                if _fits(scenario, start):
                    found.append(Rival(start, families_of(space, chosen)))
    return tuple(found[:MOST])


def _fits(scenario: Scenario, choice: Choice) -> bool:
    try:
        deploy(scenario, plan_of(scenario, choice))
    except PlanError:
        return False
    return True


def _elsewhere(space: Space, chosen: Chosen) -> Iterator[Chosen]:
    every = [candidate for group in space.by_workload for candidate in group]
    parts = dict.fromkeys(part for candidate in every for part in _parts(candidate) if part)
    for old in dict.fromkeys(part for candidate in chosen for part in _parts(candidate) if part):
        for new in parts:
            moved = [_moved(group, mine, old, new) for group, mine in zip(space.by_workload, chosen, strict=True)]
            whole = tuple(candidate for candidate in moved if candidate is not None)
            if new != old and len(whole) == len(chosen):
                yield whole


def _parts(candidate: Candidate) -> tuple[str | None, ...]:
    return candidate.target_device, candidate.draft_device, candidate.draft_model


def _moved(group: tuple[Candidate, ...], mine: Candidate, old: str, new: str) -> Candidate | None:
    """The candidate that has `new` where `mine` has `old`, with the nearest window; None: there is none."""
    wanted = tuple(new if part == old else part for part in _parts(mine))
    same = [c for c in group if c.mode == mine.mode and c.paths == mine.paths and _parts(c) == wanted]
    return min(same, key=lambda c: abs((c.window or 0) - (mine.window or 0)), default=None)
