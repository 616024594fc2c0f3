"""Large spaces: one workload is changed at a time, from several starts."""

from __future__ import annotations

from dsd_plan.optimize.candidates import SIMPLEST_FIRST, Candidate, Choice, Counts, Space, full_counts
from dsd_plan.optimize.milp import relaxed_objective
from dsd_plan.optimize.objective import Judge, Judged, better
from dsd_plan.optimize.relaxation import Alone, Bounds
from dsd_plan.optimize.replicas import fitted_counts

MOST_SWEEPS = 6


def descend(judge: Judge, space: Space, bounds: Bounds) -> tuple[Judged | None, float | None]:
    """Best choice found, and a lower bound on the objective of every choice."""
    groups = tuple(_undominated([bounds.of[candidate] for candidate in group]) for group in space.by_workload)
    best: Judged | None = None
    for start in _starts(judge, space, bounds, groups):
        best = _from(judge, space, bounds, groups, start, best)
    return best, relaxed_objective(bounds, space)


def _undominated(group: list[Alone]) -> tuple[Candidate, ...]:
    """Candidates that no other on the same devices beats in TPOT, in work and in replicas alike."""
    kept: list[Alone] = []
    for one in sorted(group, key=lambda found: (found.tpot_ms, found.candidate.window or 0)):
        if not any(_dominates(other, one) for other in kept):
            kept.append(one)
    return tuple(found.candidate for found in kept)


def _dominates(other: Alone, one: Alone) -> bool:
    return (
        other.candidate.devices == one.candidate.devices
        and other.tpot_ms <= one.tpot_ms
        and all(other.work[name] <= one.work[name] and other.least[name] <= one.least[name] for name in one.work)
    )


def _starts(
    judge: Judge, space: Space, bounds: Bounds, groups: tuple[tuple[Candidate, ...], ...]
) -> list[tuple[Candidate, ...]]:
    """Every workload's best alone, and for each mode every workload's best alone in that mode where it has one."""

    def price(candidate: Candidate) -> tuple[float, int, float, int, int]:
        least = tuple(sorted(bounds.of[candidate].least.items()))
        work = tuple((name, max(number, bounds.of[candidate].work[name])) for name, number in least)
        whole = tuple((name, int(number)) for name, number in work)
        return bounds.key((candidate,), whole)

    starts = [tuple(min(group, key=price) for group in groups)]
    for mode in SIMPLEST_FIRST:
        starts.append(
            tuple(min([c for c in group if c.mode == mode] or list(group), key=price) for group in groups)
        )
    return [start for start in dict.fromkeys(starts) if space.admits(start)]


def _from(
    judge: Judge,
    space: Space,
    bounds: Bounds,
    groups: tuple[tuple[Candidate, ...], ...],
    start: tuple[Candidate, ...],
    best: Judged | None,
) -> Judged | None:
    chosen = start
    here = _settled(judge, bounds, chosen)
    best = better(best, here)
    for _ in range(MOST_SWEEPS):
        before = here
        for position, group in enumerate(groups):
            for candidate in group:
                other = (*chosen[:position], candidate, *chosen[position + 1 :])
                if other == chosen or not space.admits(other):
                    continue
                least = bounds.least_counts(other)
                if least is None or (here.kept and bounds.key(other, least) >= here.key[:5]):
                    continue
                there = _settled(judge, bounds, other)
                if _improves(there, here):
                    chosen, here = other, there
        best = better(best, here)
        if here is before:
            break
    return best


def _improves(there: Judged, here: Judged) -> bool:
    """A choice that keeps every budget beats one that does not; among those that do not, the nearer miss."""
    if there.kept or here.kept:
        return there.kept and (not here.kept or there.key < here.key)
    return (there.excess, there.key) < (here.excess, here.key)


def _settled(judge: Judge, bounds: Bounds, chosen: tuple[Candidate, ...]) -> Judged:
    """The assignment with the replicas that suit the objective; in full where even those break a budget."""
    full = full_counts(judge.scenario, chosen)
    judged = judge.judge(Choice(chosen, full))
    low: Counts | None = bounds.least_counts(chosen)
    if not judged.latency_kept or low is None or (judge.minimize == "tpot" and judged.kept):
        return judged
    return judge.judge(Choice(chosen, fitted_counts(judge, chosen, low)))
