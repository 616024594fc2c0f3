"""Pipelined sessions: the draft goes on at once, and a round after a right guess takes the longer of two ways.

A window is sent; R later the target's iteration that verifies it ends, and the verdict takes the way down. Meanwhile
the device drafts γ + 1 steps ahead, a, behind a wait w for it. A session is away from the target, between the end of
that iteration and its next window's arrival, for

    down + w + γ t_d + up          after a wrong guess,
    up + max(down, w + a − R)      after a right one.

The maximum is that of two normals (Clark 1961). With a lone session and fixed times a round is
(1 − h)(γ t_d + R + down) + h·max(a, R + down).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.ahead_queue import AheadJobs
from dsd_plan.model.draft_queue import DraftWait, delay_nodes
from dsd_plan.model.moments import Time
from dsd_plan.model.traffic import Demand
from dsd_plan.queueing.distributions import normal

Array = NDArray[np.float64]

CERTAIN = 1e-9
"""Spread below which a time is as good as fixed; keeps differences over spreads finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """R, from sending a window to the end of the iteration that verifies it, in ms; shape (grid,) or (1,)."""

    mean: Array
    variance: Array
    typical: float = 0.0
    """The mean at what sessions usually meet, and `spread` the variance there, live sessions' number included."""
    spread: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class AwayNodes:
    """Times away as a mixture: shapes (nodes,) or (grid, nodes)."""

    chance: Array
    mean: Array
    variance: Array
    right: NDArray[np.bool_]
    """Which nodes come after a right guess, shape (nodes,)."""


def longer_of(x_mean: Array, x_variance: Array, y: Time) -> tuple[Array, Array, Array]:
    """(E, E of the square, P(Y > X)) of max(X, Y), both normal (Clark, Operations Research 9, 1961, eqs. 2–4)."""
    both = np.maximum(np.sqrt(x_variance + y.variance), CERTAIN)
    off = x_mean - y.mean
    above, density = normal(off / both)
    below = 1.0 - above
    first = x_mean * above + y.mean * below + both * density
    second = (x_mean**2 + x_variance) * above + (y.mean**2 + y.variance) * below
    return first, second + (x_mean + y.mean) * both * density, below


def waits_of(wait: DraftWait | None) -> tuple[Array, Array, Array]:
    """(chances, means, variances) of a draft job's wait, shape (nodes,)."""
    return delay_nodes(Time(), wait)


def away_nodes(demand: Demand, wait: DraftWait | None, turn: Turn) -> AwayNodes:
    """Times away of a pipelined stream, at each R of `turn`."""
    plain = demand.round_down.plus(demand.round_up).plus(Time(demand.draft))
    chance, mean, variance = delay_nodes(plain, wait)
    share = demand.rounds.right
    found = [((1.0 - share) * c, m, v) for c, m, v in zip(chance, mean, variance, strict=True)]
    hidden, first, second = _at_verdict(demand, wait, turn)
    down, up = demand.round_down, demand.round_up
    seen = 1.0 - hidden
    late = np.where(seen > CERTAIN, (first - hidden * down.mean) / np.maximum(seen, CERTAIN), down.mean)
    late = np.maximum(late, down.mean)
    square = (second - hidden * (down.variance + down.mean**2)) / np.maximum(seen, CERTAIN)
    found += [
        (share * hidden, up.mean + down.mean, up.variance + down.variance),
        (share * seen, up.mean + late, up.variance + np.where(seen > CERTAIN, np.maximum(square - late**2, 0.0), 0.0)),
    ]
    shape = turn.mean.shape
    columns = [[np.broadcast_to(np.asarray(value, dtype=np.float64), shape) for value in node] for node in found]
    chances, means, variances = (np.stack([node[i] for node in columns], axis=-1) for i in range(3))
    return AwayNodes(chances, means, variances, np.arange(len(found)) >= chance.size)


def _at_verdict(demand: Demand, wait: DraftWait | None, turn: Turn) -> tuple[Array, Array, Array]:
    """Of max(down, w + a − R): P(down is longer), E, E of the square; shape of `turn`."""
    hidden, first, second = (np.zeros(turn.mean.shape) for _ in range(3))
    for chance, mean, variance in zip(*waits_of(wait), strict=True):
        most, square, below = longer_of(demand.ahead + mean - turn.mean, variance + turn.variance, demand.round_down)
        hidden += chance * below
        first += chance * most
        second += chance * square
    return hidden, first, second


def after_right(demand: Demand, wait: DraftWait | None, turn: Turn) -> Time:
    """A round after a right guess, from one window sent to the next: max(w + a, R + down)."""
    way = Time(turn.typical, turn.spread).plus(demand.round_down)
    first = second = 0.0
    for chance, mean, variance in zip(*waits_of(wait), strict=True):
        one, square, _ = longer_of(np.array([demand.ahead + mean]), np.array([variance]), way)
        first += chance * float(one[0])
        second += chance * float(square[0])
    return Time(first, max(second - first**2, 0.0))


def lengthening(demand: Demand, wait: DraftWait | None, turn: Turn | None) -> float:
    """By how much waiting at the draft device lengthens a mean round."""
    if wait is None:
        return 0.0
    if turn is None:
        return wait.mean
    share = demand.rounds.right
    hidden = after_right(demand, wait, turn).mean - after_right(demand, None, turn).mean
    return (1.0 - share) * wait.mean + share * hidden


def drafting_seen(demand: Demand, wait: DraftWait | None, turn: Turn | None) -> float:
    """Mean time of a round with the draft device: what is drafted ahead counts from the verdict on."""
    if turn is None:
        return demand.draft + (0.0 if wait is None else wait.mean)
    right = demand.rounds.right
    way = turn.typical + demand.round_down.mean
    late = after_right(demand, wait, turn).mean - way
    return (1.0 - right) * (demand.draft + (0.0 if wait is None else wait.mean)) + right * max(late, 0.0)


def ahead_jobs(
    demands: Sequence[Demand], turns: Sequence[Turn | None], alone: Sequence[float], rounds: Array
) -> AheadJobs | None:
    """The mean session of a draft device, each in proportion to its `rounds`; None where none drafts ahead.

    `alone` is a round of each if the device were never found busy.
    """
    if all(turn is None for turn in turns):
        return None
    rows = []
    for demand, turn, length in zip(demands, turns, alone, strict=True):
        if turn is None:
            rows.append((demand.draft, 0.0, 0.0, max(length - demand.draft, 0.0), 0.0))
        else:
            way = turn.typical + demand.round_down.mean
            deviation = sqrt(turn.spread + demand.round_down.variance)
            rows.append((demand.draft, demand.ahead, demand.rounds.right, way, deviation))
    return AheadJobs(*np.average(np.array(rows), axis=0, weights=rounds).tolist())


@dataclass(frozen=True, slots=True)
class DraftWork:
    """What a request's rounds ask of its draft device, in ms, prefill left out."""

    total: float
    wasted: float


def draft_work(demand: Demand, wait: DraftWait | None, turn: Turn | None) -> DraftWork:
    """Every window sent is followed by a job ahead; wrong guesses run until the verdict, min(a, (R + down − w)⁺)."""
    count = demand.rounds.count.mean
    if turn is None or count <= 0.0:
        # A window that shares a batch is charged a part of it.
        shared = 0.0 if wait is None else wait.each
        return DraftWork(count * (shared or demand.draft_work), 0.0)
    right = demand.rounds.right
    way = Time(turn.typical, turn.spread).plus(demand.round_down)
    ran = 0.0
    for chance, mean, variance in zip(*waits_of(wait), strict=True):
        free_mean, spread = way.mean - mean, Time(0.0, way.variance + variance)
        # E min(a, (y)⁺) = E max(y, 0) − E max(y, a) + a, y the time between getting the device and the verdict.
        least, _, _ = longer_of(np.zeros(1), np.zeros(1), Time(free_mean, spread.variance))
        most, _, _ = longer_of(np.array([demand.ahead]), np.zeros(1), Time(free_mean, spread.variance))
        ran += chance * float(least[0] - most[0] + demand.ahead)
    wrong = 1.0 - right
    useful = wrong * demand.draft + right * demand.ahead
    return DraftWork(count * (useful + wrong * ran), count * wrong * ran)
