"""Who goes where: a Lagrangian bound, a greedy plan from its prices, and repair until whole replicas are filled.

The assignment is a generalised one: workload w takes `use` replicas of target t, of which there are `count`. Prices
λ on replicas relax that limit (Fisher 1981); what they give is a lower bound for the tables they were given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.optimize.wide.offers import Offers

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

STEPS = 500
PATIENCE = 15
"""Steps without a better bound after which steps are halved."""
SMALLEST_STEP = 1e-3
CLOSELY = 2
"""How many times as many steps, where it is the bound that is asked for."""
REFRESH = 120
"""Steps after which the best plan so far, which sizes the steps, is looked for again."""
SWEEPS = 6
OVER = 0.02
"""Share by which replicas may be fuller than their level where only some workloads are placed anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """The best bound found, and the prices that give it."""

    bound: float
    scarcity: Array
    """λ, what scarcity adds to a replica's price, shape (t,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """One offer a workload."""

    target: Indices
    offer: Indices
    value: Array
    """What each workload adds to the objective, and the replicas that it uses, shape (w,)."""
    use: Array
    objective: float
    replicas: Array
    """Whole replicas of each target, shape (t,)."""


def prices_of(offers: Offers, counts: Array, start: Array | None = None, *, closely: bool = False) -> Prices:
    """Subgradient ascent on the dual with Polyak's steps; `counts`: replicas that there are, shape (t,).

    `closely`: with more and smaller steps, for the bound's own sake.
    """
    scarcity = np.zeros(offers.price.size) if start is None else start.copy()
    times = CLOSELY if closely else 1
    best, best_bound = scarcity, -np.inf
    size, stale = 1.0, 0
    unit = np.where(counts > 0.0, 1.0 / np.maximum(counts, 1.0), 0.0)
    upper = np.inf
    for step in range(times * STEPS):
        bound, load = _relaxed(offers, counts, scarcity)
        if step % REFRESH == 0:
            found = assign(offers, counts, scarcity, mend=False)
            upper = min(upper, np.inf if found is None else found.objective)
        if bound > best_bound:
            stale = 0 if bound > best_bound + 1e-5 * abs(bound) else stale + 1
            best, best_bound = scarcity, bound
        else:
            stale += 1
        if stale >= times * PATIENCE:
            size, stale, scarcity = size / 2.0, 0, best
            continue
        if size < SMALLEST_STEP / times**3:
            break
        over = np.where((load < counts) & (scarcity <= 0.0), 0.0, load - counts)
        square = float((over**2 * unit).sum())
        if square <= 0.0:
            break
        reach = (upper if np.isfinite(upper) else 1.3 * best_bound) - bound
        scarcity = np.maximum(scarcity + size * max(reach, 0.0) / square * over * unit, 0.0)
    return Prices(best_bound, best)


def _relaxed(offers: Offers, counts: Array, scarcity: Array) -> tuple[float, Array]:
    """(bound, replicas that the workloads would take of each target) at these prices."""
    total = offers.value + offers.use * (offers.price + scarcity)[None, :, None]
    flat = total.reshape(total.shape[0], -1)
    chosen = np.argmin(flat, axis=1)
    rows = np.arange(total.shape[0])
    use = offers.use.reshape(flat.shape)[rows, chosen]
    load = _loads(chosen // total.shape[2], use, offers.price.size)
    return float(flat[rows, chosen].sum() - scarcity @ counts), load


def assign(offers: Offers, counts: Array, scarcity: Array, mend: bool = True) -> Assignment | None:
    """Those with the most to lose first, each to its best target with room; then repaired. None: no room for all."""
    everybody = np.arange(offers.value.shape[0])
    target, offer = np.zeros((2, everybody.size), dtype=np.int64)
    if not _placed(offers, counts.copy(), scarcity, everybody, target, offer):
        return None
    found = _summed(offers, target, offer)
    return found if not mend else _without_spare_types(offers, counts, scarcity, refilled(offers, found))


def _without_spare_types(offers: Offers, counts: Array, scarcity: Array, found: Assignment) -> Assignment:
    """Whole targets given up where their workloads are served for less elsewhere, the least used first."""
    for t in np.argsort(found.replicas * offers.price, kind="stable"):
        members = found.target == t
        if not members.any():
            continue
        value = offers.value.copy()
        value[members, t] = np.inf
        other = reassign(replace(offers, value=value), counts, scarcity, found, members)
        if other is not None and other.objective < found.objective - 1e-9:
            found = other
    return found


def reassign(
    offers: Offers, counts: Array, scarcity: Array, known: Assignment, loose: NDArray[np.bool_], over: float = 0.0
) -> Assignment | None:
    """`known` with the `loose` workloads placed anew, all others where they are. None: no room for them.

    Replicas that are there are filled first, `over` their level by that share: only one more costs its price.
    """
    target, offer, use, value = known.target.copy(), known.offer.copy(), known.use.copy(), known.value.copy()
    load = _loads(target[~loose], use[~loose], counts.size)
    replicas = _whole(load, over)
    for w in np.flatnonzero(loose)[np.argsort(-known.use[loose], kind="stable")]:
        full = load[:, None] + offers.use[w]
        more = np.maximum(_whole(full, over) - replicas[:, None], 0.0)
        cost = offers.value[w] + scarcity[:, None] * offers.use[w] + offers.price[:, None] * more
        cost = np.where(full <= (1.0 + over) * counts[:, None] + 1e-12, cost, np.inf)
        t, o = divmod(int(cost.argmin()), cost.shape[1])
        if not np.isfinite(cost[t, o]):
            return None
        target[w], offer[w], use[w], value[w] = t, o, offers.use[w, t, o], offers.value[w, t, o]
        load[t] += use[w]
        replicas[t] += more[t, o]
    return _summed_up(offers.price, target, offer, value, use, over)


def _placed(offers: Offers, room: Array, scarcity: Array, who: Indices, target: Indices, offer: Indices) -> bool:
    """Write targets and offers of the workloads `who`; whether all found room."""
    priced = offers.value[who] + offers.use[who] * (offers.price + scarcity)[None, :, None]
    cost = priced.min(axis=2)
    if not np.isfinite(cost.min(axis=1)).all():
        return False
    two = np.partition(np.concatenate([cost, np.full((who.size, 1), np.inf)], axis=1), 1, axis=1)
    regret = np.where(np.isfinite(two[:, 1]), two[:, 1] - two[:, 0], np.inf)
    for i in np.argsort(-regret, kind="stable"):
        w = who[i]
        left = np.where(offers.use[w] <= room[:, None] + 1e-12, priced[i], np.inf)
        t, o = divmod(int(left.argmin()), left.shape[1])
        if not np.isfinite(left[t, o]):
            return False
        target[w], offer[w] = t, o
        room[t] -= offers.use[w, t, o]
    return True


def _summed(offers: Offers, target: Indices, offer: Indices) -> Assignment:
    rows = np.arange(target.size)
    return _summed_up(offers.price, target, offer, offers.value[rows, target, offer], offers.use[rows, target, offer])


def _summed_up(
    price: Array, target: Indices, offer: Indices, value: Array, use: Array, over: float = 0.0
) -> Assignment:
    replicas = _whole(_loads(target, use, price.size), over)
    return Assignment(target, offer, value, use, float(value.sum() + price @ replicas), replicas)


def _loads(target: Indices, use: Array, targets: int) -> Array:
    """Replicas used of each target."""
    return np.bincount(target, weights=use, minlength=targets).astype(np.float64)


def _whole(load: Array, over: float = 0.0) -> Array:
    whole: Array = np.ceil(load / (1.0 + over) - 1e-9)
    return np.where(load > 0.0, np.maximum(whole, 1.0), 0.0)


def refilled(offers: Offers, known: Assignment, over: float = 0.0) -> Assignment:
    """Drop replicas that are used a little: move what uses them into room that is paid for elsewhere.

    Who does not move keeps its value and use in `known`, whatever its target offers by now. `over`: share by which
    replicas may be fuller than their level.
    """
    if not (offers.price > 0.0).any():
        return known
    found = replace(
        known, **{name: getattr(known, name).copy() for name in ("target", "offer", "value", "use", "replicas")}
    )
    for _ in range(SWEEPS):
        load = _loads(found.target, found.use, offers.price.size)
        excess = load - (found.replicas - 1.0) * (1.0 + over)
        gained = False
        for t in np.argsort(excess / np.maximum(offers.price, 1e-12), kind="stable"):
            if found.replicas[t] > 0.0 and _emptied(offers, int(t), load, found, over):
                gained = True
        if not gained:
            break
    return _summed_up(offers.price, found.target, found.offer, found.value, found.use, over)


def _emptied(offers: Offers, t: int, load: Array, found: Assignment, over: float) -> bool:
    """Give up one replica of `t` if that costs less than it; arrays are changed in place where it does."""
    members = np.flatnonzero(found.target == t)
    goal = load[t] - (found.replicas[t] - 1.0) * (1.0 + over)
    room = found.replicas * (1.0 + over) - load
    room[t] = -np.inf
    now = found.value[members]
    extra = np.where(offers.use[members] <= room[None, :, None], offers.value[members], np.inf) - now[:, None, None]
    cheapest = extra.reshape(members.size, -1).min(axis=1)
    used = found.use[members]
    moves: list[tuple[int, int, int]] = []
    paid = moved = 0.0
    for i in np.argsort(cheapest / np.maximum(used, 1e-12), kind="stable"):
        w = members[i]
        cost = np.where(offers.use[w] <= room[:, None], offers.value[w], np.inf) - now[i]
        u, o = divmod(int(cost.argmin()), cost.shape[1])
        if not np.isfinite(cost[u, o]):
            continue
        paid += max(cost[u, o], 0.0)
        if paid >= offers.price[t]:
            return False
        moves.append((int(w), u, o))
        room[u] -= offers.use[w, u, o]
        moved += used[i]
        if moved >= goal - 1e-9:
            break
    if moved < goal - 1e-9:
        return False
    for w, u, o in moves:
        load[t] -= found.use[w]
        load[u] += offers.use[w, u, o]
        found.target[w], found.offer[w] = u, o
        found.value[w], found.use[w] = offers.value[w, u, o], offers.use[w, u, o]
    found.replicas[t] -= 1.0
    return True
