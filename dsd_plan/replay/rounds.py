"""The target's side of a round: what an iteration emits, and what follows for each session."""

from __future__ import annotations

from math import log, nan

from dsd_plan.replay.acceptance import accept
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    DEVICE,
    DISTRIBUTED,
    FUSED,
    GROUP,
    NONE,
    REPLICA,
    ROUND,
    SESSION,
    SLOT,
    STREAM,
    TARGET_ONLY,
    USER_REQUEST,
    VERDICT_ARRIVES,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.messages import delay_ms
from dsd_plan.replay.random_numbers import DOWN_JITTER, THINK, uniform
from dsd_plan.replay.replica import join, release, wake


@compiled
def iteration_ends(world: World, i: int) -> None:
    """Every member emits, in the order of the queue; those that go on at once join it again."""
    replica = row(world.replicas, REPLICA, i)
    replica.stepping = 0
    r = replica.batch_head
    for _ in range(replica.batch):
        behind = int(row(world.sessions, SESSION, r).next)
        emit(world, r, replica)
        r = behind
    if replica.queued > 0:
        wake(world, i)


@compiled
def emit(world: World, r: int, replica: Row) -> None:
    """The target has produced the session's next tokens: send them down, and see to what follows."""
    session = row(world.sessions, SESSION, r)
    stream = row(world.streams, STREAM, session.stream)
    prefilled = session.emitted == 0
    tokens = 1
    payload = stream.first_down
    if not prefilled:
        session.rounds += 1
        payload = stream.round_down
        if session.mode != TARGET_ONLY:
            tokens = min(accept(world, stream, session) + 1, session.output - session.emitted)
            if session.mode == FUSED:
                payload *= tokens
    turn = int(session.rounds)
    down_ms = delay_ms(world, stream.down, stream.down_end, payload, session.key, turn, DOWN_JITTER)
    session.emitted += tokens
    if world.keep_rounds == 1:
        keep_round(world, session, replica, prefilled)

    arrival_ms = world.now_ms + down_ms
    gap_ms = nan
    if prefilled:
        session.first_ms = arrival_ms
    else:
        keep_times(session, replica, down_ms)
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

    if session.emitted == session.output:
        finish(world, r, session)
    elif session.mode == DISTRIBUTED:
        push(world, arrival_ms, VERDICT_ARRIVES, r)
    else:
        join(world, r)


@compiled
def keep_times(session: Row, replica: Row, down_ms: float) -> None:
    """Where this round's time went. A stream pays no way down a round: it is one offset of all its tokens."""
    session.iteration_ms = replica.batch_draft_ms + replica.batch_step_ms
    session.batch = replica.batch
    session.sum_wait_ms += session.wait_ms
    if session.mode == FUSED:
        session.sum_draft_ms += replica.batch_draft_ms
        session.sum_verify_ms += replica.batch_step_ms
    else:
        session.sum_verify_ms += session.iteration_ms
    if session.mode == DISTRIBUTED:
        session.network_ms += down_ms
        session.sum_down_ms += down_ms


@compiled
def keep_round(world: World, session: Row, replica: Row, prefilled: bool) -> None:
    """Log how the tokens came about, before the session forgets when it heard last."""
    kept = row(world.rounds, ROUND, world.logged)
    kept.session = session.number
    kept.round = session.rounds
    kept.replica = session.replica
    kept.device = session.device
    kept.batch = replica.batch
    kept.joined_ms = session.joined_ms
    kept.ended_ms = world.now_ms
    kept.drafted_ms = world.now_ms - replica.batch_step_ms
    kept.began_ms = kept.drafted_ms - replica.batch_draft_ms
    kept.window = 0
    kept.accepted = 0
    kept.asked_ms = session.started_ms
    kept.sent_ms = session.started_ms
    if not prefilled:
        kept.window = session.window
        kept.accepted = session.last_accepted
        kept.asked_ms = session.last_ms if session.mode == DISTRIBUTED else session.joined_ms
        kept.sent_ms = session.joined_ms - (session.network_ms if session.mode == DISTRIBUTED else 0.0)


@compiled
def finish(world: World, r: int, session: Row) -> None:
    """The target has produced the last token: free what the session held; its user reads, thinks and asks again."""
    session.done = 1
    if world.watched <= session.number < world.watched_end:
        world.unfinished -= 1
    row(world.ended, SLOT, world.endings).slot = r
    world.endings += 1
    if session.device != NONE:
        row(world.devices, DEVICE, session.device).live -= 1
    if session.user != NONE:
        think_ms = -log(uniform(session.key, 0, THINK)) * row(world.streams, STREAM, session.stream).think_ms
        push(world, session.last_ms + think_ms, USER_REQUEST, int(session.user))
    release(world, session)
