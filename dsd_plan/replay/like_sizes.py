"""A plain target that serves jobs of like size together, so that a long prefill delays fewer (docs/invariants.md)."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import NONE, SESSION, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.token_budget import chained, is_prefill, verified_tokens

SMALL = 16
"""Jobs of up to so many new tokens are alike."""
TIMES = 2
"""So are others, if the larger has at most so many times as many as the smaller."""


@compiled
def alike(a: float, b: float) -> bool:
    """Whether jobs of so many new tokens are of like size."""
    return max(a, b) <= max(SMALL, TIMES * min(a, b))


@compiled
def take_alike(world: World, replica: Row, most: int) -> int:
    """Bring the first job, and up to `most` in all that are like it, in order, to the queue's head; how many."""
    first = last = first_left = last_left = NONE
    r = int(replica.head)
    wanted = new_tokens(world, r)
    count = 0
    for _ in range(replica.queued):
        behind = int(row(world.sessions, SESSION, r).next)
        if count < most and alike(new_tokens(world, r), wanted):
            count += 1
            first, last = chained(world, first, last, r)
        else:
            first_left, last_left = chained(world, first_left, last_left, r)
        r = behind
    row(world.sessions, SESSION, last).next = first_left
    replica.head = first
    replica.tail = last
    if first_left != NONE:
        row(world.sessions, SESSION, last_left).next = NONE
        replica.tail = last_left
    return count


@compiled
def new_tokens(world: World, r: int) -> int:
    """New tokens of a session's job: of its prefill, or of its round."""
    session = row(world.sessions, SESSION, r)
    if is_prefill(world, r, session):
        return int(session.prefill)
    return verified_tokens(world, session)
