"""The event queue: a binary heap, ordered by time and then by the order of scheduling."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import EVENT, Row, World
from dsd_plan.replay.memory import row


@compiled
def push(world: World, time_ms: float, kind: int, index: int) -> None:
    """Schedule an event."""
    order = world.scheduled
    world.scheduled = order + 1
    hole = world.events
    world.events = hole + 1
    # A new event was scheduled last, so it never climbs past one of the same time.
    while hole > 0:
        above = (hole - 1) >> 1
        parent = row(world.heap, EVENT, above)
        if parent.time_ms <= time_ms:
            break
        move(parent, row(world.heap, EVENT, hole))
        hole = above
    event = row(world.heap, EVENT, hole)
    event.time_ms = time_ms
    event.order = order
    event.kind = kind
    event.index = index


@compiled
def drop_first(world: World) -> None:
    """Take the first event off the heap."""
    last = world.events - 1
    world.events = last
    # Walk the hole to the bottom along the earlier children, then let the last event climb from there: it
    # usually belongs near the bottom, and one comparison a level is saved.
    hole = 0
    below = 1
    while below + 1 < last:
        below += before(row(world.heap, EVENT, below + 1), row(world.heap, EVENT, below))
        move(row(world.heap, EVENT, below), row(world.heap, EVENT, hole))
        hole = below
        below = 2 * hole + 1
    if below < last:
        move(row(world.heap, EVENT, below), row(world.heap, EVENT, hole))
        hole = below
    event = row(world.heap, EVENT, last)
    while hole > 0:
        above = (hole - 1) >> 1
        parent = row(world.heap, EVENT, above)
        if before(parent, event):
            break
        move(parent, row(world.heap, EVENT, hole))
        hole = above
    move(event, row(world.heap, EVENT, hole))


@compiled
def before(a: Row, b: Row) -> bool:
    """Whether event `a` comes first; without branches, which the heap's comparisons would make the processor guess."""
    return (a.time_ms < b.time_ms) | ((a.time_ms <= b.time_ms) & (a.order < b.order))  # type: ignore[no-any-return]


@compiled
def move(a: Row, b: Row) -> None:
    """Copy event `a` over `b`."""
    b.time_ms = a.time_ms
    b.order = a.order
    b.kind = a.kind
    b.index = a.index
