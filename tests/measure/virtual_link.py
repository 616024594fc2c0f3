"""A link of known delays and losses in virtual time: nothing waits, and every answer comes exactly when it should."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np

from dsd_plan.domain.link_profile import Transport
from dsd_plan.measure.link import protocol
from dsd_plan.measure.link.probe import NS
from dsd_plan.measure.link.protocol import Reply, Request
from dsd_plan.measure.link.stream import LostConnectionError

Delay = Callable[[np.random.Generator], float]
"""Draws a one-way delay, in milliseconds."""


def contract_delay(mean_ms: float, cv: float) -> Delay:
    """The law of a scenario's link: mean · (1 + cv · (E − 1)), E ~ Exp(1)."""
    return lambda rng: mean_ms * (1.0 + cv * (rng.exponential() - 1.0))


class VirtualLink:
    """A `Wire` whose far end has a clock of its own."""

    def __init__(
        self,
        up: Delay,
        down: Delay,
        *,
        seed: int = 1,
        loss_up: float = 0.0,
        loss_down: float = 0.0,
        clock_offset_s: float = 0.0,
        clock_drift_ppm: float = 0.0,
        answering_ms: float = 0.0,
        udp_blocked: bool = False,
        repeat_every: int = 0,
        breaks_at_s: float = float("inf"),
        mbps: float = float("inf"),
    ) -> None:
        self.up, self.down = up, down
        self.rng = np.random.default_rng(seed)
        self.loss_up, self.loss_down = loss_up, loss_down
        self.clock_offset_s, self.clock_drift_ppm = clock_offset_s, clock_drift_ppm
        self.answering_ms = answering_ms
        self.udp_blocked = udp_blocked
        self.repeat_every = repeat_every
        self.breaks_at_s = breaks_at_s
        self.mbps = mbps
        self.received = self.answered = self.lost_down = 0
        self._start_ns = self._now_ns = 5_000 * NS
        self._coming: list[tuple[int, int, Transport, Reply]] = []
        self._order = 0

    def now_ns(self) -> int:
        return self._now_ns

    def far_clock_ns(self, at_ns: float) -> int:
        since_ns = at_ns - self._start_ns
        return int(at_ns + self.clock_offset_s * NS + since_ns * self.clock_drift_ppm * 1e-6)

    def send(self, transport: Transport, request: Request) -> None:
        self._alive()
        assert len(protocol.echo_datagram(request)) == protocol.REQUEST_BYTES + request.up_bytes
        if transport == "udp" and (self.udp_blocked or self.rng.random() < self.loss_up):
            return
        serialisation_ms = request.up_bytes * 8e-3 / self.mbps
        there_ns = self._now_ns + (self.up(self.rng) + serialisation_ms) * 1e6
        if transport == "udp":
            self.received += 1
            self.answered += 1
        if transport == "udp" and self.rng.random() < self.loss_down:
            self.lost_down += 1
            return
        left_ns = there_ns + self.answering_ms * 1e6
        back_ns = int(left_ns + self.down(self.rng) * 1e6)
        reply = Reply(
            protocol.ECHO,
            request.token,
            request.sequence,
            request.down_bytes,
            self.far_clock_ns(there_ns),
            self.far_clock_ns(left_ns),
        )
        twice = self.repeat_every and request.sequence % self.repeat_every == 0
        for _ in range(2 if twice else 1):
            self._order += 1
            heapq.heappush(self._coming, (back_ns, self._order, transport, reply))

    def receive(self, until_ns: int) -> tuple[Transport, Reply, int] | None:
        if self._coming and self._coming[0][0] <= until_ns:
            at_ns, _, transport, reply = heapq.heappop(self._coming)
            self._now_ns = max(self._now_ns, at_ns)
            self._alive()
            return transport, reply, at_ns
        self._now_ns = max(self._now_ns, until_ns)
        self._alive()
        return None

    def _alive(self) -> None:
        if self._now_ns - self._start_ns > self.breaks_at_s * NS:
            raise LostConnectionError("the other side closed the connection")
