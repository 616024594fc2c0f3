"""The target's side under faults: sessions that are cut off, replicas that fail, memory that is let go."""

from __future__ import annotations

from dsd_plan.replay.bills import comes_to_replica, goes_from_replica
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.draft_faults import any_away, device_fails
from dsd_plan.replay.engine_like import forgets, lets_go, loses_seat, pauses
from dsd_plan.replay.features import BILLED, DRAFTS_QUEUE, ENGINE
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    DETOUR,
    DEVICE_FAILS,
    DISTRIBUTED,
    FATE_BITS,
    HAPPENING,
    HOLD_ENDS,
    KV_LOST,
    MOVED,
    NONE,
    REPLICA,
    REPLICA_FAILS,
    RESUMES,
    SEAT,
    SESSION,
    STALLED,
    STREAM,
    TARGET,
    TARGET_ONLY,
    TRAVEL,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.replica import admit, join, prompt_arrives, wake
from dsd_plan.replay.spells import detour_at


@compiled
def draft_again(world: World, r: int, session: Row, stream: Row, last: bool) -> None:
    """A session that went on without its draft goes back to it, once both its device and its route are there."""
    if stream.mode < DISTRIBUTED or session.mode != TARGET_ONLY:
        return
    session.fate += 1 << FATE_BITS
    if not last and detour_at(world, stream, world.now_ms) == NONE and not any_away(world, r, session, stream):
        session.mode = stream.mode
        session.window = stream.window
        stops(world, r, session)


@compiled
def stops(world: World, r: int, session: Row) -> None:
    """The session has no job at the target for now, though an engine may have planned for one."""
    replica = row(world.replicas, REPLICA, session.replica)
    if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
        pauses(world, replica, r)


@compiled
def go_on(world: World, r: int, session: Row, stream: Row) -> None:
    """After tokens have been sent: streams go on, unless they are cut off; then they stall."""
    d = detour_at(world, stream, world.now_ms)
    if d != NONE and row(world.detours, DETOUR, d).open == 0:
        detour = row(world.detours, DETOUR, d)
        if session.mode < DISTRIBUTED:
            stops(world, r, session)
        if world.now_ms >= detour.hold_ms:
            let_go(world, r, row(world.replicas, REPLICA, session.replica), session)
            freed(world, int(session.replica))
        if session.mode < DISTRIBUTED:
            session.fate |= STALLED
            push(world, detour.until_ms, RESUMES, r)
    elif session.mode < DISTRIBUTED:
        join(world, r)


@compiled
def resumes(world: World, r: int) -> None:
    """A stalled session goes on, unless the next cut is there at once."""
    d = detour_at(world, row(world.streams, STREAM, row(world.sessions, SESSION, r).stream), world.now_ms)
    if d != NONE and row(world.detours, DETOUR, d).open == 0:
        push(world, row(world.detours, DETOUR, d).until_ms, RESUMES, r)
    else:
        returns(world, r)


@compiled
def returns(world: World, r: int) -> None:
    """A session that was away has a job; it waits for memory first if it has none there any more."""
    if row(world.travels, TRAVEL, r).again == KV_LOST:
        prompt_arrives(world, r)
    else:
        join(world, r)


@compiled
def let_go(world: World, r: int, replica: Row, session: Row) -> None:
    """The replica holds nothing for a session any more."""
    travel = row(world.travels, TRAVEL, r)
    if travel.again == 0:
        travel.again = KV_LOST
        if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
            lets_go(world, replica, r)
        else:
            replica.kv_tokens -= session.prompt + session.output


@compiled
def freed(world: World, i: int) -> None:
    """A replica has memory to give."""
    replica = row(world.replicas, REPLICA, i)
    if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
        if replica.stepping == 0:
            wake(world, i)
    else:
        admit(world, replica)


@compiled
def happens(world: World, index: int) -> None:
    """What a fault does at its instant."""
    happening = row(world.happenings, HAPPENING, index)
    if happening.kind == HOLD_ENDS:
        hold_ends(world, int(happening.index))
    elif happening.kind == REPLICA_FAILS:
        replica_fails(world, int(happening.index))
    elif happening.kind == DEVICE_FAILS:
        if DRAFTS_QUEUE:
            device_fails(world, int(happening.index))
    else:
        stands_again(world, int(happening.index))


@compiled
def stands_again(world: World, i: int) -> None:
    """Sessions that waited for the replica go in; those that do not fit wait for memory from now on."""
    replica = row(world.replicas, REPLICA, i)
    replica.down = 0
    freed(world, i)
    r = replica.memory_head
    while r != NONE:
        replica.memory_waits += 1
        r = row(world.sessions, SESSION, r).next


@compiled
def on_target(session: Row) -> bool:
    """Whether the target still has tokens to produce for a session."""
    return session.done == 0 and session.emitted < session.output  # type: ignore[no-any-return]


@compiled
def mark_present(world: World, first: int, end: int) -> None:
    """Mark the sessions that stand in a queue or an iteration of these replicas, and no others."""
    for r in range(world.fresh):
        row(world.travels, TRAVEL, r).here = 0
    for i in range(first, end):
        replica = row(world.replicas, REPLICA, i)
        if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
            mark_seats(world, replica)
            continue
        if replica.stepping == 1:
            mark_chain(world, int(replica.batch_head), int(replica.batch))
        mark_chain(world, int(replica.head), int(replica.queued))
        r = replica.memory_head
        while r != NONE:
            row(world.travels, TRAVEL, r).here = 1
            r = row(world.sessions, SESSION, r).next


@compiled
def mark_chain(world: World, r: int, count: int) -> None:
    """Mark so many sessions of a chain."""
    for _ in range(count):
        row(world.travels, TRAVEL, r).here = 1
        r = int(row(world.sessions, SESSION, r).next)


@compiled
def mark_seats(world: World, replica: Row) -> None:
    """Mark those that have a job at an engine-like server: in the step, preempted since perhaps, running or waiting."""
    if replica.stepping == 1:
        r = replica.step_head
        while r != NONE:
            row(world.travels, TRAVEL, r).here = row(world.seats, SEAT, r).job
            r = row(world.seats, SEAT, r).member
    for first in (replica.running_head, replica.waiting_head):
        r = first
        while r != NONE:
            row(world.travels, TRAVEL, r).here = row(world.seats, SEAT, r).job
            r = row(world.seats, SEAT, r).next


@compiled
def hold_ends(world: World, s: int) -> None:
    """A stream has been cut off too long: its sessions that are not at the target lose their KV there."""
    pool = row(world.targets, TARGET, row(world.streams, STREAM, s).target)
    mark_present(world, pool.first, pool.first + pool.count)
    for r in range(world.fresh):
        session = row(world.sessions, SESSION, r)
        gone = row(world.travels, TRAVEL, r).here == 0
        if gone and session.stream == s and session.emitted > 0 and on_target(session):
            let_go(world, r, row(world.replicas, REPLICA, session.replica), session)
    for i in range(pool.first, pool.first + pool.count):
        freed(world, i)


@compiled
def replica_fails(world: World, i: int) -> None:
    """Its sessions move, in the order in which they began, to the replica with the fewest, or wait for it."""
    replica = row(world.replicas, REPLICA, i)
    mark_present(world, i, i + 1)
    replica.down = 1
    replica.stepping = 0
    replica.unfinished = NONE
    replica.queued = 0
    replica.memory_head = NONE
    replica.kv_tokens = 0
    engine = ENGINE and row(world.targets, TARGET, replica.target).engine == 1
    if engine:
        forgets(world, replica)
    r = next_of(world, i, -1)
    while r != NONE:
        session = row(world.sessions, SESSION, r)
        if engine:
            loses_seat(world, r)
        to = fewest(world, row(world.targets, TARGET, replica.target), i)
        if to != i:
            if BILLED and world.keep_bills == 1:
                goes_from_replica(world, r, i)
                comes_to_replica(world, r, to)
            replica.live -= 1
            row(world.replicas, REPLICA, to).live += 1
            session.replica = to
            session.fate |= MOVED
        if session.emitted > 0:
            row(world.travels, TRAVEL, r).again = KV_LOST
        if row(world.travels, TRAVEL, r).here == 1:
            prompt_arrives(world, r)
        r = next_of(world, i, int(session.number))


@compiled
def next_of(world: World, i: int, number: int) -> int:
    """The session of replica i that began first after session `number`; NONE after the last."""
    found = NONE
    for r in range(world.fresh):
        session = row(world.sessions, SESSION, r)
        later = session.replica == i and session.number > number and on_target(session)
        if later and (found == NONE or session.number < row(world.sessions, SESSION, found).number):
            found = r
    return found


@compiled
def fewest(world: World, pool: Row, i: int) -> int:
    """The replica of a pool that stands and has the fewest live sessions; i if none stands."""
    best = i
    for other in range(pool.first, pool.first + pool.count):
        candidate = row(world.replicas, REPLICA, other)
        if candidate.down == 0 and (best == i or candidate.live < row(world.replicas, REPLICA, best).live):
            best = other
    return best


@compiled
def standing_replica(world: World, pool: Row, i: int) -> int:
    """The replica itself, or the next of its pool that stands; the replica itself if none does."""
    for step in range(pool.count):
        other = pool.first + (i - pool.first + step) % pool.count
        if row(world.replicas, REPLICA, other).down == 0:
            return other  # type: ignore[no-any-return]
    return i
