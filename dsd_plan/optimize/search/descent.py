"""One change at a time, from several starts: good plans early, in spaces of any size."""

from __future__ import annotations

from collections.abc import Iterator

from dsd_plan.optimize.choices.candidates import Space, full_counts, with_count
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Candidate, Choice, same_but_window
from dsd_plan.optimize.choices.objective import Judge, Judged, better
from dsd_plan.optimize.choices.replicas import fitted_counts
from dsd_plan.optimize.search.relaxation import Bounds, LowerKey

MOST_SWEEPS = 6

Chosen = tuple[Candidate, ...]


def descend(judge: Judge, space: Space, bounds: Bounds, starts: int = 4) -> Judged | None:
    """Best choice found by changing one workload, or the window of all workloads in a mode, while that helps."""
    best: Judged | None = None
    for start in _starts(space, bounds)[:starts]:
        here = _settled(judge, bounds, start)
        for _ in range(MOST_SWEEPS):
            before = here
            for other in _moves(space, here.choice.candidates):
                least = bounds.least_counts(other)
                hopeless = least is None or (here.kept and bounds.key(other, least) >= here.key[:5])
                if other != here.choice.candidates and space.admits(other) and not hopeless:
                    here = _nearer(here, _settled(judge, bounds, other, here))
            if here is before:
                break
        best = better(best, here)
    return best


def _starts(space: Space, bounds: Bounds) -> list[Chosen]:
    """Every workload's best alone, and for each mode every workload's best alone in that mode where it has one."""

    def price(candidate: Candidate) -> LowerKey:
        alone = bounds.of[candidate]
        counts = tuple((name, max(least, round(alone.work[name] + 0.5))) for name, least in alone.least.items())
        return bounds.key((candidate,), counts)

    starts = [tuple(min(group, key=price) for group in space.by_workload)]
    starts += [
        tuple(min([c for c in group if c.mode == mode] or group, key=price) for group in space.by_workload)
        for mode in SIMPLEST_FIRST
    ]
    return [start for start in dict.fromkeys(starts) if space.admits(start)]


def _moves(space: Space, chosen: Chosen) -> Iterator[Chosen]:
    for mode in SIMPLEST_FIRST[1:]:
        # Fused sessions draft as long as the longest window among them, so single moves can be stuck.
        windows = {c.window for group in space.by_workload for c in group if c.mode == mode}
        for window in sorted(w for w in windows if w is not None):
            yield tuple(
                next((c for c in group if same_but_window(c, old) and c.window == window), old)
                if old.mode == mode
                else old
                for old, group in zip(chosen, space.by_workload, strict=True)
            )
    for position, group in enumerate(space.by_workload):
        for candidate in group:
            yield (*chosen[:position], candidate, *chosen[position + 1 :])


def _nearer(here: Judged, there: Judged) -> Judged:
    """A choice that keeps every budget beats one that does not; among those that do not, the nearer miss."""
    if there.kept or here.kept:
        return there if there.kept and (not here.kept or there.key < here.key) else here
    return min(here, there, key=lambda judged: (judged.excess, judged.key))


def _settled(judge: Judge, bounds: Bounds, chosen: Chosen, here: Judged | None = None) -> Judged:
    """The assignment with the replicas that suit the objective; in full where even those break a budget.

    `here`: what it has to beat. Where it cannot on the same devices with the same replicas, it is not fitted.
    """
    high = full_counts(judge.scenario, chosen)
    low = bounds.least_counts(chosen)
    if here is not None and here.kept and judge.minimize != "tpot":
        had = dict(here.choice.counts)
        high = tuple((name, max(had.get(name, there), dict(low or ()).get(name, 1))) for name, there in high)
    judged = judge.judge(Choice(chosen, high))
    if not judged.latency_kept or low is None or (judge.minimize == "tpot" and judged.kept):
        return judged
    fitted = judge.judge(Choice(chosen, fitted_counts(judge, chosen, low, high)))
    return raised(judge, fitted) if judge.minimize == "tpot" and fitted.kept else fitted


def raised(judge: Judge, fitted: Judged) -> Judged:
    """As many replicas as the fleet's budgets allow: of the dearest type first, and of the cheapest type first."""
    prices = {name: judge.scenario.device(name).cost_per_hour for name, _ in fitted.choice.counts}
    best = fitted
    for sign in (-1.0, 1.0):
        here = fitted
        for name in sorted(prices, key=lambda n: sign * prices[n]):
            low, high = dict(here.choice.counts)[name], judge.scenario.device(name).usable
            while low < high:
                middle = (low + high + 1) // 2
                counts = with_count(here.choice.counts, name, middle)
                there = judge.judge(Choice(fitted.choice.candidates, counts))
                if there.kept:
                    here, low = there, middle
                else:
                    high = middle - 1
        best = min(best, here, key=lambda judged: judged.key)
    return best
