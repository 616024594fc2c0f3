"""Who takes part in a plain server's iteration."""

from __future__ import annotations

from math import inf

from dsd_plan.domain.deployed import TargetPool
from tests.replay.twin.parts import Session


def taken(queue: list[Session], pool: TargetPool) -> dict[Session, int]:
    """Take the members out of the queue; with the new tokens of each."""
    seen = queue[: pool.batch_cap]
    if pool.batching == "length_aware":
        first = size(queue[0])
        seen = [s for s in queue if first <= 2 * size(s) <= 4 * first or max(first, size(s)) <= 16][: pool.batch_cap]
    budget = inf if pool.token_cap is None else pool.token_cap
    takes: dict[Session, int] = {}
    for session in (s for s in seen if not s.is_fresh):
        needs = session.stream.assignment.candidates * session.window + 1
        if needs > budget:
            break
        takes[session] = needs
        budget -= needs
    for session in (s for s in seen if s.is_fresh):
        left = session.prefill - session.computed
        if left > budget and budget == 0:
            break
        takes[session] = int(min(left, budget))
        budget -= takes[session]
        if takes[session] < left:
            break
    queue[:] = [s for s in queue if s not in takes]
    return {s: takes[s] for s in seen if s in takes}


def size(session: Session) -> int:
    """New tokens of its job."""
    return session.prefill if session.is_fresh else session.stream.assignment.candidates * session.window + 1
