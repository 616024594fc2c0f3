"""What each way to serve a workload asks of devices, and so what no plan can do better by, however traffic is split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.candidates import Space, full_counts, plan_of, site_copies
from dsd_plan.optimize.choices.choice import Candidate, Choice, compatible
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.choices.variation import with_load
from dsd_plan.optimize.search.relaxation import open_tokens_per_s, trust_in

LIGHT_LOAD = 0.02
"""Multiple of today's load at which a way that saturates on all that is there is looked at."""
FILLED = 0.8
"""Share of what devices can do to which they are filled where a plan is guessed."""
INFEASIBLE = 2
"""HiGHS's word for it."""
Asked = Mapping[str, float]
"""By device type: replicas that are busy at full batches, per copy of its site."""


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """One candidate serving all of its workload's requests, nobody else there."""

    work: Asked
    """Proportional to load; of closed users what they would ask if nothing made them wait."""
    tpot_ms: float
    """Mean TPOT; of what saturates at today's load that at a light one."""


def light(judge: Judge, candidate: Candidate) -> Light | None:
    """What is known of a candidate alone, be it from an earlier prediction; None where it cannot be deployed."""
    kept = judge.evaluator.kept
    key = ("light", candidate, judge.minimize == "tpot")
    if key not in kept:
        kept[key] = _light(judge, candidate)
    found = kept[key]
    assert found is None or isinstance(found, Light)
    return found


def _light(judge: Judge, candidate: Candidate) -> Light | None:
    counts = full_counts(judge.scenario, (candidate,))
    alone = Choice((candidate,), counts)
    load = 1.0
    if judge.evaluator.knows(alone) and judge.minimize != "tpot":
        performance = judge.evaluator.trial(alone).performance
    else:
        performance = None
    if performance is None:
        try:
            deployed = deploy(judge.scenario, plan_of(judge.scenario, alone))
            performance = judge.evaluator.predict(with_load(deployed, LIGHT_LOAD))
        except (PlanError, UnstableError):
            return None
        load = _asked(deployed)
    saturation = {device.name: device.saturation or 0.0 for device in performance.devices}
    work = {name: saturation.get(name, 0.0) * count / load for name, count in counts}
    return Light(work, performance.workloads[0].tpot_ms.mean or 0.0)


def _asked(deployed: Deployed) -> float:
    """The multiple of today's load that whole users make of the light one."""
    (now,), (then,) = deployed.streams, with_load(deployed, LIGHT_LOAD).streams
    if isinstance(now.requests, ClosedRequests) and isinstance(then.requests, ClosedRequests):
        return then.requests.users / now.requests.users
    return LIGHT_LOAD


def work_of(judge: Judge, candidates: Sequence[Candidate]) -> dict[str, float] | None:
    """What candidates ask of each device type together, split ones by their shares; None where one is not known."""
    total: dict[str, float] = {}
    for candidate in candidates:
        for part, share in candidate.parts:
            found = light(judge, part)
            if found is None:
                return None
            for name, work in found.work.items():
                total[name] = total.get(name, 0.0) + share * work
    return total


def split_bound(judge: Judge, space: Space) -> float | None:
    """The least objective of any plan of `space`, however many ways each workload's traffic is split between.

    Share x[w, c] of workload w goes the way c, whole n[d] replicas are deployed: minimize the objective subject to
    Σ_c x[w, c] = 1 and n[d] ≥ Σ_{w,c} work[w, c, d]·x[w, c], latency budgets left out. Infinite: nothing carries it
    all. None: nothing is known, as of closed users, who ask less where it is slow.
    """
    scenario = judge.scenario
    if any(isinstance(workload.requests, ClosedRequests) for workload in scenario.workloads):
        return None
    groups = _known(judge, space)
    if groups is None:
        return None
    if judge.minimize == "tpot":
        total = sum(judge.weights.values())
        least = [min(found.tpot_ms for _, found in group) for group in groups]
        names = [workload.name for workload in scenario.workloads]
        fastest = sum(judge.weights[name] * ms for name, ms in zip(names, least, strict=True))
        return fastest / total if total > 0.0 else None
    return _relaxed(judge, groups, trust_in(scenario)).bound


def relaxed_start(judge: Judge, space: Space) -> Choice | None:
    """The plan in which each workload goes the way that takes the most of it where all are split at will.

    Devices are filled to `FILLED`, or where they cannot carry it so, wholly. None where nothing carries it.
    """
    groups = _known(judge, space)
    if groups is None:
        return None
    for filling in (FILLED, 1.0):
        ways = _relaxed(judge, groups, 1.0 / filling).most
        if ways is not None and compatible(ways):
            return Choice(ways, full_counts(judge.scenario, ways))
    return None


Groups = list[list[tuple[Candidate, Light]]]


def _known(judge: Judge, space: Space) -> Groups | None:
    groups = [[(c, found) for c in group if (found := light(judge, c)) is not None] for group in space.by_workload]
    return groups if all(groups) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Relaxed:
    bound: float | None
    """Of the objective; infinite where nothing carries the work."""
    most: tuple[Candidate, ...] | None
    """By workload, the way of the largest share."""


def _relaxed(judge: Judge, groups: Groups, trust: float) -> _Relaxed:
    """Traffic split at will over whole devices, work counted `trust` times."""
    import numpy as np
    from scipy.optimize import Bounds as Box
    from scipy.optimize import LinearConstraint, milp

    scenario = judge.scenario
    devices = [device.name for device in scenario.devices]
    ways = [(w, c, found) for w, group in enumerate(groups) for c, found in group]
    first = len(ways)
    price, scale = np.zeros(first + len(devices)), 1.0
    for d, name in enumerate(devices):
        device = scenario.device(name)
        copies = site_copies(scenario, device)
        if judge.minimize == "energy":
            profiles = device.profiles.values()
            idle_w = device.idle_w or min((p.idle_w or 0.0 for p in profiles), default=0.0)
            active_w = min((p.active_w or 0.0 for p in profiles), default=0.0)
            price[first + d] = copies * idle_w
            for column, (_, _, found) in enumerate(ways):
                price[column] += copies * max(active_w - idle_w, 0.0) * found.work.get(name, 0.0)
            factor = judge.lens.factors.get((FLEET, "", "energy_j_per_token"), 1.0)
            scale = factor / (open_tokens_per_s(scenario) or 1.0)
        elif judge.minimize != "tpot":
            price[first + d] = copies * (device.cost_per_hour if judge.minimize == "cost" else 1.0)
    if judge.minimize == "tpot":
        price[:first] = [judge.weights[c.workload] * found.tpot_ms for _, c, found in ways]
    serving = np.array([[float(w == owner) for owner, _, _ in ways] + [0.0] * len(devices) for w in range(len(groups))])
    carrying = np.zeros((len(devices), first + len(devices)))
    for d, name in enumerate(devices):
        carrying[d, :first] = [-trust * found.work.get(name, 0.0) for _, _, found in ways]
        carrying[d, first + d] = 1.0
    solved = milp(
        price,
        integrality=np.array([0] * first + [1] * len(devices)),
        bounds=Box(np.zeros(price.size), np.array([1.0] * first + [float(scenario.device(n).usable) for n in devices])),
        constraints=[LinearConstraint(serving, 1.0, 1.0), LinearConstraint(carrying, 0.0, np.inf)],
        options={"node_limit": 2000},
    )
    if solved.status == INFEASIBLE:
        return _Relaxed(inf, None)
    bound = None if solved.mip_dual_bound is None else float(solved.mip_dual_bound) * scale
    if solved.x is None:
        return _Relaxed(bound, None)
    shares = dict(zip(((w, c) for w, c, _ in ways), solved.x[:first], strict=True))
    most = tuple(max((c for c, _ in group), key=lambda c: shares[w, c]) for w, group in enumerate(groups))
    return _Relaxed(bound, most)
