"""A lower bound for large spaces: every workload as if alone, sharing devices only in what they cost."""

from __future__ import annotations

from math import floor

from dsd_plan.optimize.choices.candidates import Space, site_copies
from dsd_plan.optimize.search.relaxation import Bounds


def relaxed_objective(bounds: Bounds, space: Space) -> float | None:
    """Least objective of the relaxation, or None where the objective's relaxation says nothing.

    Binary x[w, c] chooses a candidate, integer n[d] counts replicas. Minimize the price of n subject to
    Σ_c x[w, c] = 1, n[d] ≥ Σ_c least[w, c, d]·x[w, c] for every workload, and n[d] ≥ Σ_{w,c} work[w, c, d]·x[w, c].
    """
    judge = bounds.judge
    if judge.minimize == "tpot":
        fastest = tuple(min(group, key=lambda c: bounds.of[c].tpot_ms) for group in space.by_workload)
        return bounds.tpot_ms(fastest)
    if judge.minimize == "energy":
        return None
    import numpy as np
    from scipy.optimize import Bounds as Box
    from scipy.optimize import LinearConstraint, milp

    scenario = judge.scenario
    devices = [device.name for device in scenario.devices]
    chosen = [(w, c) for w, group in enumerate(space.by_workload) for c in group]
    columns = len(chosen) + len(devices)
    price = np.zeros(columns)
    for d, name in enumerate(devices):
        device = scenario.device(name)
        copies = site_copies(scenario, device)
        price[len(chosen) + d] = copies * (device.cost_per_hour if judge.minimize == "cost" else 1.0)
    rows, low, high = [], [], []
    for w in range(len(space.by_workload)):
        row = np.zeros(columns)
        for column, (owner, _) in enumerate(chosen):
            row[column] = float(owner == w)
        rows.append(row)
        low.append(1.0)
        high.append(1.0)
    for d, name in enumerate(devices):
        for w in (*range(len(space.by_workload)), None):
            row = np.zeros(columns)
            row[len(chosen) + d] = 1.0
            for column, (owner, candidate) in enumerate(chosen):
                alone = bounds.of[candidate]
                if w is None:
                    row[column] = -bounds.trust * alone.work.get(name, 0.0)
                elif owner == w:
                    row[column] = -float(max(alone.least.get(name, 0), floor(alone.work.get(name, 0.0))))
            rows.append(row)
            low.append(0.0)
            high.append(np.inf)
    most = np.concatenate([np.ones(len(chosen)), [scenario.device(name).usable for name in devices]])
    solved = milp(
        price,
        integrality=np.ones(columns),
        bounds=Box(np.zeros(columns), most),
        constraints=LinearConstraint(np.array(rows), np.array(low), np.array(high)),
        options={"node_limit": 2000},
    )
    return None if solved.mip_dual_bound is None else float(solved.mip_dual_bound)
