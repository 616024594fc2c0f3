"""The target's side of a round: what an iteration emits, and what follows for each session."""

from __future__ import annotations

from math import log, nan

from dsd_plan.control.policy import STATIC
from dsd_plan.replay.acceptance import accept
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.drafting import drop_ahead, untie
from dsd_plan.replay.engine_like import computes, emitted
from dsd_plan.replay.faults import draft_again, go_on
from dsd_plan.replay.features import CHUNKED, ENGINE, FAULTY, ROUTED, TIMED
from dsd_plan.replay.foresight import verdict_sent
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    DISTRIBUTED,
    FLIGHT,
    FUSED,
    GROUP,
    NONE,
    REPLICA,
    ROUND,
    SEAT,
    SESSION,
    SLOT,
    STREAM,
    TARGET,
    TARGET_ONLY,
    TRAVEL,
    USER_REQUEST,
    Row,
    World,
)
from dsd_plan.replay.links import await_hop, chosen_way, go_down, leave_flight, take_flight
from dsd_plan.replay.memory import row
from dsd_plan.replay.messages import delay_ms
from dsd_plan.replay.random_numbers import DOWN_JITTER, THINK, uniform
from dsd_plan.replay.replica import join, release, wake
from dsd_plan.replay.routing import learn
from dsd_plan.replay.token_budget import chunk_ends, refills
from dsd_plan.replay.windows import next_window


@compiled
def iteration_ends(world: World, i: int) -> None:
    """Every member emits, in the order of the queue; those that go on at once join it again."""
    replica = row(world.replicas, REPLICA, i)
    if FAULTY and replica.lost == 1:
        replica.lost = 0
        return
    replica.stepping = 0
    if ENGINE and row(world.targets, TARGET, replica.target).engine == 1:
        step_ends(world, i, replica)
        return
    r = replica.batch_head
    members = replica.batch
    if CHUNKED and replica.unfinished != NONE:
        members -= 1  # the last one
    for _ in range(members):
        behind = int(row(world.sessions, SESSION, r).next)
        emit(world, r, replica)
        r = behind
    if CHUNKED and replica.unfinished != NONE:
        chunk_ends(world, replica)
    if replica.queued > 0:
        wake(world, i)


@compiled
def step_ends(world: World, i: int, replica: Row) -> None:
    """Members of an engine-like server's step that have computed what they wanted emit, in the order of the plan."""
    r = replica.step_head
    while r != NONE:
        seat = row(world.seats, SEAT, r)
        behind = int(seat.member)
        if computes(world, r):
            emit(world, r, replica)
            emitted(world, r, replica)
        r = behind
    replica.step_head = NONE
    wake(world, i)


@compiled
def emit(world: World, r: int, replica: Row) -> None:
    """The target has produced the session's next tokens: send them down, and see to what follows."""
    session = row(world.sessions, SESSION, r)
    faulty = world.faulty == 1
    if FAULTY and faulty and refills(world, r):
        row(world.travels, TRAVEL, r).again = 0
        join(world, r)
        return
    stream = row(world.streams, STREAM, session.stream)
    prefilled = session.emitted == 0
    tokens = 1
    payload = stream.first_down
    if not prefilled:
        session.rounds += 1
        if session.mode != TARGET_ONLY:
            payload = stream.round_down
            tokens = min(accept(world, stream, r, session) + 1, session.output - session.emitted)
            if session.mode == FUSED:
                payload *= tokens
            elif stream.rejected_down > payload and session.last_accepted < session.last_proposed:
                payload = stream.rejected_down
                session.rejected += 1
        elif FAULTY and faulty:  # a round without proposals, which tells a policy nothing
            session.last_accepted = session.last_proposed = 0
    turn = int(session.rounds)
    session.emitted += tokens
    last = session.emitted == session.output
    if not prefilled:
        keep_times(session, replica)
        if ROUTED and replica.learns == 1:
            learn(replica, world.now_ms - session.joined_ms)
    drafted = session.mode >= DISTRIBUTED
    window = int(session.window)
    if FAULTY and faulty:
        draft_again(world, r, session, stream, last)
    if not TIMED or stream.timed == 0:
        if world.keep_rounds == 1:
            keep_round(
                row(world.rounds, ROUND, world.logged), world.now_ms, session, replica, prefilled, drafted, window
            )
        down_ms = delay_ms(world, stream.down, stream.down_end, session.key, turn, DOWN_JITTER)
        deliver(world, r, tokens, turn, last, session.mode >= DISTRIBUTED, world.now_ms + down_ms, down_ms)
    else:
        send_down(world, r, replica, payload, turn, tokens, last, drafted, window)
    if last:
        end_service(world, r, session)
    else:
        if stream.mode < DISTRIBUTED and stream.policy != STATIC:
            session.window = next_window(world, stream, r, session)
        if FAULTY and faulty:
            go_on(world, r, session, stream)
        elif session.mode < DISTRIBUTED:
            join(world, r)


@compiled
def send_down(
    world: World, r: int, replica: Row, payload: float, turn: int, tokens: int, last: bool, drafted: bool, window: int
) -> None:
    """Tokens leave the target on a way on which time matters; the draft may have proposed a window of them."""
    session = row(world.sessions, SESSION, r)
    stream = row(world.streams, STREAM, session.stream)
    first, end = chosen_way(world, session, stream, world.now_ms, False)
    hop, at_ms = go_down(world, r, (first, end, first), payload, turn)
    kept = row(world.rounds, ROUND, world.logged)
    crosses = session.mode >= DISTRIBUTED
    if hop < end:
        f = take_flight(world)
        flight = row(world.flights, FLIGHT, f)
        flight.session = r
        flight.first = first
        flight.end = end
        flight.turn = turn
        flight.tokens = tokens
        flight.last = last
        flight.crosses = crosses
        flight.payload = payload
        flight.sent_ms = world.now_ms
        kept = row(world.flight_rounds, ROUND, f)
        await_hop(world, f, hop, at_ms)
    if world.keep_rounds == 1:
        keep_round(kept, world.now_ms, session, replica, turn == 0, drafted, window)
        if turn > 0 and drafted:  # since it came it may have waited for its replica, and for its KV
            kept.sent_ms = row(world.travels, TRAVEL, r).sent_ms
    if hop == end:
        deliver(world, r, tokens, turn, last, crosses, at_ms, at_ms - world.now_ms)


@compiled
def down_reaches(world: World, f: int) -> None:
    """A message on its way down has come to a thin link."""
    flight = row(world.flights, FLIGHT, f)
    r = int(flight.session)
    way = (flight.first, flight.end, flight.hop)
    hop, at_ms = go_down(world, r, way, flight.payload, int(flight.turn))
    if hop < flight.end:
        await_hop(world, f, hop, at_ms)
        return
    if world.keep_rounds == 1:
        copy_round(row(world.flight_rounds, ROUND, f), row(world.rounds, ROUND, world.logged))
    leave_flight(world, f)
    last, crosses = flight.last == 1, flight.crosses == 1
    deliver(world, r, int(flight.tokens), int(flight.turn), last, crosses, at_ms, at_ms - flight.sent_ms)


@compiled
def deliver(
    world: World, r: int, tokens: int, turn: int, last: bool, crosses: bool, arrival_ms: float, down_ms: float
) -> None:
    """When tokens arrive is known: log them, and see to what follows there; `crosses`: they answer a draft."""
    session = row(world.sessions, SESSION, r)
    gap_ms = nan
    if turn == 0:
        session.first_ms = arrival_ms
    else:
        if crosses:
            session.network_ms += down_ms
            session.sum_down_ms += down_ms
        # A stream stays in order; a verdict is answered before the next can follow.
        arrival_ms = max(arrival_ms, session.last_ms)
        gap_ms = arrival_ms - session.last_ms
    session.last_ms = arrival_ms
    group = row(world.groups, GROUP, world.logged)
    world.logged += 1
    group.session = session.number
    group.tokens = tokens
    group.arrival_ms = arrival_ms
    group.gap_ms = gap_ms
    if last:
        finish(world, r, session)
    elif crosses:
        verdict_sent(world, r, session, row(world.streams, STREAM, session.stream))


@compiled
def keep_times(session: Row, replica: Row) -> None:
    """Where this round's time went. A stream pays no way down a round: it is one offset of all its tokens."""
    session.iteration_ms = replica.batch_draft_ms + replica.batch_step_ms
    session.batch = replica.batch
    session.sum_wait_ms += session.wait_ms
    if session.mode == FUSED:
        session.sum_draft_ms += replica.batch_draft_ms
        session.sum_verify_ms += replica.batch_step_ms
    else:
        session.sum_verify_ms += session.iteration_ms


@compiled
def keep_round(
    kept: Row, now_ms: float, session: Row, replica: Row, prefilled: bool, drafted: bool, window: int
) -> None:
    """Note how the tokens came about, before the session forgets when it heard last."""
    kept.session = session.number
    kept.round = session.rounds
    kept.replica = session.replica
    kept.device = session.device
    kept.batch = replica.batch
    kept.joined_ms = session.joined_ms
    kept.ended_ms = now_ms
    kept.drafted_ms = now_ms - replica.batch_step_ms
    kept.began_ms = kept.drafted_ms - replica.batch_draft_ms
    kept.window = 0
    kept.accepted = 0
    kept.asked_ms = session.started_ms
    kept.sent_ms = session.started_ms
    if not prefilled:
        kept.window = window
        kept.accepted = session.last_accepted
        kept.asked_ms = session.last_ms if drafted else session.joined_ms
        kept.sent_ms = session.joined_ms - (session.network_ms if drafted else 0.0)


@compiled
def copy_round(a: Row, b: Row) -> None:
    """Copy what made a group of tokens over `b`."""
    b.session = a.session
    b.round = a.round
    b.replica = a.replica
    b.device = a.device
    b.window = a.window
    b.accepted = a.accepted
    b.batch = a.batch
    b.asked_ms = a.asked_ms
    b.sent_ms = a.sent_ms
    b.joined_ms = a.joined_ms
    b.began_ms = a.began_ms
    b.drafted_ms = a.drafted_ms
    b.ended_ms = a.ended_ms


@compiled
def end_service(world: World, r: int, session: Row) -> None:
    """The target has produced the last token: free what the session held."""
    if session.device != NONE:
        untie(world, r, session)
    release(world, r, session)


@compiled
def finish(world: World, r: int, session: Row) -> None:
    """When the last token arrives is known: the session has ended; its user reads, thinks and asks again."""
    session.done = 1
    if world.watched <= session.number < world.watched_end:
        world.unfinished -= 1
    row(world.ended, SLOT, world.endings).slot = r
    world.endings += 1
    if session.device != NONE:
        drop_ahead(world, r, session)
    if session.user != NONE:
        think_ms = -log(uniform(session.key, 0, THINK)) * row(world.streams, STREAM, session.stream).think_ms
        push(world, session.last_ms + think_ms, USER_REQUEST, int(session.user))
