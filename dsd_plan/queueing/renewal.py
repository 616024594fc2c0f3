"""How many rounds it takes to emit n tokens, when each round emits a random number of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Count(NamedTuple):
    """First three cumulants of a number of rounds."""

    mean: float
    variance: float
    third: float


def rounds_pmf(emitted_pmf: Array, tokens: int) -> Array:
    """P(K = k) for k = 0 …, where K = min{k : S_k ≥ tokens} and S_k is the sum of k independent rounds.

    `emitted_pmf[i]` is the probability that a round emits i tokens; `emitted_pmf[0]` must be 0. Exact:
    P(K > k) = P(S_k < tokens), by convolution cut at `tokens`.
    """
    if tokens <= 0:
        return np.ones(1)
    if emitted_pmf[0] != 0.0:
        raise ValueError("a round that emits nothing is not a round")
    below = np.zeros(tokens)
    below[0] = 1.0
    survival = [1.0]
    while survival[-1] > 0.0 and len(survival) <= tokens:
        below = np.convolve(below, emitted_pmf)[:tokens]
        survival.append(float(below.sum()))
    survival[-1] = 0.0  # at least one token a round, so S_tokens ≥ tokens
    pmf = -np.diff(np.array([1.0, *survival]))
    return np.maximum(pmf, 0.0)


def round_moments(emitted_pmf: Array, most: int) -> Array:
    """E[K], E[K²], E[K³] to emit n = 0 … `most` tokens, shape (3, most + 1): K(n) = 1 + K(n − X), moment by moment."""
    moments = np.zeros((3, most + 1))
    chances = emitted_pmf[1:]
    for n in range(1, most + 1):
        before = moments[:, max(n - chances.size, 0) : n][:, ::-1]
        first, second, third = before @ chances[: before.shape[1]]
        moments[0, n] = 1.0 + first
        moments[1, n] = 1.0 + 2.0 * first + second
        moments[2, n] = 1.0 + 3.0 * first + 3.0 * second + third
    return moments


def cumulants(values: Array, weights: Array) -> Count:
    """Mean, variance and third central moment of a discrete law."""
    mean = float(np.dot(weights, values))
    off = values - mean
    return Count(mean, float(np.dot(weights, off**2)), float(np.dot(weights, off**3)))


def count_of(pmf: Array) -> Count:
    """Cumulants of a number of rounds, given P(K = k)."""
    return cumulants(np.arange(pmf.size, dtype=np.float64), pmf)


def quantile(pmf: Array, probability: float) -> int:
    """Smallest k with P(K ≤ k) ≥ probability."""
    return int(np.searchsorted(np.cumsum(pmf), probability - 1e-12))
