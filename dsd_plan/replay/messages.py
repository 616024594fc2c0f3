"""A message's way over its hops."""

from __future__ import annotations

from math import floor, log

import numpy as np

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import HOP, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import FIRST_HOP, LANES, uniform


@compiled
def delay_ms(world: World, first: int, end: int, key: np.uint64, turn: int, lane: int) -> float:
    """Over links on which time does not matter; `turn` is the round, or 0."""
    total = 0.0
    for h in range(first, end):
        total += hop_ms(row(world.hops, HOP, h), key, turn, FIRST_HOP + LANES * (h - first) + lane)
    return total


@compiled
def hop_ms(hop: Row, key: np.uint64, turn: int, purpose: int) -> float:
    """A jittered delay, and a round trip for each loss."""
    way_ms = hop.mean_ms
    if hop.jitter_cv > 0.0:
        way_ms *= 1.0 + hop.jitter_cv * (-log(uniform(key, turn, purpose)) - 1.0)
    if hop.loss > 0.0:
        way_ms += hop.rtt_ms * floor(log(uniform(key, turn, purpose + 1)) / log(hop.loss))
    return way_ms  # type: ignore[no-any-return]
