"""A message's way over its hops."""

from __future__ import annotations

from math import floor, log

import numpy as np

from dsd_plan.domain.network import serialisation_ms
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import HOP, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import FIRST_HOP, LANES, uniform

compiled(serialisation_ms)


@compiled
def delay_ms(world: World, first: int, end: int, payload: float, key: np.uint64, turn: int, lane: int) -> float:
    """On each hop a jittered delay, serialisation, and a round trip for each loss; `turn` is the round, or 0."""
    total = 0.0
    for h in range(first, end):
        hop = row(world.hops, HOP, h)
        purpose = FIRST_HOP + LANES * (h - first) + lane
        way_ms = hop.mean_ms
        if hop.jitter_cv > 0.0:
            way_ms *= 1.0 + hop.jitter_cv * (-log(uniform(key, turn, purpose)) - 1.0)
        total += way_ms + serialisation_ms(payload, hop.mbps)
        if hop.loss > 0.0:
            total += hop.rtt_ms * floor(log(uniform(key, turn, purpose + 1)) / log(hop.loss))
    return total
