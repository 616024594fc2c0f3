"""Draft devices that take several jobs at once: a gated batch server with a fixed number of customers.

Embedded at the beginnings of batches: of m jobs present j = min(m, cap) are served for t(j), and each of the n − m away
comes back meanwhile with chance 1 − e^(−t/A), as if away for an exponential time A; if nobody is there the device waits
for one. The chain is exact under these assumptions (Bailey 1954, for bulk service, with a finite source). Sessions come
back more regularly than that, those of a batch together: waits are shortened as those of two sessions are that come
back at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import DraftPool
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.model.traffic import Demand
from dsd_plan.queueing.finite_source import fifo_cycle
from dsd_plan.queueing.population import log_factorials

Array = NDArray[np.float64]

ONE_BY_ONE = 12
"""Sessions up to which each number is worked out; beyond, numbers in steps of a quarter, and between them lines."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchedCycle:
    """By the number of sessions, 1 … most; times in ms."""

    delay: Array
    """By how much a round is longer than alone: waiting, and a batch that takes longer than one job."""
    chance: Array
    """That a job does not begin at once."""
    each: Array
    """Device time a job, in equal parts to those of a batch."""
    batch: Array
    """Jobs a batch."""


def batch_times(draft: DraftPool, demands: Sequence[Demand], shares: Array) -> Array:
    """Mean time of batches of 1 … cap jobs drawn from these streams: as many steps as the largest window asks."""
    windows = np.array([demand.window for demand in demands])
    rows = float(shares @ [float(demand.paths) for demand in demands])
    context = float(shares @ [demand.lengths.context for demand in demands])
    found = []
    for jobs in range(1, draft.batch_cap + 1):
        steps, below = 0.0, 0
        for window in sorted(set(windows.tolist())):
            steps += (window - below) * (1.0 - (1.0 - float(shares[windows >= window].sum())) ** jobs)
            below = window
        found.append(steps * decode_ms(draft.surface, jobs * rows, 1.0, context))
    return np.array(found)


def batched_cycle(most: int, times: Array, away: float) -> BatchedCycle:
    """`times` are batches of 1 … cap jobs, ms; `away` is a session's mean time between two jobs."""
    regular = _more_regular(float(times[0]), away)
    numbers = list(range(1, min(most, ONE_BY_ONE) + 1))
    while numbers[-1] < most:
        numbers.append(min(most, -(-numbers[-1] * 5 // 4)))
    found = np.array([_of(n, times, away, regular) for n in numbers])
    every = np.arange(1, most + 1)
    delay, chance, each, batch = (np.interp(every, numbers, column) for column in found.T)
    return BatchedCycle(delay, chance, each, batch)


def _more_regular(job: float, away: float) -> float:
    """Wait of one of two sessions that take turns, of what it were if they were away for exponential times.

    The wait of two is job − away · (1 − e^(−job/away)) in the chain; plain draft devices' mean values are those of
    returns at random, which real ones are closer to.
    """
    alone = job + away * np.expm1(-job / max(away, 1e-9))
    found = fifo_cycle(2, job, away)[0][1]
    return min(found / alone, 1.0) if alone > 1e-9 * job else 1.0


def _of(sessions: int, times: Array, away: float, regular: float) -> tuple[float, float, float, float]:
    present = np.arange(1, sessions + 1)
    served = np.minimum(present, times.size)
    lasts = times[served - 1]
    back = -np.expm1(-lasts / max(away, 1e-9))
    # Row m − 1: the law of how many are there when the batch that began with m present ends.
    coming = _binomials(sessions - present, back, sessions)
    moves = np.zeros((sessions, sessions + 1))
    for row, left in enumerate(present - served):
        moves[row, left:] = coming[row, : sessions + 1 - left]
    idle = moves[:, 0].copy()
    moves[:, 1] += idle
    law = _stationary(moves[:, 1:])
    jobs, busy_ms, empty = float(law @ served), float(law @ lasts), float(law @ idle)
    round_ms = sessions * (busy_ms + empty * away / sessions) / jobs
    longer = max(float(law @ (served * lasts)) / jobs - float(times[0]), 0.0)
    waiting = max(round_ms - away - float(times[0]) - longer, 0.0)
    least = sessions * float((times / np.arange(1, times.size + 1)).min()) - away - float(times[0])
    return max(longer + regular * waiting, least), 1.0 - empty / jobs, busy_ms / jobs, jobs


def _binomials(trials: NDArray[np.int64], chance: Array, most: int) -> Array:
    """P(k successes), k = 0 … most, row by row."""
    k = np.arange(most + 1)
    logs = log_factorials(max(most + 1, 1024))
    left = trials[:, None] - k
    inside = left >= 0
    ways = logs[trials][:, None] - logs[k] - logs[np.maximum(left, 0)]
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.where(k > 0, k * np.log(chance)[:, None], 0.0)
        powers = powers + np.where(left > 0, left * np.log1p(-chance)[:, None], 0.0)
    found: Array = np.where(inside, np.exp(np.where(inside, ways + powers, 0.0)), 0.0)
    return found


def _stationary(moves: Array) -> Array:
    """π = π·P, by replacing one balance by Σπ = 1."""
    size = moves.shape[0]
    balance = moves.T - np.eye(size)
    balance[-1] = 1.0
    wanted = np.zeros(size)
    wanted[-1] = 1.0
    law = np.maximum(np.linalg.solve(balance, wanted), 0.0)
    return np.asarray(law / law.sum())
