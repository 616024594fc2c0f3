"""Ways on which time matters: thin links that serve one message after the other, round trips from a trace.

A link of limited bandwidth is one first-come-first-served server a direction and a copy of its site. What a
message finds there is known only when it comes, so its way is walked in stages: arithmetic up to the next thin
link, an event there.
"""

from __future__ import annotations

from math import floor

import numpy as np

from dsd_plan.domain.network import serialisation_ms
from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import TIMED
from dsd_plan.replay.heap import push
from dsd_plan.replay.layout import (
    DETOUR,
    DETOURED,
    DISTRIBUTED,
    DOWN_REACHES,
    DRAFT,
    FLIGHT,
    HOP,
    JOB_ARRIVES,
    LANE,
    NONE,
    REACHED,
    ROUND_TRIP,
    SESSION,
    STALLED,
    STREAM,
    TRAVEL,
    UP_REACHES,
    Row,
    World,
)
from dsd_plan.replay.memory import row
from dsd_plan.replay.messages import delay_ms, hop_ms
from dsd_plan.replay.random_numbers import DOWN_JITTER, FIRST_HOP, LANES, SITE_COPY, UP_JITTER, uniform
from dsd_plan.replay.spells import detour_at, factor_at, past

compiled(serialisation_ms)


@compiled
def place(world: World, r: int, session: Row, stream: Row) -> None:
    """Which copy of its site a new session belongs to: its draft device's, else one by chance."""
    copy = 0
    if stream.copies > 1:
        if session.mode >= DISTRIBUTED:
            copy = (session.device - row(world.drafts, DRAFT, stream.draft).first) // stream.per_copy
        else:
            copy = int(uniform(session.key, 0, SITE_COPY) * stream.copies)
    row(world.travels, TRAVEL, r).copy = copy


@compiled
def walk(
    world: World,
    way: tuple[int, int, int],
    at_ms: float,
    waits: bool,
    payload: float,
    key: np.uint64,
    turn: int,
    lane: int,
    copy: int,
) -> tuple[int, float]:
    """From hop h of a way (its first, its end, h) on: (the thin link that it reaches next, or the end; when).

    `waits`: a message that is not there yet stops at hop h itself, if that is thin.
    """
    first, end, h = way
    while h < end:
        hop = row(world.hops, HOP, h)
        if hop.lane != NONE:
            if waits:
                return h, at_ms
            server = row(world.lanes, LANE, hop.lane + copy % hop.copies)
            sends_ms = serialisation_ms(payload, hop.mbps)
            at_ms = past(world, hop.cut, hop.cut_end, max(at_ms, server.free_ms)) + sends_ms
            server.free_ms = at_ms
            server.busy_ms += sends_ms
            server.bytes += payload
        elif hop.cut < hop.cut_end:
            at_ms = past(world, hop.cut, hop.cut_end, at_ms)
        waits = True
        # A trace takes the place of mean and jitter: its hop's mean is 0.
        way_ms = hop_ms(hop, key, turn, FIRST_HOP + LANES * (h - first) + lane)
        if hop.trace != NONE:
            way_ms += round_trip_ms(world, hop, at_ms) / 2.0
        if hop.slow < hop.slow_end:
            way_ms *= factor_at(world, hop.slow, hop.slow_end, at_ms)
        at_ms += way_ms
        h += 1
    return h, at_ms


@compiled
def round_trip_ms(world: World, hop: Row, at_ms: float) -> float:
    """The trace's value in force: its last row at or before `at_ms`, the trace repeated for ever."""
    within_ms = at_ms
    if hop.trace_ms > 0.0:
        within_ms = at_ms - floor(at_ms / hop.trace_ms) * hop.trace_ms
    low, high = hop.trace, hop.trace_end
    while high - low > 1:
        middle = (low + high) >> 1
        if row(world.round_trips, ROUND_TRIP, middle).at_ms <= within_ms:
            low = middle
        else:
            high = middle
    return row(world.round_trips, ROUND_TRIP, low).rtt_ms  # type: ignore[no-any-return]


@compiled
def send_up(world: World, r: int, leaves_ms: float, payload: float, turn: int, kind: int) -> None:
    """A session's message leaves its site (now or later); an event of `kind` tells of its arrival."""
    session = row(world.sessions, SESSION, r)
    stream = row(world.streams, STREAM, session.stream)
    if not TIMED or stream.timed == 0:
        up_ms = delay_ms(world, stream.up, stream.up_end, session.key, turn, UP_JITTER)
        came_up(session, kind, up_ms)
        push(world, leaves_ms + up_ms, kind, r)
        return
    travel = row(world.travels, TRAVEL, r)
    first, end = chosen_way(world, session, stream, leaves_ms, True)
    travel.first = first
    travel.end = end
    travel.hop = first
    travel.kind = kind
    travel.turn = turn
    travel.payload = payload
    travel.sent_ms = leaves_ms
    go_up(world, r, leaves_ms, leaves_ms > world.now_ms)


@compiled
def chosen_way(world: World, session: Row, stream: Row, at_ms: float, up: bool) -> tuple[int, int]:
    """Hops (first, end) that a message takes which sets out at an instant: round a cut link, where there is a way."""
    d = detour_at(world, stream, at_ms)
    if d != NONE:
        detour = row(world.detours, DETOUR, d)
        if detour.open == 1:
            session.fate |= DETOURED
            return (detour.up, detour.up_end) if up else (detour.down, detour.down_end)
        session.fate |= STALLED
    return (stream.up, stream.up_end) if up else (stream.down, stream.down_end)


@compiled
def go_up(world: World, r: int, at_ms: float, waits: bool) -> None:
    """The next stage of a session's message up."""
    session = row(world.sessions, SESSION, r)
    travel = row(world.travels, TRAVEL, r)
    way = (travel.first, travel.end, travel.hop)
    hop, at_ms = walk(
        world, way, at_ms, waits, travel.payload, session.key, int(travel.turn), UP_JITTER, int(travel.copy)
    )
    travel.hop = hop
    if hop < travel.end:
        push(world, at_ms, UP_REACHES, r)
    else:
        came_up(session, int(travel.kind), at_ms - travel.sent_ms)
        push(world, at_ms, int(travel.kind), r)


@compiled
def came_up(session: Row, kind: int, up_ms: float) -> None:
    """Account for a window's way up."""
    if kind == JOB_ARRIVES:
        session.network_ms = up_ms
        session.sum_up_ms += up_ms


@compiled
def take_flight(world: World) -> int:
    """A row for a message on its way down. There is one (see `kernel.advance`)."""
    world.flying += 1
    if world.free_flight != NONE:
        f = world.free_flight
        world.free_flight = row(world.flights, FLIGHT, f).next
        return f  # type: ignore[no-any-return]
    world.fresh_flight += 1
    return world.fresh_flight - 1  # type: ignore[no-any-return]


@compiled
def leave_flight(world: World, f: int) -> None:
    """The message has passed its last thin link."""
    world.flying -= 1
    row(world.flights, FLIGHT, f).next = world.free_flight
    world.free_flight = f


@compiled
def go_down(world: World, r: int, way: tuple[int, int, int], payload: float, turn: int) -> tuple[int, float]:
    """The next stage of a message to a session, which is at the last hop of `way` now: as `walk` says."""
    session = row(world.sessions, SESSION, r)
    copy = int(row(world.travels, TRAVEL, r).copy)
    first, end, _ = way
    hop, at_ms = walk(world, way, world.now_ms, False, payload, session.key, turn, DOWN_JITTER, copy)
    if hop < end:
        before = row(world.reached, REACHED, r * world.stages + (hop - first))
        at_ms = max(at_ms, before.at_ms)
        before.at_ms = at_ms
    return hop, at_ms


@compiled
def await_hop(world: World, f: int, hop: int, at_ms: float) -> None:
    """The message of a flight reaches a thin link at `at_ms`."""
    row(world.flights, FLIGHT, f).hop = hop
    push(world, at_ms, DOWN_REACHES, f)
