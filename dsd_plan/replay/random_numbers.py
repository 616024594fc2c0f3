"""Counter-based random numbers: a draw is a hash of who draws, in which round, and what for.

Draws do not depend on the order of events. Two engines, or the same engine under two plans, see the same luck,
which lets them be compared event by event. The hash is SplitMix64 (Steele, Lea & Flood, "Fast splittable
pseudorandom number generators", 2014): a session's key is the generator's seed, and (round, purpose) its position.
"""

from __future__ import annotations

import numpy as np

from dsd_plan.replay.compiled import compiled

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST = 0xBF58476D1CE4E5B9
SECOND = 0x94D049BB133111EB

# What a draw is for. Those of a message's hop are FIRST_HOP + LANES · hop + lane.
GAP, THINK, ROUTE, DRAFT_ROUTE, TRACE_START, ACCEPT, FIRST_HOP = range(7)
UP_JITTER, UP_LOSS, DOWN_JITTER, DOWN_LOSS, LANES = range(5)
PURPOSE_BITS = 16
SITE_COPY = (1 << PURPOSE_BITS) - 2
NEXT_STATE = (1 << PURPOSE_BITS) - 3
ROUTE_AGAIN = (1 << PURPOSE_BITS) - 4
DRAFT_ROUTE_AGAIN = (1 << PURPOSE_BITS) - 5
"""Behind the hops of any route."""

USER_BITS = 32
"""The n-th request of closed user i is request number (i << USER_BITS) + n of its stream."""


def mix(value: int) -> int:
    """SplitMix64's finalizer on 64-bit integers."""
    value = ((value ^ (value >> 30)) * FIRST) & MASK
    value = ((value ^ (value >> 27)) * SECOND) & MASK
    return value ^ (value >> 31)


def stream_key(seed: int, replication: int, workload: int, part: int) -> int:
    """Key of the `part`-th assignment of a workload: the same in every plan that serves the workload whole."""
    key = seed & MASK
    for number in (replication, workload, part):
        key = mix((key + (number + 1) * GOLDEN) & MASK)
    return key


@compiled
def mixed(value: np.uint64) -> np.uint64:
    """`mix` in machine integers."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(FIRST)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(SECOND)
    return value ^ (value >> np.uint64(31))


@compiled
def request_key(stream: np.uint64, request: int) -> np.uint64:
    """Key of a stream's request."""
    return mixed(stream + np.uint64(request + 1) * np.uint64(GOLDEN))


@compiled
def uniform(key: np.uint64, turn: int, purpose: int) -> float:
    """Uniform in (0, 1), both ends excluded: multiples of 2⁻⁵² moved by half a step."""
    counter = np.uint64((turn << PURPOSE_BITS) + purpose + 1)
    bits = mixed(key + counter * np.uint64(GOLDEN)) >> np.uint64(12)
    return (np.float64(bits) + 0.5) * 2.0**-52
