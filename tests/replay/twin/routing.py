"""Who serves a session: a choice among a pool's servers, or among those of them that are left."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from tests.replay.twin.faults import slowness
from tests.replay.twin.parts import Draft, Replica
from tests.replay.twin.random_numbers import DRAFT_ROUTE, DRAFT_ROUTE_AGAIN, ROUTE, ROUTE_AGAIN, uniform

Server = Draft | Replica


class Router:
    """The choices of one pool."""

    def __init__(self) -> None:
        self.turns = 0

    def choose(self, left: Sequence[Server], routing: str, key: int, part: int, now_ms: float) -> Server:
        """`part`: how many servers the session has already."""
        if routing == "jsq":
            return min(left, key=lambda server: server.live)
        if routing == "least_expected_delay":
            known = [server.delay_ms for server in left if server.delay_ms > 0.0]
            usual = [*accumulate(known)][-1] / len(known) if known else 1.0
            return min(left, key=lambda server: (server.live + 1) * (server.delay_ms or usual))
        if routing == "round_robin":
            self.turns += 1
            return left[(self.turns - 1) % len(left)]
        drafts = isinstance(left[0], Draft)
        u = uniform(key, part, DRAFT_ROUTE if drafts else ROUTE)
        if routing == "weighted":
            upto = [*accumulate(1.0 / slowness(server.slow, now_ms) for server in left)]
            return next(server for server, speed in zip(left, upto, strict=True) if u * upto[-1] < speed)
        one = int(u * len(left))
        if routing == "random" or len(left) == 1:
            return left[one]
        further = int(uniform(key, part, DRAFT_ROUTE_AGAIN if drafts else ROUTE_AGAIN) * (len(left) - 1))
        # Those behind the first, and from the beginning again.
        others = [*left[one + 1 :], *left[:one]]
        return min(left[one], others[further], key=lambda server: server.live)


def learn(server: Server, delay_ms: float) -> None:
    """The mean of late delays: a tenth of the last, nine tenths of what it was; the first is taken whole."""
    if delay_ms > 0.0:
        before = server.delay_ms
        server.delay_ms = before + 0.1 * (delay_ms - before) if before > 0.0 else delay_ms
