"""The event queue: a heap of four children a node, ordered by time and then by the order of scheduling."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import EVENT, KIND_BITS, Row, World
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
        above = (hole - 1) >> 2
        parent = row(world.heap, EVENT, above)
        if parent.time_ms <= time_ms:
            break
        move(parent, row(world.heap, EVENT, hole))
        hole = above
    event = row(world.heap, EVENT, hole)
    event.time_ms = time_ms
    event.turn = (order << KIND_BITS) | kind
    event.index = index


@compiled
def kind_of(turn: int) -> int:
    """The kind in an event's `turn`."""
    return turn & ((1 << KIND_BITS) - 1)


@compiled
def drop_first(world: World) -> None:
    """Take the first event off the heap."""
    heap = world.heap
    last = world.events - 1
    world.events = last
    event = row(heap, EVENT, last)
    # Walk the hole to the bottom along the earliest children, then let the last event climb from there: it
    # usually belongs near the bottom, and one comparison a level is saved.
    hole = 0
    below = 1
    while below + 3 < last:
        a_ms, b_ms = row(heap, EVENT, below).time_ms, row(heap, EVENT, below + 1).time_ms
        c_ms, d_ms = row(heap, EVENT, below + 2).time_ms, row(heap, EVENT, below + 3).time_ms
        # Selected, not branched to, which the processor would have to guess; ties are rare or foreseeable.
        left, left_ms = below + (b_ms < a_ms), b_ms if b_ms < a_ms else a_ms
        right, right_ms = below + 2 + (d_ms < c_ms), d_ms if d_ms < c_ms else c_ms
        least = right if right_ms < left_ms else left
        if (a_ms == b_ms) | (c_ms == d_ms) | (left_ms == right_ms):
            least = earliest(heap, below, below + 4)
        move(row(heap, EVENT, least), row(heap, EVENT, hole))
        hole = least
        below = 4 * hole + 1
    if below < last:
        least = earliest(heap, below, last)
        move(row(heap, EVENT, least), row(heap, EVENT, hole))
        hole = least
    while hole > 0:
        above = (hole - 1) >> 2
        parent = row(heap, EVENT, above)
        if before(parent, event):
            break
        move(parent, row(heap, EVENT, hole))
        hole = above
    move(event, row(heap, EVENT, hole))


@compiled
def earliest(heap: int, first: int, end: int) -> int:
    """Which of the events first … end − 1 comes first."""
    least = first
    for child in range(first + 1, end):
        if before(row(heap, EVENT, child), row(heap, EVENT, least)):
            least = child
    return least


@compiled
def before(a: Row, b: Row) -> bool:
    """Whether event `a` comes first."""
    return (a.time_ms < b.time_ms) | ((a.time_ms <= b.time_ms) & (a.turn < b.turn))  # type: ignore[no-any-return]


@compiled
def move(a: Row, b: Row) -> None:
    """Copy event `a` over `b`."""
    b.time_ms = a.time_ms
    b.turn = a.turn
    b.index = a.index
