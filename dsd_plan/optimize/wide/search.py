"""The search for fleets whose plans are too many to try: prices on arrays, then the printed model's corrections.

Plans are made on arrays; the printed model then says what a plan really gives, and the arrays are corrected by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.identity import Same
from dsd_plan.domain.performance import DevicePerformance
from dsd_plan.domain.scenario import Mode, Scenario
from dsd_plan.optimize.candidates import Choice, with_count
from dsd_plan.optimize.objective import Judge, Judged
from dsd_plan.optimize.wide.columns import Columns, columns_of
from dsd_plan.optimize.wide.congestion import LEVELS, congestion_of
from dsd_plan.optimize.wide.corrections import corrected, taught
from dsd_plan.optimize.wide.offers import Array, Corrections, asked_of, offers_of, uncorrected
from dsd_plan.optimize.wide.solve import SETTLED, Solved, choice_of, first_mix, mended, solve_wide

AFRESH = 1
"""How often the whole plan is made anew from what the printed model said of the last."""
MENDED = 5
"""How often, after that, those whose budgets are still broken are placed anew, all others held."""
TRIMS = 360
"""Workloads times plans with a replica less that the printed model is asked about at the end."""
FEWEST_TRIMS = 16
FULLEST = 0.92
"""Saturation up to which taking replicas away may fill targets: beyond it, replays of many minutes do not settle."""
FEW = 60
"""Workloads up to which targets may be run at the fullest level."""
SCOPE = (
    "a lower bound by prices on replicas (Lagrangian), for congestion frozen at this plan's mix, latencies as "
    f"corrected by the model at it, targets filled to at most {LEVELS[-1]:.0%}, and replicas shared in any part"
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
    return found


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
    corrections = taught(judge, columns, asked)
    lessons = corrections.by_workload
    counts = np.array([float(device.usable) for device in columns.targets])
    found = WideFound(None, None, None, _State(None, corrections, lessons))
    solved: Solved | None = None
    loose = np.zeros(len(columns.rate), dtype=bool)
    for turn in range(1 + AFRESH + MENDED):
        if turn <= AFRESH:
            solved = solve_wide(columns, asked, corrections, counts, levels) or solved
        elif solved is not None:
            solved = mended(columns, asked, corrections, counts, solved, loose)
        if solved is None:
            break
        judged = judge.judge(choice_of(columns, solved))
        settled = found.best is not None and judged.objective >= found.best.objective * (1.0 - SETTLED)
        found = _with(found, judged, solved, _State(solved, corrections, lessons))
        if judged.kept and (turn > AFRESH or settled):
            break
        corrections, loose = corrected(judge, columns, asked, solved, judged, corrections)
    return found if found.best is None else replace(found, best=_trimmed(judge, columns, found.best))


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
    refused: set[str] = set()
    for _ in range(tries):
        spare = {d.name: 1.0 - d.saturation for d in _devices_of(best) if d.saturation is not None}
        counts = dict(best.choice.counts)
        names = [name for name in targets if counts.get(name, 0) > 1 and name not in refused]
        if not names:
            break
        # Where giving one up adds least to the load of the others.
        name = min(names, key=lambda name: (1.0 - spare.get(name, 0.0)) / (counts[name] - 1))
        fewer = judge.judge(Choice(best.choice.candidates, with_count(best.choice.counts, name, counts[name] - 1)))
        if fewer.kept and fewer.key < best.key and _fill(targets, fewer) <= max(FULLEST, _fill(targets, best)):
            best = fewer
        else:
            refused.add(name)
    return best


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
