"""How many of a round's proposals the target accepts."""

from __future__ import annotations

from dsd_plan.replay.compiled import compiled
from dsd_plan.replay.layout import CUMULATIVE, MATCH, Row, World
from dsd_plan.replay.memory import row
from dsd_plan.replay.random_numbers import ACCEPT, uniform


@compiled
def accept(world: World, stream: Row, session: Row) -> int:
    """How many proposals the target accepts: the trace's next run of matches, or a draw from the law."""
    window = session.window
    accepted = 0
    if stream.matches > 0:
        place = session.place
        while accepted < window and row(world.match, MATCH, stream.match + place).hit == 1:
            accepted += 1
            place = place + 1 if place + 1 < stream.matches else 0
        session.place = place + 1 if place + 1 < stream.matches else 0  # past the target's own token
    else:
        u = uniform(session.key, int(session.rounds), ACCEPT)
        while accepted < window and u >= row(world.cdf, CUMULATIVE, stream.cdf + accepted).p:
            accepted += 1
    session.last_accepted = accepted
    session.last_proposed = window
    session.accepted += accepted
    session.proposed += window
    return accepted
