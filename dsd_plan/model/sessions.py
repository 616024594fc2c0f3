"""How many sessions are live on a target pool, and what that makes of their rounds.

The pool is a station that all live sessions share: π(n) follows from the stretch of a request's time when n others are
live (queueing/population.py). Means and spreads of rounds are then averages over the n that a session meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.batches import Classes
from dsd_plan.model.bursts import Path, law_of, points, rounds_on
from dsd_plan.model.cycles import Cycles
from dsd_plan.model.moments import Time
from dsd_plan.queueing.population import (
    averaging,
    births_and_deaths,
    cut,
    finite_chain,
    given_total,
    poisson_chain,
    relaxation,
    shared,
)

Array = NDArray[np.float64]

MOST_STATES = 20_000
NEWTON_STEPS = 6
BALANCING = 40


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What bounds a pool beside its iterations."""

    replicas: int
    cap: int
    full_ms: float
    """Iteration of a full batch of the mean mix."""
    places: float
    """Sessions whose KV fits on one replica; infinite where memory does not limit."""
    together: int
    """Replicas whose sessions are one population, spread over them: all, or 1 where each fills by itself."""
    unevenness: float
    """How far from evenly they are spread: 0 as evenly as can be, 1 independently."""
    irregular: float
    """(1 + cv²) / 2 of a request's time: how long a queue for memory is beside one for exponential times."""


@dataclass(frozen=True, slots=True, eq=False)
class ByOthers:
    """A pool's sessions when j units of others are live in it, j = 0 …; shape (states, classes), times in ms."""

    round: Array
    prefill: Array
    """From joining the replica's queue to the end of the prefill; `memory` is the wait before it, for memory."""
    memory: Array
    transient: Array
    request: Array
    """A whole request at the target, from the prompt's arrival to its last token's production."""
    jobs: Array
    """Others' jobs an iteration, shape (states,)."""
    population: Array
    """Sessions on one replica that bring the grid's jobs, shape (grid,)."""
    full: float
    """Sessions on one replica from which on its batches are full."""
    unit: float
    """Sessions that one state stands for: streams that put unlike loads on the pool vary like fewer, larger ones."""
    inside: int
    """States whose sessions all have memory."""
    irregular: float


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """Averages over the number of live sessions."""

    law: Array
    """π(n), n sessions in the whole pool."""
    seen: tuple[Array, ...]
    """By class: the law of the number of others that a session meets."""
    round: tuple[Time, ...]
    """A session's mean round, as n varies while it lives: mean, and moments of what its own average keeps."""
    momentary: tuple[Time, ...]
    """The same of a single round."""
    prefill: tuple[Time, ...]
    memory: tuple[tuple[float, Time], ...]
    """Chance of a wait for memory, and its length, by class."""
    transient: Array
    together: Array
    """Covariance of prefill and round over n, by class."""
    company: tuple[Array, ...] = ()
    """By class: how many of each class are beside a session of it when n others are live, shape (n, classes)."""


def by_others(cycles: Cycles, classes: Classes, pool: Pool, start: Array, states: int) -> ByOthers:
    """Tabulate what a session meets by the number of others; `start` is extra time before its first round."""
    held = cycles.held
    rounds = classes.rounds
    request = rounds * cycles.round + cycles.prefill + cycles.transient + start
    population = _population(cycles, classes, request)
    unit = _unit(classes, np.array([np.interp(1.0, held.jobs, column) for column in request.T]))
    full = pool.cap / pool.full_ms * float(request[-1] @ classes.rates) / classes.jobs
    others = unit * np.arange(states, dtype=np.float64)
    mates = _mates(others, pool)

    # All columns at once: the number of mates is looked up where the grid has it, and its value lies on a line.
    columns = np.hstack([held.jobs[:, None], cycles.round, cycles.prefill, cycles.transient])
    tabulated = sum(weight * _between(columns, population, at) for weight, at in mates)
    assert isinstance(tabulated, np.ndarray)
    many = rounds.size
    jobs = tabulated[:, 0]
    round_ms, prefill_ms, transient = (tabulated[:, 1 + k * many : 1 + (k + 1) * many] for k in range(3))
    # Beyond what memory holds, sessions wait for it and those inside go on as before.
    fitting = np.minimum(others, max(pool.together * pool.places - 1.0, 0.0))
    inside = np.minimum(np.floor(fitting / unit + 1e-9).astype(int), states - 1)
    all_fit = int(np.count_nonzero(fitting >= others))
    round_ms, prefill_ms, transient = round_ms[inside], prefill_ms[inside], transient[inside]
    queueing = _queueing(rounds, round_ms, prefill_ms + transient + start, classes.sessions, fitting + 1.0, pool)[
        :, None
    ]
    round_ms, prefill_ms = round_ms + queueing, prefill_ms + queueing
    request_ms = rounds * round_ms + prefill_ms + transient + start
    # First come, first served: everybody waits behind the same mix.
    typical = (request_ms @ (classes.rates / classes.rates.sum()))[:, None]
    waiting = np.broadcast_to(typical * ((others + 1.0) / (fitting + 1.0) - 1.0)[:, None], request_ms.shape)
    return ByOthers(
        round_ms,
        prefill_ms,
        waiting,
        transient,
        request_ms + waiting,
        jobs,
        population,
        max(full, float(population[-1]) + 1e-3),
        unit,
        all_fit,
        pool.irregular,
    )


def _between(columns: Array, known: Array, at: Array) -> Array:
    """Every column of `columns`, told at the ascending `known`, as `np.interp` has it at `at`; shape (at, columns)."""
    if known.size == 1:
        return np.broadcast_to(columns, (at.size, columns.shape[1]))
    below = np.minimum(np.maximum(np.searchsorted(known, at, side="right") - 1, 0), known.size - 2)
    width = np.maximum(known[1:] - known[:-1], 1e-300)
    share = np.minimum(np.maximum((at - known[below]) / width[below], 0.0), 1.0)
    found: Array = columns[below] + share[:, None] * (columns[1:] - columns[:-1])[below]
    return found


def _unit(classes: Classes, request: Array) -> float:
    """Sessions of equal load whose number, if Poisson, makes the load vary as the streams together do.

    With m sessions of load v each, Σ m v² / Σ m v over the mean load Σ m v / Σ m. Closed users keep their own count.
    """
    if (classes.users > 0).any():
        return 1.0
    jobs = classes.rates * (classes.rounds + 1.0)
    loads = (classes.rounds + 1.0) / request
    return float((jobs * loads).sum() * (classes.rates * request).sum() / jobs.sum() ** 2)


def _population(cycles: Cycles, classes: Classes, request: Array) -> Array:
    """Sessions on a replica that put so many jobs into an iteration (Little's law).

    Fused users are in every iteration but those that pass before their prefill, and one more drafts for all. Elsewhere
    a session's own job is in its round but not among the jobs it meets: n² − n·x·G + x·y·w = 0, with x the jobs a ms
    over those a request, G the request, y the jobs and w the work of a request.
    """
    held = cycles.held
    if bool(classes.streamed.all() and (classes.users > 0).all() and cycles.own_draft.any()):
        time = request @ classes.rates / classes.rates.sum()
        return np.maximum.accumulate(held.jobs / (1.0 - np.minimum(held.residual / time, 0.9)))
    mix = classes.rates / classes.jobs
    throughput = held.jobs / held.iteration
    sojourn = throughput * (request @ mix)
    own = throughput * held.jobs * ((held.marginal * classes.rounds) @ mix + held.jump * mix.sum())
    population = (sojourn + np.sqrt(np.maximum(sojourn**2 - 4.0 * own, 0.0))) / 2.0
    return np.maximum.accumulate(population)


def _mates(others: Array, pool: Pool) -> tuple[tuple[float, Array], ...]:
    """Others on the session's own replica, as a mixture of (weight, number)."""
    replicas = float(pool.together)
    if replicas == 1:
        return ((1.0, others),)
    even, mean = _evenly(others, replicas), others / replicas
    if pool.unevenness <= 0.0:
        return ((1.0, even),)
    mean = (1.0 - pool.unevenness) * even + pool.unevenness * mean
    spread = pool.unevenness * np.sqrt(3.0 * others / replicas * (1.0 - 1.0 / replicas))
    low = np.maximum(mean - spread, 0.0)
    return ((2.0 / 3.0, mean), (1.0 / 6.0, low), (1.0 / 6.0, 2.0 * mean - low))


def _evenly(others: Array, replicas: float) -> Array:
    """Mates of a random session when all are spread as evenly as can be."""
    total = others + 1.0
    each = np.floor(total / replicas)
    fuller = total - each * replicas
    return (fuller * (each + 1.0) * each + (replicas - fuller) * each * np.maximum(each - 1.0, 0.0)) / total


def _queueing(rounds: Array, round_ms: Array, rest: Array, shares: Array, live: Array, pool: Pool) -> Array:
    """Wait a job, once more come than full batches take: live sessions · Σ jobs/(request + jobs·wait) = capacity."""
    jobs = rounds + 1.0
    capacity = pool.together * pool.cap / pool.full_ms
    alone = rounds * round_ms + rest
    weights = shares * jobs
    wait = np.zeros(live.size)
    crowded = np.flatnonzero(live * ((1.0 / alone) @ weights) > capacity)
    if not crowded.size:
        return wait
    live, alone, more = live[crowded], alone[crowded], wait[crowded]
    for _ in range(NEWTON_STEPS):
        pace = 1.0 / (alone + jobs * more[:, None])
        rate = live * (pace @ weights)
        slope = live * ((pace * pace) @ (weights * jobs))
        # Newton on 1/rate, which is linear in the wait for a single class.
        more = np.maximum(more + (rate * rate / capacity - rate) / slope, 0.0)
    wait[crowded] = more
    return wait


def live_sessions(
    table: ByOthers, classes: Classes, users: NDArray[np.int64], rates: Array, away: Array, here: float
) -> Live:
    """Averages over π. `rates` (open requests per ms) and `users` are the whole pool's, `away` is closed users' time.

    `here` is the share of requests that come to the replicas whose sessions are counted.
    """
    rates = rates * here
    request = table.request @ (classes.rates / classes.rates.sum())
    closed, company = users > 0, []
    if not closed.any():
        law = births_and_deaths(float(rates.sum()) / table.unit, _regular(table, float(rates.sum()), request))
        seen = [cut(law, request.size)] * users.size
    else:
        at = _balance(table.request, users, rates, away, here)
        stretch, typical = request / request[at], table.request[at]
        elsewhere = away + (1.0 - here) * typical
        chains = [
            finite_chain(int(users[k]), float(here * typical[k]), float(elsewhere[k]))
            if closed[k]
            else poisson_chain(float(rates[k] * typical[k]), stretch.size)
            for k in range(users.size)
        ]
        law = shared(stretch, chains)
        seen = []
        for k in range(users.size):
            if closed[k]:
                fewer = finite_chain(int(users[k]) - 1, float(here * typical[k]), float(elsewhere[k]))
                beside = [*chains[:k], fewer, *chains[k + 1 :]]
                seen.append(cut(shared(stretch, beside), stretch.size))
            else:
                beside = chains
                seen.append(cut(law, stretch.size))
            if users.size > 1:
                company.append(given_total(beside, stretch.size))
    forgetting = relaxation(law, request) + _return_rate(classes, users, away)
    kept = [averaging(classes.rounds[k] * _mean_round(table, k, chance) * forgetting) for k, chance in enumerate(seen)]
    return replace(_averages(table, classes, law, seen, seen, kept), company=tuple(company))


def live_along(table: ByOthers, classes: Classes, path: Path, recorded: Sequence[int | None]) -> Live:
    """Averages over recorded arrivals and their sessions' lives; `recorded` is each class's row of the path, or None.

    The law is the share of time that so many are live.
    """
    states = table.request.shape[0]
    grid = table.unit * np.arange(states)
    request = table.request @ (classes.rates / classes.rates.sum())
    others, weights = points(path)
    law = law_of(others, weights, table.unit, states)
    forgetting = relaxation(law, request[: states - 1])
    seen, met, rounds = [], [], []
    for k, row in enumerate(recorded):
        # Rounds go by at m(t) over their length.
        turning = weights * path.mean / np.interp(others, grid, table.round[:, k])
        seen.append(law_of(others, turning, table.unit, states))
        met.append(law if row is None else law_of(others, weights * path.arrivals[row], table.unit, states))
        own = rounds_on(path, others, table.round[:, k], classes.rounds[k], table.unit, row)
        left = own.around * averaging(classes.rounds[k] * own.moving.mean * forgetting)
        rounds.append(own.moving.plus(Time(0.0, left)))
    kept = [min(own.variance / max(_variance(table, k, seen[k]), 1e-12), 1.0) for k, own in enumerate(rounds)]
    return replace(_averages(table, classes, law, seen, met, kept), round=tuple(rounds))


def _variance(table: ByOthers, k: int, chance: Array) -> float:
    values = table.round[: chance.size, k]
    return float(chance @ values**2) - float(chance @ values) ** 2


def _mean_round(table: ByOthers, k: int, chance: Array) -> float:
    return float(chance @ table.round[: chance.size, k])


def _regular(table: ByOthers, rate: float, request: Array) -> Array:
    """Requests' times with which the queue for memory is as long as their regularity makes it.

    Beyond what memory holds ρ = births/deaths is geometric; the mean queue ρ/(1 − ρ) of exponential times becomes
    (1 + cv²)/2 of it (Lee and Longton 1959, for many servers).
    """
    load = rate / table.unit * request / np.arange(1, request.size + 1)
    waiting = (np.arange(request.size) >= table.inside) & (load < 1.0)
    if not waiting.any():
        return request
    odds = table.irregular * load[waiting] / (1.0 - load[waiting])
    times = request.copy()
    times[waiting] *= odds / (1.0 + odds) / load[waiting]
    return times


def _balance(request: Array, users: NDArray[np.int64], rates: Array, away: Array, here: float) -> int:
    """The number of others at which as many sessions end as begin, near which π lies."""
    begun = np.where(users > 0, here * users / (away + request), rates) * request
    enough = begun.sum(axis=-1) <= np.arange(1, request.shape[0] + 1)
    return int(np.argmax(enough)) if enough.any() else request.shape[0] - 1


def _return_rate(classes: Classes, users: NDArray[np.int64], away: Array) -> float:
    """By how much a session more slows down the arrival of others: closed users come back from fewer."""
    closed = users > 0
    return float(np.sum(classes.sessions[closed] / np.maximum(away[closed], 1e-3)))


def _averages(
    table: ByOthers, classes: Classes, law: Array, seen: list[Array], met: list[Array], kept: list[float]
) -> Live:
    """`seen` in a session's rounds, `met` on its arrival; `kept` of the variance of rounds is left in its own mean."""
    rounds, momentary, prefills, memory, transient, together = [], [], [], [], [], []
    for k, (chance, arriving) in enumerate(zip(seen, met, strict=True)):
        states, known = chance.size, arriving.size
        c, t = table.round[:states, k], table.prefill[:known, k]
        mean, first = float(chance @ c), float(arriving @ t)
        off, off_first = c - mean, t - first
        square, square_first = off * off, off_first * off_first
        variance, third = float(chance @ square), float(chance @ (square * off))
        momentary.append(Time(mean, variance, third))
        rounds.append(Time(mean, variance * kept[k], third * kept[k] ** 1.5))
        prefills.append(Time(first, float(arriving @ square_first), float(arriving @ (square_first * off_first))))
        memory.append(_memory_wait(arriving, table.memory[:known, k], 2.0 * table.irregular - 1.0))
        together.append(float(arriving @ ((table.round[:known, k] - mean) * off_first)) * kept[k])
        transient.append(float(arriving @ table.transient[:known, k]))
    return Live(
        law=law,
        seen=tuple(seen),
        round=tuple(rounds),
        momentary=tuple(momentary),
        prefill=tuple(prefills),
        memory=tuple(memory),
        transient=np.array(transient),
        together=np.array(together),
    )


def _memory_wait(chance: Array, waits: Array, square_cv: float) -> tuple[float, Time]:
    """How likely a session waits for memory, and for how long if it does.

    Behind others it waits for several departures, which come as regularly as requests end, or as Erlang-3 arrivals.
    """
    weights = chance * (waits > 0.0)
    share = float(weights.sum())
    if share <= 0.0:
        return 0.0, Time()
    mean = float(weights @ waits) / share
    off, within = waits - mean, waits * float(waits[waits > 0.0].min()) * min(square_cv, 1.0 / 3.0)
    return share, Time(mean, float(weights @ (off**2 + within)) / share, float(weights @ off**3) / share)
