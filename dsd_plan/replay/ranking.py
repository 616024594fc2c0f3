"""Queues in which higher priorities come first, and among equals those that came first."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import NONE, SESSION, STREAM, Row, World
from dsd_plan.replay.memory import row


@compiled
def priority_of(world: World, r: int) -> int:
    """Of the session's workload: higher is served first."""
    return row(world.streams, STREAM, row(world.sessions, SESSION, r).stream).priority  # type: ignore[no-any-return]


@compiled
def last_before(world: World, head: int, count: int, r: int, back: bool) -> int:
    """The last of a chain's first `count` sessions that stays ahead of session r; NONE if none does.

    One that comes `back` to the queue is put before its equals.
    """
    mine = priority_of(world, r)
    if back:
        mine += 1
    before, at = NONE, head
    while count > 0 and at != NONE and priority_of(world, at) >= mine:
        before = at
        at = int(row(world.sessions, SESSION, at).next)
        count -= 1
    return before


@compiled
def queue_by_priority(world: World, replica: Row, r: int, back: bool) -> None:
    """Put a session's job into its replica's queue."""
    before = last_before(world, int(replica.head), int(replica.queued), r, back)
    session = row(world.sessions, SESSION, r)
    session.next = NONE
    if replica.queued > 0:
        session.next = replica.head if before == NONE else row(world.sessions, SESSION, before).next
    if before == NONE:
        replica.head = r
    else:
        row(world.sessions, SESSION, before).next = r
    if replica.queued == 0 or before == replica.tail:
        replica.tail = r
    replica.queued += 1


@compiled
def wait_by_priority(world: World, replica: Row, r: int) -> bool:
    """Put a prompt among those that wait for memory; whether it is the first."""
    before = last_before(world, int(replica.memory_head), NEVER_SO_MANY, r, False)
    session = row(world.sessions, SESSION, r)
    if before == NONE:
        session.next = replica.memory_head
        replica.memory_head = r
    else:
        session.next = row(world.sessions, SESSION, before).next
        row(world.sessions, SESSION, before).next = r
    if session.next == NONE:
        replica.memory_tail = r
    return before == NONE


NEVER_SO_MANY = 1 << 62
