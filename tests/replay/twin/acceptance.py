"""How many of a round's proposals are accepted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsd_plan.domain.acceptance import Acceptance, RoundTrace, TokenTrace, accepted_pmf
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, round_states
from tests.replay.twin.parts import Session
from tests.replay.twin.random_numbers import ACCEPT, NEXT_STATE, TRACE_START, uniform


def begin(session: Session) -> None:
    """Where a session's content begins."""
    key, acceptance = session.key, session.stream.acceptance
    if isinstance(acceptance, TokenTrace | RoundTrace):
        requests = acceptance.request_id.tolist()
        starts = [i for i in range(len(requests)) if i == 0 or requests[i] != requests[i - 1]]
        session.place = starts[int(uniform(key, 0, TRACE_START) * len(starts))]
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        session.state = which(round_states(acceptance, 1).start_cdf(), uniform(key, 0, ACCEPT))


def accept(session: Session) -> int:
    window, acceptance = session.window, session.stream.acceptance
    if session.stream.mode == "pipelined":
        # As if the draft had proposed its guess of the target's own token too.
        run = run_of(session, acceptance, window + 1)
        session.hit = run == window + 1
        return min(run, window)
    return run_of(session, acceptance, window)


def run_of(session: Session, acceptance: Acceptance, most: int) -> int:
    if isinstance(acceptance, TokenTrace):
        bits = acceptance.match
        run = 0
        while run < most and bits[(session.place + run) % len(bits)] == 1:
            run += 1
        session.place = (session.place + min(run, session.window) + 1) % len(bits)
        return run
    u, total = uniform(session.key, session.rounds, ACCEPT), 0.0
    if most == 0 and not isinstance(acceptance, RoundTrace | MarkovLaw):
        return 0
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        return run_of_states(session, acceptance, most)
    if isinstance(acceptance, RoundTrace):
        place = session.place
        session.place = (place + 1) % len(acceptance.proposed)
        if acceptance.proposed[place] == session.window:
            run = int(acceptance.accepted[place])
            if run == session.window < most:
                below = [float(p) for p in np.cumsum(accepted_pmf(acceptance, most))]
                run += u < (1.0 - below[run]) / (1.0 - below[run - 1])
            return run
        if most == 0:
            return 0
    for accepted, p in enumerate(accepted_pmf(acceptance, most)):
        total += p
        if u < total:
            return accepted
    return most


def run_of_states(session: Session, law: BetaLaw | MarkovLaw, most: int) -> int:
    run = 0
    if most > 0:
        by_state = round_states(law, most).accepted_cdf()
        run = min(which(by_state[session.state], uniform(session.key, session.rounds, ACCEPT)), most)
    moves = round_states(law, 1).transition_cdf()
    if moves is not None:
        session.state = which(moves[session.state], uniform(session.key, session.rounds, NEXT_STATE))
    return run


def which(cumulated: Sequence[float], u: float) -> int:
    """The first index whose value exceeds `u`."""
    return next(i for i, value in enumerate(cumulated) if u < value)
