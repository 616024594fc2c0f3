"""Drafts that go on ahead, looked for around plans that draft at the edge, for they take long to predict."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.scenario import Scenario
from dsd_plan.optimize.choices.candidates import Space, ahead_of, full_counts
from dsd_plan.optimize.choices.choice import Candidate, Choice, Counts, compatible
from dsd_plan.optimize.choices.objective import Judge, Judged, better
from dsd_plan.optimize.search.rivals import nearer, settled

MOST_PREDICTIONS = 24
"""Plans that draft ahead and are predicted for one decision, however often it searches for them."""
USUAL_WINDOW = 4
SCOPE = "what was predicted around the best plans that draft at the edge; no bound"


@dataclass(frozen=True, slots=True)
class Around(Space):
    """Plans in which some workload drafts ahead, near `starts`: these plans with their edge drafts going on."""

    starts: tuple[Choice, ...] = ()


def around(scenario: Scenario, space: Space, starts: tuple[Choice, ...]) -> Around:
    """The space around `starts`, plans of `space`; without any candidate where nothing in them could go on ahead."""
    starts = tuple(start for start in starts if any(_twins(scenario, space, start)))
    groups = []
    for position in range(len(space.by_workload) if starts else 0):
        own = (start.candidates[position] for start in starts)
        twins = (twin for start in starts for twin in _twins(scenario, space, start)[position])
        groups.append(tuple(dict.fromkeys((*own, *twins))))
    return Around(tuple(groups), space.notes, frozenset({"pipelined"}), starts)


def search_around(judge: Judge, space: Around) -> Judged | None:
    """The best plan found; None where none keeps every budget. Deterministic: it counts predictions, not seconds."""
    sparing = _Sparing(judge)
    for trial in judge.evaluator.trials():
        if space.holds(trial.choice.candidates):
            sparing.judge(trial.choice)
    for number, start in enumerate(space.starts):
        # What one start leaves is the next one's.
        sparing.most = sparing.asked + (MOST_PREDICTIONS - sparing.asked) // (len(space.starts) - number)
        try:
            _walk(sparing, start, _twins(judge.scenario, space, start))
        except _SpentError:
            continue
    return sparing.best


class _SpentError(Exception):
    """No more plans that draft ahead may be predicted."""


class _Sparing(Judge):
    """Predicts few plans that draft ahead; those known already, and all others, cost nothing."""

    def __init__(self, judge: Judge) -> None:
        super().__init__(judge.evaluator, judge.lens)
        self.minimize = judge.minimize
        self.best: Judged | None = None
        self.asked = sum("pipelined" in trial.choice.modes for trial in judge.evaluator.trials())
        self.most = MOST_PREDICTIONS

    def judge(self, choice: Choice) -> Judged:
        ahead = "pipelined" in choice.modes
        if ahead and not self.evaluator.knows(choice):
            if self.asked >= self.most:
                raise _SpentError
            self.asked += 1
        judged = super().judge(choice)
        if ahead:
            self.best = better(self.best, judged)
        return judged


Twins = tuple[tuple[Candidate, ...], ...]
"""By workload, the ways to go on ahead, by window; none where it cannot."""


def _twins(scenario: Scenario, space: Space, start: Choice) -> Twins:
    """Of each workload that drafts at the edge, or could on what the start leaves free: the same, going on ahead."""
    found = []
    for position, (mine, group) in enumerate(zip(start.candidates, space.by_workload, strict=True)):
        model = mine if mine.mode == "distributed" else None
        if mine.mode == "target_only":
            fitting = [
                c
                for c in group
                if c.mode == "distributed"
                and c.paths == 1
                and compatible(_with(start.candidates, position, c))
                and c.target_device == mine.target_device
            ]
            model = min(fitting, key=lambda c: abs((c.window or 0) - USUAL_WINDOW), default=None)
        found.append(() if model is None else ahead_of(scenario, model))
    return tuple(found)


def _walk(judge: _Sparing, start: Choice, twins: Twins) -> None:
    """Windows of all edge drafts together, then each workload's own, then replicas."""
    own = [p for p, c in enumerate(start.candidates) if c.mode == "distributed" and twins[p]]
    others = [p for p in range(len(twins)) if twins[p] and p not in own]
    first, counts = start.candidates, start.counts
    for position in own or others:
        first = _with(first, position, _near(twins[position], start.candidates[position].window or USUAL_WINDOW))
    here = judge.judge(_choice(judge, first, counts))
    if not here.latency_kept:
        # Going on ahead drafts more: with all that is there it may do.
        full = judge.judge(_choice(judge, first, ()))
        if nearer(full, here):
            here, counts = full, ()
    here = _valley(judge, here, counts, twins, own or others)
    several = (*own, *others) if len(own) + len(others) > 1 else ()
    for position in several:
        here = _own_way(judge, here, counts, start, twins, position)
    if not here.kept:
        here = _singly(judge, here, counts, start, twins, several)
    # At the next window fewer replicas may do: with these, as far as predictions go.
    for step in (0, -1, 1):
        moved = here.choice.candidates
        for position, mine in enumerate(moved):
            if mine.mode == "pipelined":
                moved = _with(moved, position, _stepped(twins[position], mine, step))
        settled(judge, _choice(judge, moved, start.counts))


def _valley(judge: _Sparing, here: Judged, counts: Counts, twins: Twins, positions: list[int]) -> Judged:
    """Two windows down or one up, together: going on ahead drafts a token more, so that smaller ones suit it."""
    first = here.choice.candidates
    for steps in ((-1, -2), (1,)):
        before = here
        for step in steps:
            moved = first
            for position in positions:
                moved = _with(moved, position, _stepped(twins[position], first[position], step))
            there = judge.judge(_choice(judge, moved, counts))
            if not nearer(there, here):
                break
            here = there
        if here is not before:
            break
    return here


def _own_way(judge: _Sparing, here: Judged, counts: Counts, start: Choice, twins: Twins, position: int) -> Judged:
    """One workload as the start has it, or ahead where it is not, or with the next window."""
    mine = here.choice.candidates[position]
    if mine.mode == "pipelined":
        tried = [start.candidates[position], *(_stepped(twins[position], mine, step) for step in (-1, 1))]
    else:
        tried = [_near(twins[position], mine.window or USUAL_WINDOW)]
    for candidate in tried:
        candidates = _with(here.choice.candidates, position, candidate)
        if any(c.mode == "pipelined" for c in candidates):
            there = judge.judge(_choice(judge, candidates, counts))
            here = there if nearer(there, here) else here
    return here


def _singly(
    judge: _Sparing, here: Judged, counts: Counts, start: Choice, twins: Twins, positions: tuple[int, ...]
) -> Judged:
    """The start with one workload going on ahead, whichever misses least."""
    for position in positions:
        mine = _near(twins[position], start.candidates[position].window or USUAL_WINDOW)
        there = judge.judge(_choice(judge, _with(start.candidates, position, mine), counts))
        here = there if nearer(there, here) else here
    return here


def _with(candidates: tuple[Candidate, ...], position: int, candidate: Candidate) -> tuple[Candidate, ...]:
    return (*candidates[:position], candidate, *candidates[position + 1 :])


def _near(family: tuple[Candidate, ...], window: int) -> Candidate:
    return min(family, key=lambda c: abs((c.window or 0) - window))


def _stepped(family: tuple[Candidate, ...], mine: Candidate, step: int) -> Candidate:
    return family[min(max(family.index(mine) + step, 0), len(family) - 1)]


def _choice(judge: Judge, candidates: tuple[Candidate, ...], counts: Counts) -> Choice:
    """On these counts, and of device types that are not among them on all that is there."""
    known = dict(counts)
    full = full_counts(judge.scenario, candidates)
    return Choice(candidates, tuple((name, known.get(name, number)) for name, number in full))
