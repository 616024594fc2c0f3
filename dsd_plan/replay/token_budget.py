"""A plain target whose iterations hold at most `token_cap` new tokens: who takes part, and prefills in chunks.

What a session's prefill has computed so far stands in its seat. Rules: docs/invariants.md.
"""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import FAULTY
from dsd_plan.replay.layout import KV_REFILLS, NONE, SEAT, SESSION, STREAM, TARGET, TRAVEL, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.ranking import queue_by_priority


@compiled
def is_prefill(world: World, r: int, session: Row) -> bool:
    """Whether a session's job is a prefill: of its prompt, or of what it had."""
    return session.emitted == 0 or (FAULTY and world.faulty == 1 and refills(world, r))


@compiled
def refills(world: World, r: int) -> bool:
    """Whether a session's job is a prefill of what it had."""
    return row(world.travels, TRAVEL, r).again == KV_REFILLS  # type: ignore[no-any-return]


@compiled
def take_within(world: World, replica: Row, most: int, budget: int) -> int:
    """Of the first `most` jobs bring those that take part to the queue's head; how many they are.

    Decodes and verifies first take what they need, in order, up to the first that does not fit; then prefills what is
    left, in order. One that does not get all of its tokens comes last, and is `replica.unfinished`.
    """
    fitting = 0
    fits = True
    r = int(replica.head)
    for _ in range(most):
        session = row(world.sessions, SESSION, r)
        if fits and not is_prefill(world, r, session):
            needed = verified_tokens(world, session)
            fits = needed <= budget
            if fits:
                budget -= needed
                fitting += 1
        r = int(session.next)

    first = last = first_left = last_left = unfinished = NONE
    count = 0
    whole = True
    r = int(replica.head)
    for _ in range(most):
        session = row(world.sessions, SESSION, r)
        behind = int(session.next)
        takes_part = False
        if is_prefill(world, r, session):
            seat = row(world.seats, SEAT, r)
            left = int(session.prefill) - seat.computed
            if whole:
                whole = left <= budget
                takes_part = whole
                seat.takes = min(left, budget)
                budget -= seat.takes
                if not whole and seat.takes > 0:
                    unfinished = r
        elif fitting > 0:
            takes_part = True
            fitting -= 1
        if takes_part:
            count += 1
            first, last = chained(world, first, last, r)
        elif r != unfinished:
            first_left, last_left = chained(world, first_left, last_left, r)
        r = behind
    if unfinished != NONE:
        count += 1
        first, last = chained(world, first, last, unfinished)
    replica.unfinished = unfinished

    rest = replica.queued - most
    if first_left != NONE:
        row(world.sessions, SESSION, last_left).next = r
        if rest == 0:
            replica.tail = last_left
        r = first_left
    row(world.sessions, SESSION, last).next = r
    replica.head = first
    return count


@compiled
def chained(world: World, first: int, last: int, r: int) -> tuple[int, int]:
    """(first, last) of a chain of sessions with r at its end."""
    if first == NONE:
        return r, r
    row(world.sessions, SESSION, last).next = r
    return first, r


@compiled
def verified_tokens(world: World, session: Row) -> int:
    """New tokens of a round at the target."""
    return row(world.streams, STREAM, session.stream).candidates * session.window + 1  # type: ignore[no-any-return]


@compiled
def chunk_ends(world: World, replica: Row) -> None:
    """The prefill that was not finished is further, and comes back to the head of the queue, of its equals there."""
    r = int(replica.unfinished)
    replica.unfinished = NONE
    seat = row(world.seats, SEAT, r)
    seat.computed += seat.takes
    if row(world.targets, TARGET, replica.target).ranked == 1:
        queue_by_priority(world, replica, r, True)
        return
    session = row(world.sessions, SESSION, r)
    session.next = NONE
    if replica.queued == 0:
        replica.tail = r
    else:
        session.next = replica.head
    replica.head = r
    replica.queued += 1
