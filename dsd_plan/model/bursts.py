"""How many sessions a recorded stream's requests meet: their arrivals are known, and need not be Poisson.

Given the arrivals, the number of live sessions follows its conditional mean m(t) closely. m jumps by one at each
arrival and decays as dm/dt = −m/G(m), G the time of a request when m others are live; around m the number varies as a
sum of independent sessions does, m − q with dq/dt = −2q/G(m). Averages over the arrivals, and over the sessions' lives,
take the place of averages over the stationary law: bursts longer than a request are met whole, those shorter only as
far as sessions overlap. Of Poisson arrivals the two agree. Source: the infinite-server queue given its arrivals
(Eick, Massey and Whitt, The physics of the Mt/G/∞ queue, 1993), with a service rate that depends on the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model.moments import Time
from dsd_plan.model.traffic import MS_PER_S

Array = NDArray[np.float64]

STEPS_A_REQUEST = 6.0
MOST_STEPS = 20_000
NODES = (-(3.0**0.5), 0.0, 3.0**0.5)
WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)
"""Three points with the first five moments of a normal law."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """The number of live sessions over time, in steps of equal length."""

    step_ms: float
    mean: Array
    """Half-way through each step, shape (steps,)."""
    variance: Array
    arrivals: Array
    """Recorded arrivals in each step, shape (streams, steps)."""


def path_of(arrivals: Sequence[Array], others_per_ms: float, here: float, request: Array, unit: float) -> Path:
    """Follow the sessions of recorded streams (`arrivals` in ms) and of Poisson ones (`others_per_ms`).

    `request[j]` is a request's time when unit·j others are live, in ms; `here` the share of requests that come to the
    replicas whose sessions are counted. Beyond the last state the time grows in proportion.
    """
    first = min(float(at[0]) for at in arrivals)
    span = max(float(at[-1]) for at in arrivals) - first
    start = here * (sum(at.size for at in arrivals) / max(span, 1e-9) + others_per_ms)
    typical = _settled(start, request, unit)
    step = max(typical / start / STEPS_A_REQUEST, span / MOST_STEPS) if start > 0 else max(span, 1.0)
    steps = max(int(np.ceil(span / step)), 1)
    counts = np.stack(
        [np.bincount(((at - first) / step).astype(int).clip(0, steps - 1), minlength=steps) for at in arrivals]
    )
    recorded = counts.sum(axis=0) * here
    mean, squares = _follow(recorded.tolist(), here, here * others_per_ms * step, step, request, unit, typical)
    return Path(step, mean, np.maximum(mean - squares, 0.0), counts.astype(np.float64))


def _settled(rate: float, request: Array, unit: float) -> float:
    """The number at which as many sessions end as begin, or the last state's."""
    population = unit * np.arange(1, request.size + 1)
    enough = rate * request <= population
    return float(population[int(np.argmax(enough))]) if enough.any() else float(population[-1])


def _follow(
    recorded: list[float], here: float, others: float, step: float, request: Array, unit: float, start: float
) -> tuple[Array, Array]:
    """m and q half-way through each step; recorded sessions begin in its middle."""
    times = request.tolist()
    last = len(times) - 1
    rate = sum(recorded) / len(recorded)
    means, squares = [0.0] * len(recorded), [0.0] * len(recorded)
    m = min(start, unit * last)
    q = m * here * rate / (rate + others) / 2.0 if rate + others > 0 else 0.0
    for i, came in enumerate(recorded):
        at = m / unit
        low = int(at)
        if low >= last:
            stay = times[last] * max(at / last, 1.0) if last else times[0]
        else:
            stay = times[low] + (at - low) * (times[low + 1] - times[low])
        half = exp(-0.5 * step / stay)
        m = m * half + (came + others) / 2.0
        q = q * half * half + came * here / 2.0
        means[i], squares[i] = m, q
        m = (m + (came + others) / 2.0) * half
        q = (q + came * here / 2.0) * half * half
    return np.array(means), np.array(squares)


class Rounds(NamedTuple):
    """A session's own mean round, in ms: how it differs between sessions as m(t) moves, and varies around m(t)."""

    moving: Time
    around: float


def points(path: Path) -> tuple[Array, Array]:
    """(numbers of others, their weights), shape (3, steps) and (3, 1)."""
    spread = np.sqrt(path.variance)
    others = np.maximum(path.mean + np.array(NODES)[:, None] * spread, 0.0)
    return others, np.array(WEIGHTS)[:, None]


def law_of(others: Array, weights: Array, unit: float, states: int) -> Array:
    """The weighted points as a law over the states unit·j; between two states they are shared."""
    at = np.minimum(others / unit, states - 1.0).ravel()
    weight = np.broadcast_to(weights, others.shape).ravel()
    low = at.astype(int)
    high = np.minimum(low + 1, states - 1)
    law = np.bincount(low, weights=weight * (1.0 - (at - low)), minlength=states)
    law += np.bincount(high, weights=weight * (at - low), minlength=states)
    total: Array = law / law.sum()
    return total


def rounds_on(path: Path, others: Array, round_ms: Array, rounds: float, unit: float, row: int | None) -> Rounds:
    """Mean rounds of the sessions that begin along a path; `round_ms[j]` when unit·j others are live.

    A session that begins at s ends where ∫ dt / C(m(t)) from s on has come to its number of rounds.
    """
    lengths = np.interp(others, unit * np.arange(round_ms.size), round_ms)
    weights = np.array(WEIGHTS)
    speed = weights @ (1.0 / lengths)
    around = weights @ (lengths - weights @ lengths) ** 2
    done = np.concatenate([[0.0], np.cumsum(speed) * path.step_ms])
    at_ms = path.step_ms * np.arange(done.size)
    begun = (done[:-1] + done[1:]) / 2.0
    wanted = begun + max(rounds, 1.0)
    ended_ms = np.interp(wanted, done, at_ms) + np.maximum(wanted - done[-1], 0.0) / speed[-1]
    mean = (ended_ms - (at_ms[:-1] + at_ms[1:]) / 2.0) / max(rounds, 1.0)
    came = np.ones(mean.size) if row is None else path.arrivals[row]
    share = came / came.sum()
    typical = float(share @ mean)
    return Rounds(
        Time(typical, float(share @ (mean - typical) ** 2), float(share @ (mean - typical) ** 3)), float(share @ around)
    )


SAMPLED = 4_000
"""Arrivals at which neighbours are counted; of a longer recording, every so many."""
POSITIONS = (0.125, 0.375, 0.625, 0.875)


@lru_cache(maxsize=256)
def neighbours(requests: RequestTrace, window_ms: float) -> tuple[float, float]:
    """(mean, variance) of how many other requests of a recording share a window of this length with a request.

    The window begins at any time before the request, as an iteration in progress does.
    """
    at = requests.arrival_s * MS_PER_S
    some = at[:: max(at.size // SAMPLED, 1)]
    counts = np.concatenate(
        [
            np.searchsorted(at, some + (1.0 - u) * window_ms) - np.searchsorted(at, some - u * window_ms) - 1.0
            for u in POSITIONS
        ]
    )
    return float(counts.mean()), float(counts.var())
