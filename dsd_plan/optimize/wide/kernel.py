"""The inner loop over workloads, gears and levels of one target, compiled."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

EDGE = 2
"""Index of the mode that drafts at the edge."""
FULLEST_DRAFTER = 0.92
KV_SHARE = 0.9
"""Of a replica's KV memory that live sessions may take on average."""


@njit(cache=True, nogil=True, error_model="numpy")
def offers_on(
    possible: Flags,
    mode: Indices,
    slot: Indices,
    drafter_load: Array,
    column: Indices,
    away: Array,
    known_away: Array,
    table: Array,
    slope: Array,
    spread: Array,
    first_wait: Array,
    noise: Array,
    levels: Array,
    open_rate: Array,
    users: Array,
    think: Array,
    copies: Array,
    tokens: Array,
    kv: Array,
    rounds: Array,
    rounds_variance: Array,
    draft: Array,
    draft_request: Array,
    drafters: Array,
    drafter_price: Array,
    drafter_busy: Array,
    verify: Array,
    prefill: Array,
    per_job: Array,
    kv_tokens: Array,
    first_way: Array,
    first_variance: Array,
    round_variance: Array,
    kinds: Indices,
    scores: Array,
    limits: Array,
    factors: Array,
    weights: Array,
    target_w: float,
    work_factor: float,
    slopes: Array,
    value: Array,
    use: Array,
    level_of: Array,
    gear_of: Array,
    rate_of: Array,
    seen_of: Array,
) -> None:
    """Fill the last six arrays, shape (w, slopes): for each slope the offer with the least value + slope · use.

    `seen_of` holds its budgeted latencies and its mean TPOT, shape (w, slopes, limits + 1), before `factors`.

    Latencies are taken as normal: a round lasts what `table` says + verify + the queue for a draft device; the number
    of rounds, each round's noise and how the number of sessions beside it fluctuates spread it.
    `table` has a row a level; its columns are rounds at `known_away`, then those that `column` points to of gears that
    stream, of which others are -1. `slope` is how it follows the logarithm of the load, whose variance is `spread`.
    Gears that break a budget at a level break it at every higher one.
    """
    best = np.full(value.shape, np.inf)
    seen = np.zeros(kinds.size + 1)
    for w in range(possible.shape[0]):
        gaps = max(tokens[w] - 1.0, 1.0)
        for g in range(possible.shape[1]):
            if not possible[w, g]:
                continue
            edge = mode[g] == EDGE
            k = rounds[w, g]
            below, part, beyond = 0, 0.0, 0.0
            if column[g] < 0:
                gone = away[w, g]
                last = known_away.size - 1
                below = min(max(np.searchsorted(known_away, gone, side="right") - 1, 0), last - 1)
                part = min(max((gone - known_away[below]) / (known_away[below + 1] - known_away[below]), 0.0), 1.0)
                beyond = max(gone - known_away[last], 0.0)
            job = k * (verify[w, g] + per_job[g]) + prefill[w, g] + per_job[g]
            for level in range(levels.size):
                if column[g] < 0:
                    base = (1.0 - part) * table[level, below] + part * table[level, below + 1] + beyond
                    steep = (1.0 - part) * slope[level, below] + part * slope[level, below + 1]
                else:
                    base, steep = table[level, column[g]], slope[level, column[g]]
                slow = steep * steep * spread[level]
                one = base + verify[w, g]
                first = first_way[w] + first_wait[level] + prefill[w, g]
                rate = open_rate[w]
                if users[w] > 0.0:
                    rate = users[w] / (think[w] + first + k * one)
                number, queue, busy = 0.0, 0.0, 0.0
                variance = noise[level]
                if edge:
                    there = drafters[w, slot[g]]
                    busy = rate * draft_request[w, g] / copies[w]
                    number = min(max(ceil(busy / drafter_load[g] - 1e-9), 1.0), there)
                    if number < 1.0 or busy > FULLEST_DRAFTER * number:
                        break
                    share = busy / number
                    if users[w] > 0.0:
                        # A user never queues behind itself.
                        live = rate * k * one / copies[w] / number
                        share *= max(live - 1.0, 0.0) / max(live, 1.0)
                    queue = draft[w, g] / 2.0 * share / (1.0 - share)
                    variance += round_variance[w] + queue * queue
                one += queue
                first_spread = first_variance[w] + noise[level]
                decode = k * one
                decode_spread = rounds_variance[w, g] * one * one + k * variance + k * k * slow
                kept = True
                for q in range(kinds.size):
                    if kinds[q] == 0:
                        seen[q] = first + scores[q] * sqrt(first_spread)
                    elif kinds[q] == 1:
                        seen[q] = one + scores[q] * sqrt(variance)
                    elif kinds[q] == 2:
                        seen[q] = (decode + scores[q] * sqrt(decode_spread)) / gaps
                    else:
                        seen[q] = first + decode + scores[q] * sqrt(decode_spread + first_spread)
                    if seen[q] * factors[q, w, mode[g]] > limits[q, w]:
                        kept = False
                        break
                if not kept:
                    break
                seen[kinds.size] = decode / gaps
                work = rate * job * work_factor
                memory = rate * (first + decode) * kv[w] / (KV_SHARE * kv_tokens[g])
                needs = max(work / levels[level], memory)
                if weights.size > 0:
                    adds = weights[w] * seen[kinds.size] * factors[kinds.size, w, mode[g]]
                else:
                    adds = work * target_w
                    if edge:
                        adds += copies[w] * (number * drafter_price[w, slot[g]] + busy * drafter_busy[w, slot[g]])
                for o in range(slopes.size):
                    total = adds + slopes[o] * needs
                    if total < best[w, o]:
                        best[w, o] = total
                        value[w, o] = adds
                        use[w, o] = needs
                        level_of[w, o] = level
                        gear_of[w, o] = g
                        rate_of[w, o] = rate
                        seen_of[w, o, :] = seen
