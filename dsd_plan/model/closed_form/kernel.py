"""The closed form of one system, compiled. Symbols as in docs/method.md: T, V, S_m, A, M, κ."""

from __future__ import annotations

from math import erf, exp, inf, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

PASSES = 16
"""Of T and its variance; of closed users' rates, at most."""
STILL = 1e-4
"""Relative change of T at which it is taken as found."""
FAR = 24.0
"""Time away, in iterations, beyond which a session returns at a random moment."""
FULLEST = 0.995
WITHIN = 0.02
"""Spread of the sum of a few iterations, as a share of one, that no variance accounts for."""
MOST_JUMPS = 12
CLOSE = 1e-2
"""Relative change of closed users' rates at which they are taken as found."""


@njit(cache=True, nogil=True, error_model="numpy")
def solve_all(
    step: Array,
    cap: Array,
    rate: Array,
    users: Array,
    think: Array,
    rounds: Array,
    verify: Array,
    prefill: Array,
    prefill_square: Array,
    away: Array,
    away_variance: Array,
    network: Array,
    tokens: Array,
    window: Array,
    draft: Array,
    saturation: Array,
    iteration: Array,
    found: Array,
    round_ms: Array,
    ttft: Array,
    tpot: Array,
) -> None:
    """Fill the last six arrays."""
    classes = rate.shape[1]
    ends, meets, kappa, jobs = np.empty(classes), np.empty(classes), np.empty(classes), np.empty(classes)
    for n in range(rate.shape[0]):
        closed = False
        for k in range(classes):
            found[n, k] = rate[n, k]
            if users[n, k] > 0.0:
                closed = True
                # Unloaded, until the first pass knows better.
                alone = network[n, k] + prefill[n, k] + step[n] + rounds[n, k] * (away[n, k] + 2.0 * step[n])
                found[n, k] = users[n, k] / (think[n, k] + alone)
        low, high = 1e-12, inf
        for turn in range(PASSES if closed else 1):
            load = _load(step[n], cap[n], found[n], rounds[n], verify[n], prefill[n], window[n], draft[n])
            if load > FULLEST and closed:
                _slow_down(load, users[n], found[n])
                load = FULLEST
            saturation[n] = load
            if load >= 1.0:
                iteration[n] = inf
                round_ms[n, :], ttft[n, :], tpot[n, :] = inf, inf, inf
                break
            iteration[n] = _one(
                step[n], cap[n], load, found[n], users[n], rounds[n], verify[n], prefill[n], prefill_square[n],
                away[n], away_variance[n], network[n], tokens[n], window[n], draft[n], round_ms[n], ttft[n], tpot[n],
                ends, meets, kappa, jobs,
            )  # fmt: skip
            if not closed or turn == PASSES - 1:
                break
            moved = total = wanted = 0.0
            for k in range(classes):
                if users[n, k] > 0.0:
                    cycle = think[n, k] + ttft[n, k] + rounds[n, k] * round_ms[n, k]
                    before = found[n, k]
                    found[n, k] = before**0.4 * (users[n, k] / cycle) ** 0.6
                    moved = max(moved, abs(found[n, k] / before - 1.0))
                    total += before
                    wanted += found[n, k]
            if moved < CLOSE:
                break
            # Near saturation the step overshoots: the total stays between what was too little and what was too much.
            if wanted > total:
                low = max(low, total)
            else:
                high = min(high, total)
            if wanted <= low or wanted >= high:
                for k in range(classes):
                    if users[n, k] > 0.0:
                        found[n, k] *= sqrt(low * high) / wanted


@njit(cache=True, nogil=True, error_model="numpy")
def _load(
    step: float, cap: float, rate: Array, rounds: Array, verify: Array, prefill: Array, window: Array, draft: float
) -> float:
    """Σ λ (EK w_v + w_p) + (a + drafting)/B · Λ, drafting that of a full batch."""
    lam = total = 0.0
    for k in range(rate.size):
        lam += rate[k] * (rounds[k] + 1.0)
        total += rate[k] * (rounds[k] * verify[k] + prefill[k])
    if draft > 0.0:
        step += draft * _longest(rate, rounds, window, cap / max(lam, 1e-300), 0.0)
    return total + step / cap * lam


@njit(cache=True, nogil=True, error_model="numpy")
def _longest(rate: Array, rounds: Array, window: Array, span: float, own: float) -> float:
    """Mean of the largest window among `own` and the fused jobs that come in a time `span`."""
    total = own
    below = own
    while True:
        above = inf
        for k in range(rate.size):
            if below < window[k] < above:
                above = window[k]
        if above == inf:
            return total
        jobs = 0.0
        for k in range(rate.size):
            if window[k] >= above:
                jobs += rate[k] * rounds[k] * span
        total += (above - below) * (1.0 - exp(-jobs))
        below = above


@njit(cache=True, nogil=True, error_model="numpy")
def _slow_down(load: float, users: Array, rate: Array) -> None:
    """Closed users get no more than there is."""
    for k in range(rate.size):
        if users[k] > 0.0:
            rate[k] *= FULLEST / load


@njit(cache=True, nogil=True, error_model="numpy")
def _one(
    step: float,
    cap: float,
    load: float,
    rate: Array,
    users: Array,
    rounds: Array,
    verify: Array,
    prefill: Array,
    prefill_square: Array,
    away: Array,
    away_variance: Array,
    network: Array,
    tokens: Array,
    window: Array,
    draft: float,
    round_ms: Array,
    ttft: Array,
    tpot: Array,
    ends: Array,
    meets: Array,
    kappa: Array,
    jobs: Array,
) -> float:
    """Answer one system at these rates; returns its mean iteration."""
    requests = lam = work = jump = jump_square = streamed = 0.0
    for k in range(rate.size):
        requests += rate[k]
        lam += rate[k] * (rounds[k] + 1.0)
        work += rate[k] * (rounds[k] * verify[k] + prefill[k])
        jump += rate[k] * prefill[k]
        jump_square += rate[k] * prefill_square[k]
        if away[k] <= 0.0:
            streamed += rate[k] * rounds[k]
    if lam <= 0.0:
        for k in range(rate.size):
            round_ms[k] = away[k] + step + verify[k]
            ttft[k] = network[k] + step + prefill[k]
            tpot[k] = rounds[k] * round_ms[k] / max(tokens[k] - 1.0, 1.0)
        return step
    mean = work / lam
    jump, jump_square = jump / requests, jump_square / requests
    jump_variance = max(jump_square - jump * jump, 0.0)
    rho = work
    base = step
    full = step + mean * cap
    if draft > 0.0:
        full += draft * _longest(rate, rounds, window, cap / lam, 0.0)
    t, v, idle = step + mean, 0.0, 0.0
    for _ in range(PASSES):
        # A streamed session is in every iteration; the server is idle only when none is live and nothing came.
        idle = exp(-lam * t) * (1.0 + 0.5 * lam * lam * v)
        idle = min(idle, 1.0)
        if draft > 0.0:
            base = step + draft * _longest(rate, rounds, window, t, 0.0)
        before = t
        t = min(base + mean * max(lam * t + idle, 1.0), full)
        returning = 0.0
        for k in range(rate.size):
            alone = 1.0 - min(rate[k] * rounds[k] * t / users[k], 1.0) if users[k] > 0.0 else 1.0
            if away[k] > 0.0:
                returning += rate[k] * rounds[k] * verify[k] * verify[k] * alone
        calm = max(1.0 - rho * rho, 1e-3)
        v = min(t * returning / calm + requests * t * jump_square / calm, (full - t) ** 2)
        if abs(t - before) < STILL * t:
            break
    square = t * t + v
    busy = t / (t + idle / lam)
    prefills = requests * t * busy
    bare = t - prefills * jump
    returning_variance = max(v - requests * t * jump_square / max(1.0 - rho * rho, 1e-3), 0.0)
    over = full / (2.0 * cap) * load ** (sqrt(2.0 * (cap + 1.0)) - 1.0) / (1.0 - load)
    for k in range(rate.size):
        jobs[k] = rate[k] * rounds[k] * t
        _passage(
            k, t, v, square, bare, returning_variance, prefills, jump, jump_variance, away[k], away_variance[k],
            ends, meets, kappa,
        )  # fmt: skip
    for k in range(rate.size):
        gather = 0.0
        usual = 0.0
        longer = meets[k] / t - 1.0
        usual_longer = square / (t * t) - 1.0
        for other in range(rate.size):
            if other == k and users[k] > 0.0:
                present = max(0.0, 1.0 - max(1.0, jobs[k]) / users[k])
            elif users[other] > 0.0:
                present = 1.0 - jobs[other] / (2.0 * users[other])
            else:
                present = 1.0
            each = verify[other] * jobs[other] * present
            gather += each * (1.0 + kappa[other] * longer)
            usual += each * (1.0 + kappa[other] * usual_longer)
        mine, alone = base, step
        if window[k] > 0.0:
            mine = step + draft * _longest(rate, rounds, window, t, window[k])
            alone = step + draft * window[k]
        own = mine + requests * jump * meets[k] + gather + verify[k]
        own = busy * min(own, max(full, mine + verify[k])) + (1.0 - busy) * (alone + verify[k])
        if away[k] <= 0.0:
            round_ms[k] = own + over
        else:
            waits = (1.0 - idle) ** (1.0 + away[k] / t)
            residual = busy * square / (2.0 * t)
            round_ms[k] = away[k] + waits * (ends[k] - away[k]) + (1.0 - waits) * residual + own + over
        first = base + requests * jump * square / t + usual
        first = busy * min(first, full) + (1.0 - busy) * step
        ttft[k] = network[k] + busy * square / (2.0 * t) + first + prefill[k] + over
        tpot[k] = rounds[k] * round_ms[k] / max(tokens[k] - 1.0, 1.0)
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def _passage(
    k: int,
    t: float,
    v: float,
    square: float,
    bare: float,
    smooth: float,
    prefills: float,
    jump: float,
    jump_variance: float,
    away: float,
    away_variance: float,
    ends: Array,
    meets: Array,
    kappa: Array,
) -> None:
    """Mean end A and mean length M of the iteration in which a session returns, and how much longer it gathers (κ)."""
    if away <= 0.0:
        ends[k], meets[k], kappa[k] = 0.0, t, 0.0
        return
    if away >= FAR * t:
        ends[k], meets[k], kappa[k] = away + square / (2.0 * t), square / t, 1.0
        return
    before = 0.0
    lost = 0.0
    m = 0
    while True:
        m += 1
        chance = exp(-m * prefills)
        passed = partial = 0.0
        left = 1.0
        for j in range(MOST_JUMPS):
            mu = m * bare + j * jump
            variance = m * smooth + (WITHIN * t) ** 2 + j * jump_variance
            spread = sqrt(variance + away_variance)
            z = (away - mu) / spread
            share = 0.5 * (1.0 + erf(z / sqrt(2.0)))
            passed += chance * share
            partial += chance * (mu * share - variance / spread * exp(-0.5 * z * z) / sqrt(2.0 * pi))
            left -= chance
            if left < 1e-3 or z < -6.0:
                break
            chance *= m * prefills / (j + 1.0)
        before += passed
        lost += partial / m
        if passed < 1e-4 or m > 4 * FAR:
            break
    ends[k] = t * (1.0 + before)
    meets[k] = min(max(ends[k] - lost, 0.8 * t), t + 2.0 * v / t)
    kappa[k] = min(max((meets[k] / t - 1.0) * t * t / max(v, 1e-12), 0.0), 1.0)
