"""How many of a round's proposals the target accepts."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import CUMULATIVE, MATCH, PIPELINED, SPECULATION, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import ACCEPT, uniform


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
    else:
        u = uniform(session.key, int(session.rounds), ACCEPT)
        while accepted < guessed and u >= row(world.cdf, CUMULATIVE, stream.cdf + accepted).p:
            accepted += 1
    if session.mode == PIPELINED:
        row(world.speculations, SPECULATION, r).hit = 1 if accepted > window else 0
        accepted = min(accepted, window)
    session.last_accepted = accepted
    session.last_proposed = window
    session.accepted += accepted
    session.proposed += window
    return accepted
