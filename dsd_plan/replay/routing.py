"""Which server a new session is tied to, and what servers are found to take."""

from __future__ import annotations

import numpy as np

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import ROUTED
from dsd_plan.replay.layout import (
    DEVICE,
    JSQ,
    LEAST_DELAY,
    NONE,
    RANDOM,
    REPLICA,
    ROUND_ROBIN,
    TIED,
    WEIGHTED,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import DRAFT_ROUTE, DRAFT_ROUTE_AGAIN, ROUTE, ROUTE_AGAIN, uniform
from dsd_plan.replay.spells import factor_at

RECENT = 0.1
"""Weight of a server's last delay in the mean of its delays."""


@compiled
def chosen_replica(world: World, pool: Row, routing: int, key: np.uint64) -> int:
    """The replica that a session is tied to."""
    return chosen(world, False, pool, pool.first, pool.count, routing, key, NONE, 0)


@compiled
def chosen_device(world: World, pool: Row, routing: int, key: np.uint64) -> int:
    """The draft device that a session is tied to."""
    return chosen(world, True, pool, pool.first, pool.count, routing, key, NONE, 0)


@compiled
def another_device(world: World, stream: Row, pool: Row, key: np.uint64, r: int, part: int) -> int:
    """One more device for session `r`, at the copy of its site where it has `part` of the pool's already."""
    copy = (row(world.tied, TIED, r * world.most_tied).device - pool.first) // stream.per_copy
    here = pool.first + copy * stream.per_copy
    return chosen(world, True, pool, here, stream.per_copy, stream.draft_routing, key, r, part)


@compiled
def chosen(
    world: World, drafts: bool, pool: Row, first: int, count: int, routing: int, key: np.uint64, r: int, part: int
) -> int:
    """One of `count` servers from `first` on, but none of the session's first `part` devices."""
    if routing in (JSQ, LEAST_DELAY):
        return least(world, drafts, first, first + count, routing == LEAST_DELAY, r, part)
    left = count - part
    if routing == ROUND_ROBIN:
        turn = pool.turn
        pool.turn = turn + 1
        return nth(world, first, turn % left, r, part)
    u = uniform(key, part, DRAFT_ROUTE if drafts else ROUTE)
    if ROUTED and routing == WEIGHTED:
        return by_speed(world, drafts, first, first + count, u, r, part)
    place = int(u * left)
    one = nth(world, first, place, r, part)
    if not ROUTED or routing == RANDOM or left == 1:
        return one
    further = uniform(key, part, DRAFT_ROUTE_AGAIN if drafts else ROUTE_AGAIN)
    other = nth(world, first, (place + 1 + int(further * (left - 1))) % left, r, part)
    return other if live_of(world, drafts, other) < live_of(world, drafts, one) else one


@compiled
def least(world: World, drafts: bool, first: int, end: int, by_delay: bool, r: int, part: int) -> int:
    """The server with the fewest live sessions, or with (live + 1) × its mean delay least; the first on ties."""
    usual = known = 0.0
    if ROUTED and by_delay:
        for i in range(first, end):
            delay_ms = delay_of(world, drafts, i)
            if delay_ms > 0.0 and not has(world, r, part, i):
                usual += delay_ms
                known += 1.0
        usual = usual / known if known > 0.0 else 1.0
    best = NONE
    best_score = 0.0
    for i in range(first, end):
        if part > 0 and has(world, r, part, i):
            continue
        score = float(live_of(world, drafts, i))
        if ROUTED and by_delay:
            delay_ms = delay_of(world, drafts, i)
            score = (score + 1.0) * (delay_ms if delay_ms > 0.0 else usual)
        if best == NONE or score < best_score:
            best = i
            best_score = score
    return best


@compiled
def by_speed(world: World, drafts: bool, first: int, end: int, u: float, r: int, part: int) -> int:
    """A server by the uniform number `u`, in proportion to how fast each works at this instant."""
    total = 0.0
    for i in range(first, end):
        if not has(world, r, part, i):
            total += speed_of(world, drafts, i)
    upto = 0.0
    last = NONE
    for i in range(first, end):
        if has(world, r, part, i):
            continue
        upto += speed_of(world, drafts, i)
        last = i
        if u * total < upto:
            break
    return last


@compiled
def nth(world: World, first: int, place: int, r: int, part: int) -> int:
    """The server at a place, from 0, among those that are not the session's first `part` devices."""
    i = first + place
    if part > 0:
        i = first
        while place > 0 or has(world, r, part, i):
            if not has(world, r, part, i):
                place -= 1
            i += 1
    return i


@compiled
def has(world: World, r: int, parts: int, d: int) -> bool:
    """Whether device `d` is among the session's first `parts`."""
    found = False
    for part in range(parts):
        found = found or row(world.tied, TIED, r * world.most_tied + part).device == d
    return found


@compiled
def live_of(world: World, drafts: bool, i: int) -> int:
    """Live sessions of a draft device, or of a replica."""
    if drafts:
        return row(world.devices, DEVICE, i).live  # type: ignore[no-any-return]
    return row(world.replicas, REPLICA, i).live  # type: ignore[no-any-return]


@compiled
def delay_of(world: World, drafts: bool, i: int) -> float:
    """Mean delay that was found lately at a draft device, or at a replica; 0 before any was."""
    if drafts:
        return row(world.devices, DEVICE, i).delay_ms  # type: ignore[no-any-return]
    return row(world.replicas, REPLICA, i).delay_ms  # type: ignore[no-any-return]


@compiled
def speed_of(world: World, drafts: bool, i: int) -> float:
    """How fast a draft device, or a replica, works now: 1 unless it is in a slow spell."""
    if drafts:
        device = row(world.devices, DEVICE, i)
        return 1.0 / factor_at(world, device.slow, device.slow_end, world.now_ms)
    replica = row(world.replicas, REPLICA, i)
    return 1.0 / factor_at(world, replica.slow, replica.slow_end, world.now_ms)


@compiled
def learn(server: Row, delay_ms: float) -> None:
    """A job was seen to take so long at a replica or a draft device; 0 teaches nothing."""
    if delay_ms > 0.0:
        before_ms = server.delay_ms
        server.delay_ms = before_ms + RECENT * (delay_ms - before_ms) if before_ms > 0.0 else delay_ms
