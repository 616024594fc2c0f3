"""How many customers are present at a station that all share, when its speed depends on how many there are.

A shared station is insensitive: with Poisson or finite sources, π(n) ∝ Π_{j≤n} g(j) · Σ Π_k f_k(n_k), the sum over all
(n_1, n_2, …) that add up to n; g(j) is the stretch of everyone's time when j are present, and f_k(n_k) is what chain k
alone contributes: x^n/n! from a Poisson source, x^n/n! · z^(N−n)/(N−n)! from N users who are away for z. Sources:
Baskett et al. (BCMP, 1975); Cohen, The multiple phase service network with generalized processor sharing (1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NEGLIGIBLE = 1e-250
"""Weights below this share of the largest carry no probability worth keeping, and no digits."""
UNLIKELY = 1e-60
"""Likewise of a single chain, before the stretch shifts what is likely."""


@lru_cache(maxsize=8)
def log_factorials(size: int) -> Array:
    """log n! for n = 0 … size − 1."""
    logs = np.zeros(size)
    logs[1:] = np.cumsum(np.log(np.arange(1, size)))
    return logs


def poisson_chain(mean: float, size: int) -> Array:
    """Weights of a Poisson source that brings `mean` customers, for n = 0 … size − 1; the largest is 1."""
    if mean <= 0.0:
        return np.ones(1)
    logs = np.arange(size) * np.log(mean) - log_factorials(_room(size))[:size]
    weights: Array = np.exp(logs - logs.max())
    return weights


def finite_chain(users: int, present: float, away: float) -> Array:
    """Weights of `users` who are present and away for so long in turn, for n = 0 … users; the largest is 1."""
    if users <= 0:
        return np.ones(1)
    if away <= 0.0:
        only_all = np.zeros(users + 1)
        only_all[-1] = 1.0
        return only_all
    n = np.arange(users + 1)
    factorials = log_factorials(_room(users + 1))
    logs = n * np.log(present / away) - factorials[n] - factorials[users - n]
    weights: Array = np.exp(logs - logs.max())
    return weights


def shared(stretch: Array, chains: Sequence[Array]) -> Array:
    """π(n) for n = 0 … ; `stretch[j − 1]` is g(j). Scale it so that it is near 1 at the likely n."""
    weights, start = np.ones(1), 0
    for chain in chains:
        likely = np.flatnonzero(chain > UNLIKELY)
        start += int(likely[0])
        of_chain = chain[likely[0] : likely[-1] + 1]
        weights = np.convolve(weights, of_chain) if weights.size > 1 else of_chain
        weights = weights / weights.max()
    size = min(start + weights.size, stretch.size + 1)
    if start >= size:
        start, weights = size - 1, np.ones(1)  # more are surely present than there are states: the last one
    weights = weights[: size - start]
    kept = weights > NEGLIGIBLE
    logs = np.full(size, -np.inf)
    logs[start:][kept] = np.log(weights[kept])
    logs[1:] += np.cumsum(np.log(stretch[: size - 1]))
    law: Array = np.exp(logs - logs.max())
    law /= law.sum()
    return law


def given_total(chains: Sequence[Array], size: int) -> Array:
    """E[n_k | n] for n = 0 … size − 1, shape (size, chains): how a total is made up does not depend on the stretch."""
    means = np.zeros((size, len(chains)))
    for k, chain in enumerate(chains):
        rest = np.ones(1)
        for other in (*chains[:k], *chains[k + 1 :]):
            rest = np.convolve(rest, other)[:size]
            rest /= rest.max()
        total = np.convolve(rest, chain)[:size]
        mine = np.convolve(rest, chain * np.arange(chain.size))[:size]
        # Where surely more are present than there are states, the likeliest of these tell.
        likely = np.flatnonzero(total > NEGLIGIBLE * min(1.0, float(total.max())))
        if likely.size == 0:
            return _in_proportion(chains, size)
        found = np.interp(np.arange(size), likely, mine[likely] / total[likely])
        means[:, k] = found
    return means


def _in_proportion(chains: Sequence[Array], size: int) -> Array:
    """A total made up of the chains as their means are: for totals that are too unlikely to be told apart from 0."""
    present = np.array([float(chain @ np.arange(chain.size)) / max(float(chain.sum()), 1e-300) for chain in chains])
    share = present / present.sum() if present.sum() > 0.0 else np.full(present.size, 1.0 / present.size)
    return np.outer(np.arange(size), share)


def cut(law: Array, size: int) -> Array:
    """The law on the first `size` states; what lies beyond is counted in the last of them."""
    if law.size <= size:
        return law
    kept = law[:size].copy()
    kept[-1] += law[size:].sum()
    return kept


def births_and_deaths(births: float, times: Array) -> Array:
    """π(n) for n = 0 … times.size: Poisson births at rate `births`, `times[j − 1]` each one's stay with j present."""
    j = np.arange(1, times.size + 1)
    logs = np.concatenate([np.zeros(1), np.cumsum(np.log(births * times / j))])
    law: Array = np.exp(logs - logs.max())
    law /= law.sum()
    return law


def relaxation(law: Array, times: Array) -> float:
    """Rate at which the number present forgets where it was: the mean slope of its death rate n / times[n − 1]."""
    size = min(law.size - 1, times.size)
    slopes = np.arange(1.0, size + 1.0) / times[:size]
    slopes[1:] -= slopes[:-1].copy()
    return float(law[:size] @ slopes) / max(float(law[:size].sum()), 1e-12)


def averaging(span: float) -> float:
    """Share of a process's variance left in its mean over `span` relaxation times: 2 (x − 1 + e^−x) / x²."""
    if span < 1e-3:
        return 1.0 - span / 3.0
    return 2.0 * (span - 1.0 + exp(-span)) / span**2


def _room(size: int) -> int:
    """Next power of two: few sizes, so that the cached tables are reused."""
    return 1 << max(10, (size - 1).bit_length())
