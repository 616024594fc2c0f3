"""Seats of sessions at an engine-like target: who runs, who waits, which blocks are held.

A seat's sequence is its prompt and what it has emitted; with a verify job, its proposals too. All but the last emitted
token of a sequence must be computed before another can be emitted. Rules: docs/invariants.md.
"""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import FAULTY
from dsd_plan.replay.layout import (
    AWAY,
    DISTRIBUTED,
    KV_LOST,
    NONE,
    OUT,
    REFILLED,
    REPLICA,
    RUNS,
    SEAT,
    SESSION,
    STREAM,
    TALK,
    TARGET,
    TARGET_ONLY,
    TRAVEL,
    WAITS,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.ranking import priority_of


@compiled
def arrives(world: World, r: int) -> None:
    """A prompt joins the end of those that wait; or a session whose KV was lost, to compute all of it again."""
    session = row(world.sessions, SESSION, r)
    replica = row(world.replicas, REPLICA, session.replica)
    seat = row(world.seats, SEAT, r)
    seat.computed = seat.held = seat.proposals = seat.takes = seat.plan_takes = seat.emits = 0
    seat.job = 1
    if FAULTY and world.faulty == 1 and row(world.travels, TRAVEL, r).again == KV_LOST:
        row(world.travels, TRAVEL, r).again = 0
        session.fate |= REFILLED
        seat.proposals = proposals(world, session)
    else:
        seat.left = 0
    wait_last(world, replica, r)


@compiled
def has_job(world: World, r: int) -> None:
    """The session wants its next tokens: decoded, or verified."""
    session = row(world.sessions, SESSION, r)
    seat = row(world.seats, SEAT, r)
    seat.job = 1
    seat.proposals = proposals(world, session)
    if seat.state == AWAY:
        wait_first(world, row(world.replicas, REPLICA, session.replica), r)


@compiled
def proposals(world: World, session: Row) -> int:
    """Tokens that a round of the session verifies besides the last it has emitted."""
    if session.mode == TARGET_ONLY:
        return 0
    return row(world.streams, STREAM, session.stream).candidates * session.window  # type: ignore[no-any-return]


@compiled
def leaves(world: World, r: int) -> None:
    """The session's last token is produced: its seat and its blocks are free, a step planned for it is not taken."""
    session = row(world.sessions, SESSION, r)
    replica = row(world.replicas, REPLICA, session.replica)
    seat = row(world.seats, SEAT, r)
    leave_chain(world, replica, r)
    if seat.talk != NONE:
        remember(world, replica, session, seat)
    hold(replica, seat, 0)
    if seat.plan_takes > 0:
        drop_plan(world, replica, r)


@compiled
def drop_plan(world: World, replica: Row, r: int) -> None:
    """Take a member out of the planned step."""
    before, at = NONE, int(replica.plan_head)
    while at != r:
        before, at = at, int(row(world.seats, SEAT, at).planned)
    behind = int(row(world.seats, SEAT, r).planned)
    if before == NONE:
        replica.plan_head = behind
    else:
        row(world.seats, SEAT, before).planned = behind
    if behind == NONE:
        replica.plan_tail = before
    replica.plan -= 1
    row(world.seats, SEAT, r).plan_takes = 0


@compiled
def pauses(world: World, replica: Row, r: int) -> None:
    """The session has no job for now, as nobody knew: a step planned for it is not taken, and it does not wait."""
    seat = row(world.seats, SEAT, r)
    if seat.plan_takes > 0:
        drop_plan(world, replica, r)
    if seat.state == WAITS:
        leave_chain(world, replica, r)
        seat.state = AWAY


@compiled
def lets_go(world: World, replica: Row, r: int) -> None:
    """A session that has no job gives up its place and its blocks."""
    session = row(world.sessions, SESSION, r)
    seat = row(world.seats, SEAT, r)
    leave_chain(world, replica, r)
    if seat.held > 0:
        seat.left = seat.held
        seat.left_full = (session.prompt + session.emitted - 1) // row(world.targets, TARGET, replica.target).block
        seat.left_at = replica.given
        hold(replica, seat, 0)


@compiled
def forgets(world: World, replica: Row) -> None:
    """The server fails: nobody runs, waits or is planned for; its blocks are free, and nothing is in them."""
    replica.running_head = replica.running_tail = replica.waiting_head = replica.waiting_tail = NONE
    replica.step_head = replica.plan_head = replica.plan_tail = NONE
    replica.running = replica.plan = 0
    target = row(world.targets, TARGET, replica.target)
    replica.blocks = target.blocks
    replica.taken += target.blocks
    replica.given = replica.taken + target.blocks


@compiled
def loses_seat(world: World, r: int) -> None:
    """The server of a session has failed."""
    seat = row(world.seats, SEAT, r)
    seat.state = OUT
    seat.job = seat.held = seat.computed = seat.takes = seat.plan_takes = seat.emits = seat.left = 0


@compiled
def computes(world: World, r: int) -> bool:
    """The step in flight has ended for a member: its tokens are in the cache. Whether it emits."""
    seat = row(world.seats, SEAT, r)
    if seat.state == RUNS:
        seat.computed += seat.takes
    seat.takes = 0
    if seat.emits == 0:
        return False
    seat.emits = seat.job = 0
    return True


@compiled
def emitted(world: World, r: int, replica: Row) -> None:
    """Rejected proposals leave the cache; their blocks are free unless the planned step needs them."""
    session = row(world.sessions, SESSION, r)
    seat = row(world.seats, SEAT, r)
    if seat.state == RUNS:
        seat.computed = session.prompt + session.emitted - 1
        hold(replica, seat, blocks_of(world, replica, int(seat.computed + seat.plan_takes)))


@compiled
def hold(replica: Row, seat: Row, blocks: int) -> None:
    """Take blocks, or give them back, until the seat holds so many."""
    more = blocks - seat.held
    if more > 0:
        replica.taken += more
    else:
        replica.given -= more
    replica.blocks -= more
    seat.held = blocks


@compiled
def remember(world: World, replica: Row, session: Row, seat: Row) -> None:
    """The session ends: what it leaves in the cache is its conversation's."""
    talk = row(world.talks, TALK, seat.talk)
    talk.replica = session.replica
    talk.tokens = session.prompt + session.emitted
    talk.left = seat.left
    talk.left_full = seat.left_full
    talk.left_at = seat.left_at
    if seat.state == RUNS or seat.held > 0:
        talk.left = seat.held
        talk.left_full = (talk.tokens - 1) // row(world.targets, TARGET, replica.target).block
        talk.left_at = replica.given


@compiled
def earlier_turns(world: World, replica: Row, session: Row, seat: Row) -> int:
    """Tokens of the prompt that the conversation's last turn left in the cache; it is looked for once."""
    if seat.talk == NONE:
        return 0
    talk = row(world.talks, TALK, seat.talk)
    there = talk.replica == session.replica and talk.tokens < session.prompt
    talk.replica = NONE
    remaining = talk.left - max(replica.taken - talk.left_at, 0)
    blocks = min(remaining, talk.left_full)
    if not there or blocks <= 0:
        return 0
    return blocks * row(world.targets, TARGET, replica.target).block  # type: ignore[no-any-return]


@compiled
def still_cached(world: World, replica: Row, seat: Row, whole: int) -> int:
    """Tokens of a preempted sequence whose blocks nobody has taken since: it gave them back last block first."""
    remaining = seat.left - max(replica.taken - seat.left_at, 0)
    seat.left = 0
    block = row(world.targets, TARGET, replica.target).block
    blocks = min(remaining, seat.left_full, (whole - 1) // block)
    if blocks <= 0:
        return 0
    return blocks * block  # type: ignore[no-any-return]


@compiled
def blocks_of(world: World, replica: Row, tokens: int) -> int:
    """Blocks that so many tokens fill."""
    block = row(world.targets, TARGET, replica.target).block
    return (tokens + block - 1) // block  # type: ignore[no-any-return]


@compiled
def wanted(world: World, r: int) -> int:
    """Tokens that the session would take in the step after the one in flight; 0 for none."""
    session = row(world.sessions, SESSION, r)
    seat = row(world.seats, SEAT, r)
    if seat.emits == 1:
        # It will have emitted one token at least.
        if session.mode >= DISTRIBUTED or session.emitted + 1 >= session.output:
            return 0
        return 1 + proposals(world, session)
    if seat.job == 0:
        return 0
    return sequence(session, seat) - seat.computed - seat.takes  # type: ignore[no-any-return]


@compiled
def sequence(session: Row, seat: Row) -> int:
    """Tokens of the session's sequence, with those to verify."""
    return session.prompt + session.emitted + seat.proposals  # type: ignore[no-any-return]


@compiled
def preempt_newest(world: World, replica: Row) -> None:
    """The one admitted last, of the lowest priority, gives its blocks back, and waits to compute its sequence again."""
    r = int(replica.running_tail)
    seat = row(world.seats, SEAT, r)
    leave_chain(world, replica, r)
    seat.left = seat.held
    seat.left_full = (seat.computed + seat.takes) // row(world.targets, TARGET, replica.target).block
    seat.left_at = replica.given
    hold(replica, seat, 0)
    seat.computed = 0
    replica.preempted += 1
    session = row(world.sessions, SESSION, r)
    if seat.job == 0 or (seat.emits == 1 and session.mode >= DISTRIBUTED):
        seat.state = AWAY
    else:
        wait_first(world, replica, r)


@compiled
def wait_last(world: World, replica: Row, r: int) -> None:
    """Join the end of those that wait, of its equals in priority there."""
    before = int(replica.waiting_tail)
    while before != NONE and priority_of(world, before) < priority_of(world, r):
        before = int(row(world.seats, SEAT, before).previous)
    wait_behind(world, replica, r, before)


@compiled
def wait_first(world: World, replica: Row, r: int) -> None:
    """Come before all that wait, of its equals in priority and lower ones."""
    before, behind = NONE, int(replica.waiting_head)
    while behind != NONE and priority_of(world, behind) > priority_of(world, r):
        before = behind
        behind = int(row(world.seats, SEAT, behind).next)
    wait_behind(world, replica, r, before)


@compiled
def wait_behind(world: World, replica: Row, r: int, before: int) -> None:
    """Wait right behind another; first where that is NONE."""
    seat = row(world.seats, SEAT, r)
    seat.state = WAITS
    behind = int(replica.waiting_head if before == NONE else row(world.seats, SEAT, before).next)
    link(world, r, before, behind)
    if before == NONE:
        replica.waiting_head = r
    if behind == NONE:
        replica.waiting_tail = r


@compiled
def run_last(world: World, replica: Row, r: int) -> None:
    """Join the end of those that run, of its equals in priority there."""
    before, behind = int(replica.running_tail), NONE
    while before != NONE and priority_of(world, before) < priority_of(world, r):
        behind = before
        before = int(row(world.seats, SEAT, before).previous)
    row(world.seats, SEAT, r).state = RUNS
    link(world, r, before, behind)
    if before == NONE:
        replica.running_head = r
    if behind == NONE:
        replica.running_tail = r
    replica.running += 1


@compiled
def link(world: World, r: int, before: int, behind: int) -> None:
    """Put a seat between two neighbours of a chain, or at its end where one is NONE."""
    seat = row(world.seats, SEAT, r)
    seat.previous = before
    seat.next = behind
    if before != NONE:
        row(world.seats, SEAT, before).next = r
    if behind != NONE:
        row(world.seats, SEAT, behind).previous = r


@compiled
def leave_chain(world: World, replica: Row, r: int) -> None:
    """Leave the chain of those that run, or wait."""
    seat = row(world.seats, SEAT, r)
    if seat.state == RUNS:
        replica.running -= 1
        if seat.previous == NONE:
            replica.running_head = seat.next
        if seat.next == NONE:
            replica.running_tail = seat.previous
    elif seat.state == WAITS:
        if seat.previous == NONE:
            replica.waiting_head = seat.next
        if seat.next == NONE:
            replica.waiting_tail = seat.previous
    else:
        return
    if seat.previous != NONE:
        row(world.seats, SEAT, seat.previous).next = seat.next
    if seat.next != NONE:
        row(world.seats, SEAT, seat.next).previous = seat.previous
    seat.state = OUT
