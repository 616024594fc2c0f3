"""A plan in arrays: congestion frozen at the last plan's mix, prices, an assignment, and so on until it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.optimize.choices.choice import Candidate, Choice
from dsd_plan.optimize.wide.assign import Assignment, Prices, assign, prices_of, reassign, refilled
from dsd_plan.optimize.wide.columns import Columns
from dsd_plan.optimize.wide.congestion import Congestion, congestion_of
from dsd_plan.optimize.wide.offers import Asked, Corrections, Offers, offers_of

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

ROUNDS = 3
"""Of congestion and assignment, between two answers of the printed model."""
SETTLED = 2e-3
"""Relative change of the objective at which a plan is taken to stand."""


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """A plan in arrays, and what bounds it."""

    assignment: Assignment
    gear: Indices
    """Of each workload, shape (w,), as `rate`."""
    rate: Array
    """Requests per ms."""
    seen: Array
    """What the arrays say of its latencies, uncorrected, as in `Offers`; shape (w, limits + 1)."""
    worked: Array
    """The correction of work that is in its use, shape (w,)."""
    congestion: Congestion
    scarcity: Array
    levels: Indices
    """At which each target runs, shape (t,)."""
    bound: float


def solve_wide(columns: Columns, asked: Asked, corrections: Corrections, counts: Array, levels: int) -> Solved | None:
    """The fixed point of congestion and assignment; None where some workload fits nowhere, or not all fit."""
    gear, rate, on = first_mix(columns)
    best: Solved | None = None
    replicas = counts
    for _ in range(ROUNDS):
        congestion = congestion_of(columns, gear, rate, on)
        free = offers_of(columns, congestion, asked, corrections, replicas, levels)
        prices = prices_of(free, counts)
        relaxed = assign(free, counts, prices.scarcity)
        if relaxed is None:
            return best
        # A device type runs at one load: its own sessions' level, at which the others have to find their offers.
        at = _levels_of(free, relaxed, levels)
        offers = offers_of(columns, congestion, asked, corrections, replicas, at)
        settled = assign(offers, counts, prices.scarcity)
        if settled is None:
            at = _lowest(free, relaxed, levels)
            offers = offers_of(columns, congestion, asked, corrections, replicas, at)
            settled = assign(offers, counts, prices.scarcity)
        if settled is None:
            return best
        found = _solved(offers, settled, congestion, prices, at, corrections)
        if best is not None and abs(settled.objective / max(best.assignment.objective, 1e-300) - 1.0) < SETTLED:
            return found
        best = found
        gear, rate, on = _mix_of(offers, found)
        replicas = np.where(settled.replicas > 0.0, settled.replicas, counts)
    return best


def mended(
    columns: Columns,
    asked: Asked,
    corrections: Corrections,
    counts: Array,
    known: Solved,
    loose: Flags,
    over: float = 0.0,
    *,
    refill: bool = False,
) -> Solved | None:
    """The same plan with the `loose` workloads placed anew at the levels that targets run at; None: nowhere to go.

    `over`: share by which replicas may be fuller than their level. `refill`: and with single replicas given up where
    what uses them finds room elsewhere.
    """
    who = None if refill else loose
    offers = offers_of(columns, known.congestion, asked, corrections, known.assignment.replicas, known.levels, who)
    chosen = reassign(offers, counts, known.scarcity, known.assignment, loose, over)
    if chosen is None:
        return None
    if refill:
        chosen = refilled(offers, chosen, over)
    at = np.arange(chosen.target.size), chosen.target, chosen.offer
    moved = loose | (chosen.target != known.assignment.target)
    return replace(
        known,
        assignment=chosen,
        gear=np.where(moved, offers.gear[at], known.gear),
        rate=np.where(moved, offers.rate[at], known.rate),
        seen=np.where(moved[:, None], offers.seen[at], known.seen),
        worked=np.where(moved, corrections.work[chosen.target], known.worked),
    )


def bound_of(
    columns: Columns, asked: Asked, corrections: Corrections, counts: Array, known: Solved, levels: int, over: float
) -> float:
    """What no plan is cheaper than, for the mix of `known` and these corrections.

    Replicas may be fuller than the fullest level by the share `over`, at no higher latency.
    """
    here = offers_of(columns, known.congestion, asked, corrections, known.assignment.replicas, known.levels)
    congestion = congestion_of(columns, *_mix_of(here, known))
    offers = offers_of(columns, congestion, asked, corrections, known.assignment.replicas, levels)
    return prices_of(replace(offers, use=offers.use / (1.0 + over)), counts, known.scarcity, closely=True).bound


def choice_of(columns: Columns, solved: Solved) -> Choice:
    """The plan that the arrays stand for."""
    scenario, chosen = columns.scenario, solved.assignment
    gears, rates = solved.gear, solved.rate
    candidates = []
    drafting: dict[str, float] = {}
    for w, workload in enumerate(scenario.workloads):
        gear, target = columns.gears[gears[w]], columns.targets[chosen.target[w]].name
        if gear.pair < 0:
            candidates.append(Candidate(workload.name, "target_only", workload.target, target))
            continue
        pair = scenario.pairs[gear.pair]
        draft = target if gear.slot < 0 else columns.drafters[w][gear.slot].name
        candidates.append(Candidate(workload.name, gear.mode, workload.target, target, pair.draft, draft, gear.window))
        if gear.slot >= 0:
            busy = rates[w] * columns.draft_request[w, gears[w]] / columns.copies[w] / gear.load
            drafting[draft] = drafting.get(draft, 0.0) + busy
    replicas = {
        device.name: max(int(number), 1)
        for device, number in zip(columns.targets, chosen.replicas, strict=True)
        if number > 0.0
    }
    everything = scenario.search.minimize == "tpot"
    counts: list[tuple[str, int]] = []
    for device in scenario.devices:
        if device.name in replicas:
            counts.append((device.name, device.usable if everything else replicas[device.name]))
        elif device.name in drafting:
            wanted = max(int(np.ceil(drafting[device.name] - 1e-9)), 1)
            counts.append((device.name, device.usable if everything else min(wanted, device.usable)))
    return Choice(tuple(candidates), tuple(counts))


def first_mix(columns: Columns) -> tuple[Indices, Array, Flags]:
    """Every workload on every target that can serve it, in the gear that asks least of it."""
    shape = (len(columns.targets), len(columns.rate))
    gear, on = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    rate = np.zeros(shape)
    for t, costs in enumerate(columns.costs):
        work = columns.rounds * (costs.verify + costs.step / costs.cap) + costs.prefill
        possible = columns.allowed & costs.fits & columns.ways.there[:, columns.target_site[t], None]
        gear[t] = np.where(possible, work, np.inf).argmin(axis=1)
        on[t] = possible.any(axis=1)
        alone = np.take_along_axis(work, gear[t][:, None], axis=1)[:, 0]
        rate[t] = np.where(
            columns.users > 0.0, columns.users / (columns.think + 2.0 * alone + costs.step), columns.rate
        )
    return gear, rate, on


def _solved(
    offers: Offers,
    chosen: Assignment,
    congestion: Congestion,
    prices: Prices,
    levels: Indices,
    corrections: Corrections,
) -> Solved:
    at = np.arange(chosen.target.size), chosen.target, chosen.offer
    return Solved(
        assignment=chosen,
        gear=offers.gear[at],
        rate=offers.rate[at],
        seen=offers.seen[at],
        worked=corrections.work[chosen.target],
        congestion=congestion,
        scarcity=prices.scarcity,
        levels=levels,
        bound=prices.bound,
    )


def _mix_of(offers: Offers, solved: Solved) -> tuple[Indices, Array, Flags]:
    """Who is on each target now; on a target without anybody, everybody who could be."""
    target = solved.assignment.target
    rows = np.arange(target.size)
    gear = offers.gear[:, :, 0].T.copy()
    rate = offers.rate[:, :, 0].T.copy()
    gear[target, rows] = solved.gear
    rate[target, rows] = solved.rate
    on = np.zeros(gear.shape, dtype=bool)
    on[target, rows] = True
    empty = ~on.any(axis=1)
    on[empty] = np.isfinite(offers.value[:, empty, 0]).T
    return gear, rate, on


def _levels_of(offers: Offers, chosen: Assignment, levels: int) -> Indices:
    """The level at which most of each target's work would be done; the fullest of `levels` where nobody is."""
    level = offers.level[np.arange(chosen.target.size), chosen.target, chosen.offer]
    found = np.full(offers.price.size, levels - 1)
    for t in range(found.size):
        mine = chosen.target == t
        if mine.any():
            found[t] = int(np.median(level[mine]))
    return found


def _lowest(offers: Offers, chosen: Assignment, levels: int) -> Indices:
    """The level that every session of a target can live with; the fullest of `levels` where nobody is."""
    level = offers.level[np.arange(chosen.target.size), chosen.target, chosen.offer]
    found = np.full(offers.price.size, levels - 1)
    np.minimum.at(found, chosen.target, level)
    return found
