"""Closed systems: a fixed population that thinks, queues and comes back.

Sources: Lazowska et al., Quantitative System Performance (1984); Reiser & Lavenberg, Mean-value analysis of closed
multichain queueing networks (1980); Baskett et al. (BCMP, 1975) for the processor that shares itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import lgamma, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Closed(NamedTuple):
    """Steady state of a closed system: cycles completed per unit of time, time away from thinking, load."""

    throughput: float
    response: float
    utilisation: float
    idle: float
    """Probability that nobody is at the station."""


class Network(NamedTuple):
    """Steady state of a closed network of single servers."""

    throughput: float
    response: float
    queues: tuple[float, ...]
    """Mean number at each station."""


def machine_repairman(population: int, think: float, service: float, servers: int) -> Closed:
    """M/M/c//N: exponential thinking and service, `servers` repairmen."""
    closed = load_dependent(population, think, lambda j: min(j, servers) / service)
    return closed._replace(utilisation=closed.throughput * service / servers)


def load_dependent(population: int, delay: float, rate: Callable[[int], float]) -> Closed:
    """A delay and one station that completes `rate(j)` with j present. p(j) ∝ delay^(N−j)/(N−j)! / Π_{i≤j} rate(i)."""
    logs = [(population - j) * log(delay) - lgamma(population - j + 1) for j in range(population + 1)]
    rates = [0.0, *(rate(j) for j in range(1, population + 1))]
    falling = 0.0
    for j in range(1, population + 1):
        falling -= log(rates[j])
        logs[j] += falling
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    throughput = float(np.dot(weights, rates))
    idle = float(weights[0])
    return Closed(throughput, population / throughput - delay, 1.0 - idle, idle)


def exact_mva(population: int, think: float, demands: Sequence[float]) -> Network:
    """Mean-value analysis of single-server stations in a ring, one class of jobs."""
    demand = np.array(demands, dtype=np.float64)
    queues = np.zeros(demand.size)
    throughput = response = 0.0
    for jobs in range(1, population + 1):
        times = demand * (1.0 + queues)
        response = float(times.sum())
        throughput = jobs / (think + response)
        queues = throughput * times
    return Network(throughput, response, tuple(queues.tolist()))


def fifo_cycle(most: int, service: float, away: float, among: float = 1.0) -> tuple[list[float], list[float]]:
    """Mean wait and load of one first-come-first-served server of fixed service time, for 1 … `most` customers.

    Mean-value analysis with the residual of a fixed time, service / 2, in place of the exponential's; never below
    what the server's own speed demands, customers · service − (service + away). Customers are `away` at random. With
    `among` servers a customer waits for the last of them.
    """
    waits, loads = [], []
    queue = busy = 0.0
    alone = service + away
    for customers in range(1, most + 1):
        wait = max(service * (queue - busy / 2.0), customers * service - alone, 0.0)
        seen = wait if among == 1.0 else float(longest_wait(np.array([wait]), np.array([busy]), among, service)[0][0])
        rate = customers / (alone + seen)
        queue, busy = rate * (service + wait), min(rate * service, 1.0)
        waits.append(wait)
        loads.append(busy)
    return waits, loads


def longest_wait(waits: Array, chances: Array, among: float, service: float) -> tuple[Array, Array]:
    """(mean, chance) of the longest of m = `among` independent waits, each 0 or, with chance b, uniform in L ± h.

    L = wait / b; h = L of short waits, and not more than `service`: behind many, what is left of one job is all that
    varies. With a = 2h·(1 − (1 − (1 − b)^(m+1)) / ((m + 1)·b)) for what is uniform from 0: (L − h)·(1 − (1 − b)^m) + a.
    """
    if among == 1.0:
        return waits, chances
    chance = np.clip(chances, 1e-9, 1.0)
    long, none = waits / chance, 1.0 - chance
    half = np.minimum(long, service)
    any_wait = 1.0 - none**among
    beyond = 2.0 * half * (1.0 - (1.0 - none ** (among + 1.0)) / ((among + 1.0) * chance))
    return np.where(chances > 0.0, (long - half) * any_wait + beyond, waits), any_wait
