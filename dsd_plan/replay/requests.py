"""How requests begin: arrivals, the choice of servers, the prompt's departure."""

from __future__ import annotations

from math import log

from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.replay.acceptance import begin_acceptance
from dsd_plan.replay.bills import comes_to_replica
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.drafting import tie
from dsd_plan.replay.faults import standing_replica
from dsd_plan.replay.features import BILLED, FAULTY, TIMED
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    CLOSED,
    DISTRIBUTED,
    HAPPENING,
    HAPPENS,
    KEY,
    NONE,
    OPEN_REQUEST,
    PROMPT_ARRIVES,
    REPLICA,
    REQUEST,
    SEAT,
    SESSION,
    SLOT,
    STREAM,
    TARGET,
    TRACE,
    TRAVEL,
    USER,
    USER_REQUEST,
    WORK,
    World,
)
from dsd_plan.replay.links import place, send_up
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import (
    GAP,
    USER_BITS,
    request_key,
    uniform,
)
from dsd_plan.replay.routing import chosen_replica
from dsd_plan.replay.windows import begin_policy


@compiled
def begin(world: World) -> None:
    """Schedule the first request of every open stream and of every closed user."""
    world.begun = 1
    for i in range(world.happening_count):
        push(world, row(world.happenings, HAPPENING, i).at_ms, HAPPENS, i)
    for s in range(world.stream_count):
        if row(world.streams, STREAM, s).requests != CLOSED:
            schedule_request(world, s, 0)
    for user in range(world.user_count):
        push(world, row(world.users, USER, user).first_ms, USER_REQUEST, user)


@compiled
def schedule_request(world: World, s: int, number: int) -> None:
    """When request `number` of an open stream comes: by the trace, or an exponential gap after the one before."""
    stream = row(world.streams, STREAM, s)
    if stream.requests == TRACE:
        if number < stream.row_count:
            push(world, row(world.requests, REQUEST, stream.row + number).at_ms, OPEN_REQUEST, s)
    else:
        key = request_key(row(world.keys, KEY, s).key, number)
        push(world, world.now_ms - log(uniform(key, 0, GAP)) * stream.gap_ms, OPEN_REQUEST, s)


@compiled
def open_request(world: World, s: int) -> None:
    """The next request of an open stream, and the schedule of the one after. A full run takes no more of them."""
    if world.started == world.most_sessions:
        world.refused += 1
        return
    stream = row(world.streams, STREAM, s)
    number = row(world.work, WORK, s).requests
    prompt, prefill, output, talk = stream.prompt, stream.prompt, stream.output, NONE
    schedule_request(world, s, number + 1)
    if stream.requests == TRACE:
        recorded = row(world.requests, REQUEST, stream.row + number)
        prompt, prefill, output = recorded.prompt, recorded.prefill, recorded.output
        number, talk = recorded.number, recorded.talk
    start_session(world, s, number, prompt, prefill, output, talk, NONE)


@compiled
def user_request(world: World, user: int) -> None:
    """A closed user asks. A full run takes no more of them."""
    if world.started == world.most_sessions:
        world.refused += 1
        return
    who = row(world.users, USER, user)
    stream = row(world.streams, STREAM, who.stream)
    number = (who.number << USER_BITS) + who.visits
    who.visits += 1
    start_session(world, who.stream, number, stream.prompt, stream.prompt, stream.output, NONE, user)


@compiled
def take_slot(world: World) -> int:
    """A row for a session: one never used, else one that was left last. There is one (see `kernel.advance`)."""
    if world.fresh < world.slots:
        world.fresh += 1
        return world.fresh - 1  # type: ignore[no-any-return]
    world.vacancies -= 1
    return row(world.vacant, SLOT, world.vacancies).slot  # type: ignore[no-any-return]


@compiled
def start_session(
    world: World, s: int, number: int, prompt: int, prefill: int, output: int, talk: int, user: int
) -> None:
    """A request begins at its site: choose its servers, let the draft prefill, send the prompt."""
    r = take_slot(world)
    row(world.work, WORK, s).requests += 1
    stream = row(world.streams, STREAM, s)
    session = row(world.sessions, SESSION, r)
    session.number = world.started
    world.started += 1
    key = request_key(row(world.keys, KEY, s).key, number)
    session.key = key
    session.done = 0
    session.stream = s
    session.mode = stream.mode
    session.user = user
    session.started_ms = world.now_ms
    session.prompt = prompt
    session.prefill = prefill
    session.output = output
    session.window = stream.window
    session.device = NONE
    begin_acceptance(world, stream, r, session)
    begin_policy(world, stream, r)

    session.fate = 0
    pool = row(world.targets, TARGET, stream.target)
    if pool.engine == 1:
        row(world.seats, SEAT, r).talk = talk
    session.replica = chosen_replica(world, pool, stream.routing, key)
    if FAULTY and world.faulty == 1:
        row(world.travels, TRAVEL, r).again = 0
        session.replica = standing_replica(world, pool, int(session.replica))
    if BILLED and world.keep_bills == 1:
        comes_to_replica(world, r, int(session.replica))
    row(world.replicas, REPLICA, session.replica).live += 1
    if stream.mode >= DISTRIBUTED:
        tie(world, r, session, stream)
    if TIMED and stream.timed == 1:
        place(world, r, session, stream)
    send_up(world, r, world.now_ms, float(TOKEN_ID_BYTES * prompt), 0, PROMPT_ARRIVES)
