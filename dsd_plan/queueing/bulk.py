"""A server that takes up to B waiting jobs at once and closes the door: M/M^[1,B]/1, and gated batches of any length.

Sources: Chaudhry & Templeton, A First Course in Bulk Queues (1983), for exponential service; the gated chains are
embedded at the ends of services, and time averages follow from renewal-reward and Little's law.
"""

from __future__ import annotations

from collections.abc import Callable
from math import lgamma
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Bulk(NamedTuple):
    """Steady state of M/M^[1,B]/1."""

    ratio: float
    """P(busy, q + 1 waiting) / P(busy, q waiting)."""
    idle: float
    waiting: float
    wait: float
    sojourn: float


class Gated(NamedTuple):
    """Steady state of a gated batch server with Poisson arrivals."""

    mean_batch: float
    utilisation: float
    mean_iteration: float
    empty_at_end: float
    waiting: float
    wait: float
    sojourn: float


class GatedClosed(NamedTuple):
    """Steady state of a gated batch server that a fixed population returns to."""

    throughput: float
    response: float
    utilisation: float
    mean_batch: float


def mm_bulk(lam: float, mu: float, most: int) -> Bulk:
    """Exponential services of up to B = `most` jobs; none joins one that runs. mu r^(B+1) − (lam + mu) r + lam = 0."""
    if lam >= mu * most:
        raise ValueError(f"load {lam / (mu * most):.3g} has no steady state; it must lie in [0, 1)")
    low, high = 0.0, 1.0 - 1e-12
    for _ in range(200):  # the polynomial falls through its only root inside (0, 1)
        ratio = (low + high) / 2.0
        if mu * ratio ** (most + 1) - (lam + mu) * ratio + lam > 0:
            low = ratio
        else:
            high = ratio
    # Balance of the idle state: lam P(idle) = mu P(busy, nobody waits).
    busy_alone = 1.0 / (mu / lam + 1.0 / (1.0 - ratio))
    waiting = busy_alone * ratio / (1.0 - ratio) ** 2
    return Bulk(ratio, mu / lam * busy_alone, waiting, waiting / lam, waiting / lam + 1.0 / mu)


def gated_open(lam: float, time: Callable[[int], float], most: int, states: int = 900) -> Gated:
    """Poisson arrivals; a service takes min(queue, `most`) jobs and lasts time(b). X' = (X − B)⁺ + Poisson(lam · t).

    `states` truncates the number waiting when a service ends.
    """
    batch = np.minimum(np.maximum(np.arange(states), 1), most)
    length = np.array([time(int(b)) for b in range(1, most + 1)])[batch - 1]
    if lam * length[-1] >= most:
        raise ValueError(f"load {lam * length[-1] / most:.3g} has no steady state; it must lie in [0, 1)")
    chain = np.zeros((states, states))
    for x in range(states):
        left = max(x - most, 0)
        chain[x, left:] = poisson_pmf(lam * length[x], states - left)
        chain[x, -1] += 1.0 - chain[x].sum()
    seen = stationary(chain)
    iteration = float(seen @ length)
    cycle = iteration + float(seen[0]) / lam
    left_behind = np.maximum(np.arange(states) - most, 0)
    waiting = float(seen @ (left_behind * length + lam * length**2 / 2.0)) / cycle
    served = float(seen @ batch)
    own = float(seen @ (batch * length)) / served
    wait = waiting / lam
    return Gated(served, iteration / cycle, iteration, float(seen[0]), waiting, wait, wait + own)


def gated_closed(population: int, delay: float, time: Callable[[int], float], most: int) -> GatedClosed:
    """`population` customers, each away for an exponential time of mean `delay`. Exact: who is away has no memory."""
    states = np.arange(population + 1)
    batch = np.minimum(np.maximum(states, 1), most)
    length = np.array([time(int(b)) for b in range(1, most + 1)])[batch - 1]
    chain = np.zeros((population + 1, population + 1))
    for x in states:
        left = max(x - batch[x], 0)
        outside = population - batch[x] - left
        back = binomial_pmf(outside, 1.0 - np.exp(-length[x] / delay))
        chain[x, left : left + back.size] = back
    seen = stationary(chain)
    iteration, served = float(seen @ length), float(seen @ batch)
    cycle = iteration + float(seen[0]) * delay / population
    throughput = served / cycle
    return GatedClosed(throughput, population / throughput - delay, iteration / cycle, served)


def stationary(chain: Array) -> Array:
    """The stationary law of a stochastic matrix with one recurrent class."""
    size = chain.shape[0]
    system = np.vstack([chain.T - np.eye(size), np.ones(size)])[1:]
    return np.linalg.solve(system, np.concatenate([np.zeros(size - 1), [1.0]]))


def poisson_pmf(mean: float, size: int) -> Array:
    """P(Poisson(mean) = k) for k = 0 … size − 1."""
    k = np.arange(size)
    logs = k * np.log(max(mean, 1e-300)) - mean - np.array([lgamma(i + 1.0) for i in range(size)])
    pmf: Array = np.exp(logs)
    return pmf


def binomial_pmf(trials: int, probability: float) -> Array:
    """P(Binomial = k) for k = 0 … trials."""
    pmf = np.ones(1)
    for _ in range(trials):
        pmf = np.convolve(pmf, [1.0 - probability, probability])
    return pmf
