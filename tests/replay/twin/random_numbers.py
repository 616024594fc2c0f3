"""The hash of which all luck is made, in plain integers."""

from __future__ import annotations

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
GAP, THINK, ROUTE, DRAFT_ROUTE, TRACE_START, ACCEPT, FIRST_HOP = range(7)
SITE_COPY = 2**16 - 2
NEXT_STATE = 2**16 - 3
ROUTE_AGAIN = 2**16 - 4
DRAFT_ROUTE_AGAIN = 2**16 - 5
UP, DOWN = 0, 2  # a message's jitter; its losses are the number after


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def key_of_stream(seed: int, replication: int, workload: int, part: int) -> int:
    key = seed & MASK
    for number in (replication, workload, part):
        key = mix((key + (number + 1) * GOLDEN) & MASK)
    return key


def key_of_request(stream_key: int, number: int) -> int:
    return mix((stream_key + (number + 1) * GOLDEN) & MASK)


def uniform(key: int, turn: int, purpose: int) -> float:
    position = (turn << 16) + purpose + 1
    return ((mix((key + position * GOLDEN) & MASK) >> 12) + 0.5) / 2**52
