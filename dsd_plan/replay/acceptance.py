"""How many of a round's proposals the target accepts."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.features import DRAFTS_QUEUE
from dsd_plan.replay.layout import CUMULATIVE, MATCH, NONE, PIPELINED, PLAYED, SPECULATION, START, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import ACCEPT, NEXT_STATE, TRACE_START, uniform


@compiled
def accept(world: World, stream: Row, r: int, session: Row) -> int:
    """How many proposals the target accepts: the trace's next run of matches, or a draw from the law.

    A draft that goes on at once guesses the target's own token too: as if it had proposed one more.
    """
    window = int(session.window)
    guessed = window + 1 if session.mode == PIPELINED else window
    accepted = 0
    if stream.matches > 0:
        place = session.place
        while accepted < guessed and row(world.match, MATCH, stream.match + place).hit == 1:
            accepted += 1
            place = place + 1 if place + 1 < stream.matches else 0
        if accepted <= window:  # past the target's own token
            place = place + 1 if place + 1 < stream.matches else 0
        session.place = place
    elif stream.played > 0:
        accepted = played(world, stream, session, window, guessed)
    else:
        accepted = drawn(world, stream, r, session, guessed)
    if DRAFTS_QUEUE and session.mode == PIPELINED:
        row(world.speculations, SPECULATION, r).hit = 1 if accepted > window else 0
        accepted = min(accepted, window)
    session.last_accepted = accepted
    session.last_proposed = window
    session.accepted += accepted
    session.proposed += window
    return accepted


@compiled
def played(world: World, stream: Row, session: Row, window: int, guessed: int) -> int:
    """The next recorded round as it is, if it proposed as much; else a draw from what all of them say by position."""
    recorded = row(world.played, PLAYED, stream.played_round + session.place)
    session.place = session.place + 1 if session.place + 1 < stream.played else 0
    if recorded.proposed != window:
        return drawn(world, stream, 0, session, guessed)
    accepted = int(recorded.accepted)
    if accepted == window and guessed > window:
        # Nothing was recorded of a guess beyond: as often right as after full rounds of all kinds.
        full = 1.0 - row(world.cdf, CUMULATIVE, stream.cdf + window - 1).p
        right = (1.0 - row(world.cdf, CUMULATIVE, stream.cdf + window).p) / full
        if uniform(session.key, int(session.rounds), ACCEPT) < right:
            accepted += 1
    return accepted


@compiled
def drawn(world: World, stream: Row, r: int, session: Row, guessed: int) -> int:
    """A draw from the law; one whose rounds depend on one another then moves to the state of the next."""
    first = stream.cdf
    turn = int(session.rounds)
    if stream.states > 0:
        first += row(world.speculations, SPECULATION, r).state * stream.stride
    u = uniform(session.key, turn, ACCEPT)
    accepted = 0
    while accepted < guessed and u >= row(world.cdf, CUMULATIVE, first + accepted).p:
        accepted += 1
    if stream.states > 0 and stream.next_state != NONE:
        speculation = row(world.speculations, SPECULATION, r)
        at = stream.next_state + speculation.state * stream.states
        speculation.state = state_at(world, int(at), uniform(session.key, turn, NEXT_STATE))
    return accepted


@compiled
def state_at(world: World, first: int, u: float) -> int:
    """The state whose part of the cdf from `first` on holds the uniform number `u`."""
    state = 0
    while u >= row(world.cdf, CUMULATIVE, first + state).p:
        state += 1
    return state


@compiled
def begin_acceptance(world: World, stream: Row, r: int, session: Row) -> None:
    """Where a session's content begins: at a recorded request, in a state of the law."""
    if stream.recorded > 0:
        recorded = int(uniform(session.key, 0, TRACE_START) * stream.recorded)
        session.place = row(world.starts, START, stream.start + recorded).place
    if stream.states > 0:
        state = state_at(world, int(stream.first_state), uniform(session.key, 0, ACCEPT))
        row(world.speculations, SPECULATION, r).state = state
