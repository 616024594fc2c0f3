"""Which server a new session is tied to."""

from __future__ import annotations

import numpy as np

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import DEVICE, JSQ, NONE, RANDOM, REPLICA, ROUND_ROBIN, TIED, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import DRAFT_ROUTE, ROUTE, uniform


@compiled
def chosen_replica(world: World, pool: Row, routing: int, key: np.uint64) -> int:
    """The replica that a session is tied to."""
    if routing == JSQ:
        best = pool.first
        for i in range(pool.first + 1, pool.first + pool.count):
            if row(world.replicas, REPLICA, i).live < row(world.replicas, REPLICA, best).live:
                best = i
        return best  # type: ignore[no-any-return]
    return in_turn_or_random(pool, routing, uniform(key, 0, ROUTE))


@compiled
def chosen_device(world: World, pool: Row, routing: int, key: np.uint64) -> int:
    """The draft device that a session is tied to."""
    if routing == JSQ:
        best = pool.first
        for i in range(pool.first + 1, pool.first + pool.count):
            if row(world.devices, DEVICE, i).live < row(world.devices, DEVICE, best).live:
                best = i
        return best  # type: ignore[no-any-return]
    return in_turn_or_random(pool, routing, uniform(key, 0, DRAFT_ROUTE))


@compiled
def another_device(world: World, stream: Row, pool: Row, key: np.uint64, r: int, part: int) -> int:
    """One more device for session `r`, at the copy of its site where it has `part` of the pool's already."""
    routing = stream.draft_routing
    left = stream.per_copy - part
    copy = (row(world.tied, TIED, r * world.most_tied).device - pool.first) // stream.per_copy
    here = pool.first + copy * stream.per_copy
    skip = 0  # of those that the session has not: this many come before the one that is chosen
    if routing == RANDOM:
        skip = int(uniform(key, part, DRAFT_ROUTE) * left)
    elif routing == ROUND_ROBIN:
        skip = pool.turn % left
        pool.turn += 1
    best = NONE
    for d in range(here, here + stream.per_copy):
        if has(world, r, part, d):
            continue
        if routing == JSQ:
            if best == NONE or row(world.devices, DEVICE, d).live < row(world.devices, DEVICE, best).live:
                best = d
        else:
            if skip == 0:
                return d
            skip -= 1
    return best


@compiled
def has(world: World, r: int, parts: int, d: int) -> bool:
    """Whether device `d` is among the session's first `parts`."""
    found = False
    for part in range(parts):
        found = found or row(world.tied, TIED, r * world.most_tied + part).device == d
    return found


@compiled
def in_turn_or_random(pool: Row, routing: int, u: float) -> int:
    """A server of the pool by round robin, or by the uniform number `u`."""
    if routing == ROUND_ROBIN:
        turn = pool.turn
        pool.turn = turn + 1
        return pool.first + turn % pool.count  # type: ignore[no-any-return]
    return pool.first + int(u * pool.count)  # type: ignore[no-any-return]
