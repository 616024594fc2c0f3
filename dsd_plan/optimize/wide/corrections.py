"""What the printed model, or a replay, says of a plan over what the arrays said, for the next search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.optimize.choices.objective import Judge, Judged
from dsd_plan.optimize.wide.columns import Columns
from dsd_plan.optimize.wide.congestion import LEVELS
from dsd_plan.optimize.wide.offers import MODES, Asked, Corrections, uncorrected
from dsd_plan.optimize.wide.solve import Solved

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

FULLEST = 0.95
"""Saturation beyond which a target's replays of many minutes do not settle, whatever the model says of its budgets."""
FILLED = 0.92
"""To which some of its workloads leave such a target."""
MARGIN = 1.015
"""By how much a latency that the printed model puts above its budget is overstated from then on."""


def taught(judge: Judge, columns: Columns, asked: Asked) -> Corrections:
    """What replays have taught already."""
    none = uncorrected(columns, asked)
    factors = none.by_workload
    place = {workload.name: w for w, workload in enumerate(judge.scenario.workloads)}
    quantities = _quantities(asked)
    for (scope, mode, quantity), factor in judge.lens.factors.items():
        if scope in place and quantity in quantities and mode in MODES:
            factors[quantities.index(quantity), place[scope], MODES.index(mode)] = factor
    return replace(none, by_workload=factors)


def corrected(
    judge: Judge, columns: Columns, asked: Asked, solved: Solved, judged: Judged, known: Corrections
) -> tuple[Corrections, Flags]:
    """What the printed model says of this plan over what the arrays said: of each target, and then of each workload.

    The second: workloads with a broken budget, or on a target without a steady state.
    """
    work = known.work.copy()
    saturation = _saturations(judged)
    chosen = solved.assignment
    rows = np.arange(chosen.target.size)
    load = np.bincount(chosen.target, weights=chosen.use / solved.worked, minlength=work.size)
    for t, device in enumerate(columns.targets):
        if device.name in saturation and load[t] > 0.0:
            planned = load[t] / chosen.replicas[t] * LEVELS[int(solved.levels[t])]
            work[t] = saturation[device.name] / planned
    if judged.trial.performance is None:
        full = [t for t, device in enumerate(columns.targets) if device.name in saturation]
        return replace(known, work=np.maximum(work, known.work)), np.isin(chosen.target, full)
    reading = judge.lens.read(judged.trial)
    seen = solved.seen
    modes = np.array([MODES.index(columns.gears[g].mode) for g in solved.gear])
    broken = np.zeros(rows.size, dtype=bool)
    by_target, by_workload = known.by_target.copy(), known.by_workload.copy()
    names = [workload.name for workload in judge.scenario.workloads]
    for q, quantity in enumerate(_quantities(asked)):
        told = np.array([reading.get((name, quantity)) or np.nan for name in names])
        values = told * _fuller(columns, solved, quantity, modes, saturation)
        ratio = np.where(seen[:, q] > 0.0, values / np.maximum(seen[:, q], 1e-12), np.nan)
        met = np.zeros(by_target.shape[1:], dtype=bool)
        for here in np.flatnonzero(chosen.replicas > 0.0):
            for mode in range(len(MODES)):
                mine = (chosen.target == here) & (modes == mode) & np.isfinite(ratio)
                if mine.any():
                    now = np.median(ratio[mine])
                    was = by_target[q, here, mode]
                    # Mixes change from plan to plan, and the correction with them: half of it is remembered.
                    by_target[q, here, mode] = now if was == 1.0 else np.sqrt(now * was)
                    met[here, mode] = True
        # What no target was met in yet is likely off as the others are.
        unmet = ~met & (by_target[q] == 1.0)
        for m in map(int, np.flatnonzero(met.any(axis=0))):
            by_target[q, unmet[:, m], m] = np.median(by_target[q, met[:, m], m])
        rest = ratio / by_target[q, chosen.target, modes]
        fine = np.isfinite(rest)
        over = told > (asked.limits[q][2] if q < len(asked.limits) else np.inf)
        broken |= over
        # Its target may be fuller than its level, and stay so: what is broken there is to look broken.
        there = told / np.maximum(seen[:, q], 1e-12) / by_target[q, chosen.target, modes]
        least = np.maximum(np.maximum(rest, there), by_workload[q, rows, modes])
        rest = np.where(over, least * MARGIN, rest)
        by_workload[q, rows[fine], modes[fine]] = rest[fine]
    return Corrections(by_workload, by_target, work), broken


def overfull(columns: Columns, solved: Solved, judged: Judged, known: Corrections) -> tuple[Solved, Flags]:
    """The plan with what targets beyond `FULLEST` really have to do, and who has to leave them, the least first."""
    chosen, saturation = solved.assignment, _saturations(judged)
    loose = np.zeros(chosen.target.size, dtype=bool)
    use, worked = chosen.use.copy(), solved.worked.copy()
    for t, device in enumerate(columns.targets):
        if saturation.get(device.name, 0.0) <= FULLEST or judged.trial.performance is None:
            continue
        mine = np.flatnonzero(chosen.target == t)
        use[mine] *= known.work[t] / worked[mine]
        worked[mine] = known.work[t]
        least = mine[np.argsort(use[mine], kind="stable")]
        room = chosen.replicas[t] * FILLED / LEVELS[int(solved.levels[t])]
        loose[least[np.cumsum(use[least][::-1])[::-1] > room]] = True
    return replace(solved, assignment=replace(chosen, use=use), worked=worked), loose


def _fuller(columns: Columns, solved: Solved, quantity: str, modes: Indices, saturation: Mapping[str, float]) -> Array:
    """How much longer a latency gets when the target's replicas, now whole, are filled up to its level; shape (w,).

    How full they are now is the printed model's word: what it finds them fuller than planned is the work's correction.
    """
    chosen, levels = solved.assignment, np.array(LEVELS)
    load = np.bincount(chosen.target, weights=chosen.use, minlength=len(columns.targets))
    found = np.ones((len(columns.targets), len(MODES)))
    for t in map(int, np.flatnonzero(chosen.replicas > 0.0)):
        at = levels[solved.levels[t]]
        now = saturation.get(columns.targets[t].name, at * load[t] / chosen.replicas[t])
        for m, mode in enumerate(MODES):
            if not (modes[chosen.target == t] == m).any():
                continue
            table = solved.congestion.first[t] if quantity.startswith("ttft") else solved.congestion.typical(mode)[t]
            found[t, m] = np.interp(at, levels, table) / np.interp(now, levels, table)
    each: Array = found[chosen.target, modes]
    return each


def _quantities(asked: Asked) -> list[str]:
    return [f"{metric}_{statistic}_ms" for metric, statistic, _ in asked.limits] + ["tpot_mean_ms"]


def _saturations(judged: Judged) -> dict[str, float]:
    """By device type; of a plan without a steady state the one that saturates."""
    if judged.trial.performance is None:
        return {} if judged.trial.saturated is None else dict([judged.trial.saturated])
    return {d.name: d.saturation for d in judged.trial.performance.devices if d.saturation}
