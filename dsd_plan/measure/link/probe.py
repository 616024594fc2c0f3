"""Round trips at random times: what is sent when, and what came back. Sockets or virtual time lie behind `Wire`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.link_profile import Transport
from dsd_plan.measure.link.protocol import ECHO, Reply, Request
from dsd_plan.measure.link.stream import LostConnectionError

Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""

TOKEN_ID_BYTES = 4
WINDOWS = (1, 2, 4, 8, 16)
"""Windows whose token ids are sent up, in turn."""
DOWN_BYTES = 2 * TOKEN_ID_BYTES
"""What comes down a round: how many were accepted, and the target's own token."""

PROBES_PER_S = 40.0
UDP_SHARE = 0.75
UNANSWERED, TCP_ANSWERED = 60, 10
"""So many datagrams without a single answer, beside so many answers over tcp: some two seconds."""
LAST_ANSWERS_S = 1.5
"""How long answers are awaited after the last probe."""

FIRST_LARGE = 2**21
"""Sequence number of the first large probe: a small one that comes late must not pass for it."""

NS = 1_000_000_000


class Wire(Protocol):
    """Both transports of one connection, and its clock."""

    def now_ns(self) -> int:
        """Nanoseconds that only go forward."""
        ...

    def send(self, transport: Transport, request: Request) -> None:
        """Send an echo request with its payload. Raises LostConnectionError."""
        ...

    def receive(self, until_ns: int) -> tuple[Transport, Reply, int] | None:
        """The next answer and when it came; None once it is `until_ns`. Raises LostConnectionError."""
        ...


class Probe(NamedTuple):
    """One echo request and its answer; own clock in `sent_ns` and `back_ns`, the listener's in between."""

    transport: Transport
    up_bytes: int
    down_bytes: int
    sent_ns: int
    received_ns: int
    answered_ns: int
    back_ns: int


@dataclass(frozen=True, slots=True)
class Probes:
    """What came of all echo requests."""

    started_ns: int
    answered: tuple[Probe, ...]
    sent: dict[Transport, int]
    ended_early: str | None
    """Why the connection was lost, where it was."""

    def rows(self, transport: Transport) -> NDArray[np.int64]:
        """Columns sent, received, answered, back, in nanoseconds, in the order of sending."""
        rows = [
            (p.sent_ns, p.received_ns, p.answered_ns, p.back_ns)
            for p in sorted(self.answered, key=lambda p: p.sent_ns)
            if p.transport == transport
        ]
        return np.array(rows, dtype=np.int64).reshape(-1, 4)


def small_probes(
    wire: Wire, token: int, for_s: float, rng: np.random.Generator, on_progress: Progress | None = None
) -> Probes:
    """Echo requests of a round's size at Poisson times for `for_s`, not held up by answers that are late."""
    started_ns = wire.now_ns()
    end_ns = started_ns + int(for_s * NS)
    next_ns = float(started_ns)
    waiting: dict[int, tuple[Transport, int, int]] = {}
    answered: list[Probe] = []
    sent: dict[Transport, int] = {"udp": 0, "tcp": 0}
    sequence, told, blocked, ended_early = 0, 0.0, False, None
    try:
        while True:
            next_ns += rng.exponential(NS / PROBES_PER_S)
            last = next_ns > end_ns
            until_ns = end_ns + int(LAST_ANSWERS_S * NS) if last else int(next_ns)
            while not (last and not waiting) and (found := wire.receive(until_ns)) is not None:
                _note(found, waiting, answered)
            if on_progress is not None and (elapsed_s := (wire.now_ns() - started_ns) / NS) >= told:
                told = elapsed_s + 0.25
                on_progress(int(min(elapsed_s, for_s) * 10), max(int(for_s * 10), 1), f"{len(answered)} round trips")
            if last:
                break
            blocked = blocked or _blocked(sent, answered)
            transport: Transport = "udp" if not blocked and rng.random() < UDP_SHARE else "tcp"
            up_bytes = TOKEN_ID_BYTES * WINDOWS[rng.integers(len(WINDOWS))]
            waiting[sequence] = (transport, up_bytes, wire.now_ns())
            sent[transport] += 1
            wire.send(transport, Request(ECHO, token, sequence, up_bytes, DOWN_BYTES))
            sequence += 1
    except LostConnectionError as lost:
        ended_early = str(lost)
    return Probes(started_ns, tuple(answered), sent, ended_early)


def _blocked(sent: dict[Transport, int], answered: Sequence[Probe]) -> bool:
    """Whether udp evidently does not get through while tcp does: from then on all probes go over tcp."""
    if sent["udp"] < UNANSWERED or len(answered) < TCP_ANSWERED:
        return False
    return all(probe.transport == "tcp" for probe in answered)


def large_probes(
    wire: Wire, token: int, sizes: Sequence[int], repetitions: int, for_s: float, rng: np.random.Generator
) -> Probes:
    """Messages as large as a round's distributions over tcp, one at a time in random order, for `for_s` at most."""
    started_ns = wire.now_ns()
    end_ns = started_ns + int(for_s * NS)
    order = rng.permutation(np.repeat(np.asarray(sizes, dtype=np.int64), repetitions)).tolist()
    answered: list[Probe] = []
    sent, ended_early = 0, None
    try:
        for sequence, up_bytes in enumerate(order, start=FIRST_LARGE):
            if wire.now_ns() >= end_ns:
                break
            waiting: dict[int, tuple[Transport, int, int]] = {sequence: ("tcp", up_bytes, wire.now_ns())}
            sent += 1
            wire.send("tcp", Request(ECHO, token, sequence, up_bytes, DOWN_BYTES))
            while waiting and (found := wire.receive(end_ns)) is not None:
                _note(found, waiting, answered)
    except LostConnectionError as lost:
        ended_early = str(lost)
    return Probes(started_ns, tuple(answered), {"udp": 0, "tcp": sent}, ended_early)


def _note(
    found: tuple[Transport, Reply, int], waiting: dict[int, tuple[Transport, int, int]], answered: list[Probe]
) -> None:
    transport, reply, back_ns = found
    known = waiting.get(reply.sequence)
    if known is None or known[0] != transport:
        return  # A datagram that came twice, or after its time.
    del waiting[reply.sequence]
    _, up_bytes, sent_ns = known
    answered.append(Probe(transport, up_bytes, reply.down_bytes, sent_ns, reply.received_ns, reply.sent_ns, back_ns))
