"""Which server a new session is tied to."""

from __future__ import annotations

import numpy as np

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import DEVICE, JSQ, REPLICA, ROUND_ROBIN, Row, World
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
def in_turn_or_random(pool: Row, routing: int, u: float) -> int:
    """A server of the pool by round robin, or by the uniform number `u`."""
    if routing == ROUND_ROBIN:
        turn = pool.turn
        pool.turn = turn + 1
        return pool.first + turn % pool.count  # type: ignore[no-any-return]
    return pool.first + int(u * pool.count)  # type: ignore[no-any-return]
