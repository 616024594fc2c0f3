"""The search for fleets whose plans are too many to try: prices on arrays, then the printed model's corrections.

Plans are made on arrays; the printed model then says what a plan really gives, and the arrays are corrected by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.identity import Same
from dsd_plan.domain.performance import DevicePerformance
from dsd_plan.domain.scenario import Mode, Scenario
from dsd_plan.optimize.choices.candidates import with_count
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.objective import Judge, Judged
from dsd_plan.optimize.wide.assign import OVER
from dsd_plan.optimize.wide.columns import Columns, columns_of
from dsd_plan.optimize.wide.congestion import LEVELS, congestion_of
from dsd_plan.optimize.wide.corrections import corrected, overfull, taught
from dsd_plan.optimize.wide.offers import Array, Corrections, asked_of, offers_of, uncorrected
from dsd_plan.optimize.wide.solve import Solved, bound_of, choice_of, first_mix, mended, solve_wide

AFRESH = 2
"""How often the whole plan is made anew from what the printed model said of the last."""
REFILLED = 8
"""How often, after that, those whose budgets are still broken are placed anew; in the first half, and where none is
broken any more, replicas that are hardly used are given up, too."""
MENDED = 6
"""How often, where that leads nowhere, those whose budgets are broken are placed anew with more room."""
TRIED = 1000
"""Workloads times plans made anew that are mended: beyond, the likeliest alone."""
TRIMS = 360
"""Workloads times plans with a replica less that the printed model is asked about at the end."""
FEWEST_TRIMS = 16
FULLEST = 0.92
"""Saturation up to which taking replicas away may fill targets: beyond it, replays of many minutes do not settle."""
FEW = 60
"""Workloads up to which targets may be run at the fullest level."""
SCOPE = (
    "a lower bound by prices on replicas (Lagrangian), for congestion frozen at this plan's mix, latencies as "
    f"corrected by the model at it, targets filled to at most {LEVELS[-1]:.0%} ({LEVELS[-2] * (1.0 + OVER):.0%} beyond "
    f"{FEW} workloads), and replicas shared in any part; another mix on a target may do better"
)


@dataclass(frozen=True, slots=True, eq=False)
class WideFound:
    """The best plan that the printed model agrees with, if any, and the bound."""

    best: Judged | None
    nearest: Judged | None
    """The plan whose worst budget is broken least, whether or not it keeps them."""
    bound: float | None
    state: _State | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Where a search ended, for one that knows more to go on from."""

    solved: Solved | None
    """The best plan in arrays, before replicas were taken away."""
    corrections: Corrections
    lessons: Array
    """What replays had taught by then, as `Corrections.by_workload`."""


def search_wide(judge: Judge, modes: tuple[Mode, ...]) -> WideFound:
    """The best plan among `modes`, every workload in any of them, as `judge` sees it. Deterministic.

    The fullest level, where a little more work changes much, is tried where that takes no time. Where it does, a search
    that only knows a few replays more than the last goes on from that one's plan, and its bound is that one's.
    """
    if len(judge.scenario.workloads) <= FEW:
        found, fuller = _search(judge, modes, len(LEVELS) - 1), _search(judge, modes, len(LEVELS))
        better = fuller.best is not None and (found.best is None or fuller.best.key < found.best.key)
        return fuller if better else found
    kept, key = judge.evaluator.kept, ("wide", modes, judge.lens.slack)
    last = kept.get(key)
    found = _search(judge, modes, len(LEVELS) - 1) if not isinstance(last, WideFound) else _resumed(judge, modes, last)
    kept[key] = found
    # What may use fewer modes is no dearer a bound: each search has its own mix.
    within = [f for (_, other, slack), f in _wide_ones(kept) if set(other) <= set(modes) and slack == key[2]]
    bounds = [f.bound for f in within if f.bound is not None]
    return replace(found, bound=min(bounds, default=None))


def _wide_ones(kept: Mapping[object, object]) -> list[tuple[tuple[str, tuple[Mode, ...], float], WideFound]]:
    return [(k, f) for k, f in kept.items() if isinstance(k, tuple) and isinstance(f, WideFound)]


def _resumed(judge: Judge, modes: tuple[Mode, ...], last: WideFound) -> WideFound:
    """The last plan with those placed anew whose budgets a replay found broken."""
    assert last.state is not None
    columns, asked = _columns(Same(judge.scenario), modes), asked_of(judge.scenario, judge.lens.slack)
    lessons = taught(judge, columns, asked).by_workload
    if last.best is None or last.state.solved is None:
        return last if np.array_equal(lessons, last.state.lessons) else _search(judge, modes, len(LEVELS) - 1)
    judged, solved = judge.judge(last.best.choice), last.state.solved
    if judged.kept:
        return replace(last, best=judged)
    known = last.state.corrections
    known = replace(known, by_workload=known.by_workload * lessons / last.state.lessons)
    counts = np.array([float(device.usable) for device in columns.targets])
    for _ in range(MENDED):
        corrections, loose = corrected(judge, columns, asked, solved, judged, known)
        mend = mended(columns, asked, corrections, counts, solved, loose)
        if mend is None:
            break
        solved, known = mend, corrections
        judged = judge.judge(choice_of(columns, solved))
        if judged.kept:
            best = _trimmed(judge, columns, judged)
            return WideFound(best, best, last.bound, _State(solved, known, lessons))
    return _search(judge, modes, len(LEVELS) - 1)


def _search(judge: Judge, modes: tuple[Mode, ...], levels: int) -> WideFound:
    columns = _columns(Same(judge.scenario), modes)
    asked = asked_of(judge.scenario, judge.lens.slack)
    counts = np.array([float(device.usable) for device in columns.targets])
    known = taught(judge, columns, asked)
    lessons = known.by_workload
    found = WideFound(None, None, None, _State(None, known, lessons))
    at_best = known
    many = levels < len(LEVELS)

    def look(solved: Solved, before: Corrections) -> _At:
        nonlocal found, at_best
        judged = judge.judge(choice_of(columns, solved))
        after, loose = corrected(judge, columns, asked, solved, judged, before)
        settled, leaving = overfull(columns, solved, judged, after) if many else (solved, np.zeros_like(loose))
        if not leaving.any():
            found = _with(found, judged, solved, _State(solved, before, lessons))
        if found.best is judged:
            at_best = after
        return _At(settled, after, loose | leaving)

    fresh: list[_At] = []
    for _ in range(1 + AFRESH):
        solved = solve_wide(columns, asked, known, counts, levels)
        if solved is None:
            break
        fresh.append(look(solved, known))
        known = fresh[-1].corrections
    if not fresh:
        return found
    over = OVER if many else 0.0
    # Of those made anew first the one with the fewest broken budgets, the last of these; of few workloads, and where
    # that leads nowhere, the others too.
    fresh.reverse()
    for tried, start in enumerate(sorted(fresh, key=lambda one: int(one.loose.sum()))):
        if found.best is not None and tried > 0 and len(columns.rate) * (tried + 1) > TRIED:
            break
        at = start
        for turn in range(REFILLED):
            refill = turn < REFILLED // 2 or not at.loose.any()
            better = mended(columns, asked, at.corrections, counts, at.solved, at.loose, over, refill=refill)
            if better is None or (not at.loose.any() and _stands(at.solved, better)):
                break
            at = look(better, at.corrections)
        at = start
        for _ in range(MENDED):
            careful = None
            if found.best is None:
                careful = mended(columns, asked, at.corrections, counts, at.solved, at.loose)
            if careful is None:
                break
            at = look(careful, at.corrections)
    if found.best is None or found.state is None or found.state.solved is None:
        return found
    bound = bound_of(columns, asked, at_best, counts, found.state.solved, levels, over)
    return replace(found, best=_trimmed(judge, columns, found.best), bound=bound)


@dataclass(frozen=True, slots=True, eq=False)
class _At:
    """A plan in arrays with what the printed model says of it."""

    solved: Solved
    corrections: Corrections
    loose: NDArray[np.bool_]
    """Whose budgets it breaks."""


def _stands(before: Solved, now: Solved) -> bool:
    """Whether a plan that keeps its budgets found nothing better."""
    return now.assignment.objective >= before.assignment.objective * (1.0 - 1e-6)


def _with(found: WideFound, judged: Judged, solved: Solved, state: _State) -> WideFound:
    nearest = found.nearest
    if nearest is None or judged.excess < nearest.excess:
        nearest = judged
    if judged.kept and (found.best is None or judged.key < found.best.key):
        return WideFound(judged, nearest, solved.bound, state)
    return replace(found, nearest=nearest)


def _trimmed(judge: Judge, columns: Columns, best: Judged) -> Judged:
    """Fewer replicas where the printed model still keeps every budget: in few replicas a whole one is much."""
    targets = {device.name: device for device in columns.targets}
    tries = max(TRIMS // len(columns.rate), FEWEST_TRIMS) if judge.minimize != "tpot" else 0
    alone = judge.minimize in ("cost", "devices") and not any(limit.of_fleet for limit in judge.evaluator.limits)
    refused: set[str] = set()
    spare = {d.name: 1.0 - d.saturation for d in _devices_of(best) if d.saturation is not None}
    trimmed = best.choice
    for _ in range(tries):
        counts = dict(trimmed.counts)
        names = [name for name in targets if counts.get(name, 0) > 1 and name not in refused]
        if not names:
            break
        # Where giving one up adds least to the load of the others.
        name = min(names, key=lambda name: (1.0 - spare.get(name, 0.0)) / (counts[name] - 1))
        fewer = Choice(trimmed.candidates, with_count(trimmed.counts, name, counts[name] - 1))
        judged = judge.judge(_around(fewer, name) if alone else fewer)
        better = alone or judged.key < best.key
        if judged.kept and better and _fill(targets, judged) <= max(FULLEST, 1.0 - min(spare.values(), default=0.0)):
            trimmed = fewer
            spare.update({d.name: 1.0 - d.saturation for d in _devices_of(judged) if d.saturation is not None})
        else:
            refused.add(name)
    if trimmed == best.choice:
        return best
    whole = judge.judge(trimmed)
    return whole if whole.kept else best


def _around(choice: Choice, target: str) -> Choice:
    """Those whom this target serves, and all that share a device with them: what a change of it may touch."""
    devices = {target}
    mine: set[str] = set()
    while True:
        near = [candidate for candidate in choice.candidates if devices.intersection(candidate.devices)]
        if len(near) == len(mine):
            break
        mine = {candidate.workload for candidate in near}
        devices.update(name for candidate in near for name in candidate.devices)
    members = tuple(c for c in choice.candidates if c.workload in mine)
    return Choice(members, tuple((name, count) for name, count in choice.counts if name in devices))


def _fill(targets: Mapping[str, Device], judged: Judged) -> float:
    """Saturation of the fullest target."""
    return max((d.saturation or 0.0 for d in _devices_of(judged) if d.name in targets), default=0.0)


def _devices_of(judged: Judged) -> tuple[DevicePerformance, ...]:
    return () if judged.trial.performance is None else judged.trial.performance.devices


def unserved(judge: Judge, modes: tuple[Mode, ...]) -> tuple[str, ...]:
    """Workloads whose budgets no target keeps at any load, under the arrays."""
    columns = _columns(Same(judge.scenario), modes)
    asked = asked_of(judge.scenario, judge.lens.slack)
    counts = np.array([float(device.usable) for device in columns.targets])
    congestion = congestion_of(columns, *first_mix(columns))
    offers = offers_of(columns, congestion, asked, uncorrected(columns, asked), counts, len(LEVELS))
    lost = np.flatnonzero(~np.isfinite(offers.value).any(axis=(1, 2)))
    return tuple(judge.scenario.workloads[int(w)].name for w in lost)


@lru_cache(maxsize=8)
def _columns(scenario: Same[Scenario], modes: tuple[Mode, ...]) -> Columns:
    return columns_of(scenario.thing, modes)
