"""A message's way over its hops."""

from __future__ import annotations

from bisect import bisect_right
from math import floor, isinf, log

from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.network import Hop
from tests.replay.twin.random_numbers import FIRST_HOP, uniform


def time_matters(hops: tuple[Hop, ...]) -> bool:
    return any(hop.trace is not None or not isinf(hop.mbps) for hop in hops)


def delay_ms(hops: tuple[Hop, ...], key: int, turn: int, way: int) -> float:
    """Over links without a limit, whenever it is."""
    return sum((hop_ms(hop, h, 0.0, key, turn, way) for h, hop in enumerate(hops)), 0.0)


def hop_ms(hop: Hop, h: int, now_ms: float, key: int, turn: int, way: int) -> float:
    """Travelling and lost messages on the h-th hop, begun now."""
    purpose = FIRST_HOP + 4 * h + way
    travel = hop.mean_ms
    if hop.trace is not None:
        travel = 0.0
    elif hop.jitter_cv > 0:
        travel *= 1.0 + hop.jitter_cv * (-log(uniform(key, turn, purpose)) - 1.0)
    if hop.loss > 0:
        travel += hop.rtt_ms * floor(log(uniform(key, turn, purpose + 1)) / log(hop.loss))
    return travel if hop.trace is None else travel + in_force_ms(hop.trace, now_ms) / 2


def in_force_ms(trace: RttTrace, now_ms: float) -> float:
    """The last row at or before now, the trace begun again after its length."""
    if len(trace.at_s) == 1:
        return trace.rtt_ms[0]
    length_ms = trace.length_s * 1000.0
    now_ms -= floor(now_ms / length_ms) * length_ms
    return trace.rtt_ms[bisect_right([at_s * 1000.0 for at_s in trace.at_s], now_ms) - 1]
