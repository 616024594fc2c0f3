"""One station with Poisson arrivals: M/M/1, M/M/c, M/M/1/K and M/G/1.

`lam` is the arrival rate, `mu` the rate of one server. Sources: Kleinrock, Queueing Systems 1 (1975); Gross & Harris,
Fundamentals of Queueing Theory, ch. 2; Pollaczek–Khinchine for M/G/1.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple


class Station(NamedTuple):
    """Steady state: jobs present and waiting, time in the station and before service."""

    present: float
    waiting: float
    sojourn: float
    wait: float


class LossStation(NamedTuple):
    """Steady state of a station that turns away who does not fit."""

    present: float
    blocked: float
    """Share of arrivals turned away."""


def mm1(lam: float, mu: float) -> Station:
    """One exponential server. Raises ValueError at or beyond saturation."""
    load = _below_one(lam / mu)
    present = load / (1.0 - load)
    wait = present / mu
    return Station(present, lam * wait, wait + 1.0 / mu, wait)


def mm1_sojourn_quantile(lam: float, mu: float, probability: float) -> float:
    """Quantile of the time in an M/M/1 station: sojourn ~ Exp(mu − lam)."""
    _below_one(lam / mu)
    return -log(1.0 - probability) / (mu - lam)


def erlang_b(offered: float, servers: int) -> float:
    """Share of arrivals that find all servers taken, where nobody waits. `offered` = lam / mu."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


def erlang_c(offered: float, servers: int) -> float:
    """Share of arrivals that must wait for one of the servers. Raises ValueError at or beyond saturation."""
    load = _below_one(offered / servers)
    blocked = erlang_b(offered, servers)
    return blocked / (1.0 - load * (1.0 - blocked))


def mmc(lam: float, mu: float, servers: int) -> Station:
    """`servers` exponential servers with one queue."""
    wait = erlang_c(lam / mu, servers) / (servers * mu - lam)
    sojourn = wait + 1.0 / mu
    return Station(lam * sojourn, lam * wait, sojourn, wait)


def mm1k(lam: float, mu: float, room: int) -> LossStation:
    """One exponential server; at most `room` jobs present, the one in service included. Truncated geometric."""
    load = lam / mu
    weights = [load**n for n in range(room + 1)]
    total = sum(weights)
    return LossStation(sum(n * weight for n, weight in enumerate(weights)) / total, weights[-1] / total)


def mg1(lam: float, service: float, scv: float) -> Station:
    """One server, any service law with mean `service` and squared coefficient of variation `scv`."""
    load = _below_one(lam * service)
    wait = load * service * (1.0 + scv) / (2.0 * (1.0 - load))
    sojourn = wait + service
    return Station(lam * sojourn, lam * wait, sojourn, wait)


def _below_one(load: float) -> float:
    if not 0.0 <= load < 1.0:
        raise ValueError(f"load {load:.3g} has no steady state; it must lie in [0, 1)")
    return load
