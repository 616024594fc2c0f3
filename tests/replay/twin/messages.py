"""A message's way over its hops."""

from __future__ import annotations

from math import floor, log

from dsd_plan.domain.network import Hop
from tests.replay.twin.random_numbers import FIRST_HOP, uniform


def delay_ms(hops: tuple[Hop, ...], payload: float, key: int, turn: int, way: int) -> float:
    total = 0.0
    for h, hop in enumerate(hops):
        purpose = FIRST_HOP + 4 * h + way
        travel = hop.mean_ms
        if hop.jitter_cv > 0:
            travel *= 1.0 + hop.jitter_cv * (-log(uniform(key, turn, purpose)) - 1.0)
        total += travel + payload * 8.0 / (hop.mbps * 1000.0)
        if hop.loss > 0:
            total += hop.rtt_ms * floor(log(uniform(key, turn, purpose + 1)) / log(hop.loss))
    return total
