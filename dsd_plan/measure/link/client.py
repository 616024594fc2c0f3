"""The measuring end of a link: one tcp connection and one udp socket to a listener."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from types import TracebackType
from typing import Self

from dsd_plan.domain.link_profile import Transport
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.link import protocol
from dsd_plan.measure.link.protocol import Refusal, Reply, Request, Welcome
from dsd_plan.measure.link.stream import LostConnectionError, Stream, reason

CONNECT_S = 10.0
SILENCE_S = 60.0
"""A connection that says nothing for so long, when an answer is due, is lost; a slow link's buffers drain in it."""


class LinkConnection:
    """Both transports to one listener; a `Wire` for probes. Use as a context."""

    def __init__(self, host: str, port: int) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            opened = socket.create_connection((host, port), timeout=CONNECT_S)
        except (OSError, UnicodeError, OverflowError) as failure:
            raise MeasurementError(
                f"{where}: {reason(failure)}; start `dsd-plan profile link --listen` on that machine, and let "
                f"tcp and udp port {port} through"
            ) from None
        try:
            self._stream = Stream(opened)
            self.welcome = self._greet(where)
            opened.settimeout(SILENCE_S)
            self._udp = socket.socket(opened.family, socket.SOCK_DGRAM)
            self._udp.connect(opened.getpeername())
            self._udp.setblocking(False)
        except BaseException:
            opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(LostConnectionError):
            self._request(protocol.BYE)
        self._stream.socket.close()
        self._udp.close()

    @property
    def token(self) -> int:
        """What makes this client's datagrams known to the listener."""
        return self.welcome.token

    def _greet(self, where: str) -> Welcome:
        try:
            self._stream.send(protocol.pack_hello())
            welcome = protocol.unpack_welcome(self._stream.exactly(protocol.WELCOME_BYTES))
        except (Refusal, LostConnectionError):
            raise MeasurementError(
                f"{where}: something answers there, but no dsd-plan listener; correct the port"
            ) from None
        if welcome.status == protocol.OTHER_VERSION or welcome.version != protocol.VERSION:
            raise MeasurementError(
                f"{where}: the listener speaks version {welcome.version} of the protocol, this dsd-plan version "
                f"{protocol.VERSION}; install the same dsd-plan on both sides"
            )
        if welcome.status != protocol.OK:
            raise MeasurementError(f"{where}: the listener is busy with other clients; try again when they are done")
        return welcome

    def now_ns(self) -> int:
        """``time.monotonic_ns``."""
        return time.monotonic_ns()

    def wall_difference_ns(self) -> int:
        """(Listener's wall − monotonic clock) − (own): what makes monotonic times comparable, if wall clocks agree."""
        return self.welcome.wall_minus_monotonic_ns - (time.time_ns() - time.monotonic_ns())

    def send(self, transport: Transport, request: Request) -> None:
        """An echo request with its payload. Raises LostConnectionError."""
        if transport == "tcp":
            self._stream.send(protocol.echo_datagram(request))
            return
        # A datagram that cannot leave (no route, nobody there) is a lost one.
        with contextlib.suppress(OSError):
            self._udp.send(protocol.echo_datagram(request))

    def receive(self, until_ns: int) -> tuple[Transport, Reply, int] | None:
        """The next answer to an echo request, over either transport. Raises LostConnectionError."""
        tcp, udp = self._stream.socket, self._udp
        while True:
            if (held := self._whole_reply()) is not None:
                return "tcp", held, self.now_ns()
            left_s = max((until_ns - self.now_ns()) * 1e-9, 0.0)
            ready, _, _ = select.select([tcp, udp], [], [], left_s)
            now_ns = self.now_ns()
            if udp in ready and (reply := self._datagram()) is not None:
                return "udp", reply, now_ns
            if tcp in ready:
                self._stream.take()
                if (held := self._whole_reply()) is not None:
                    return "tcp", held, now_ns
            if now_ns >= until_ns:
                return None

    def _datagram(self) -> Reply | None:
        try:
            data = self._udp.recv(65536)
            reply = protocol.unpack_reply(data[: protocol.REPLY_BYTES])
        except (OSError, Refusal):
            return None
        return reply if reply.token == self.token and reply.kind == protocol.ECHO else None

    def _whole_reply(self) -> Reply | None:
        """An answer out of what came over tcp, when all of it is there."""
        held = self._stream.held
        if len(held) < protocol.REPLY_BYTES:
            return None
        reply = _reply(bytes(held[: protocol.REPLY_BYTES]))
        whole = protocol.REPLY_BYTES + reply.down_bytes
        if len(held) < whole:
            return None
        del held[:whole]
        return reply

    def counts(self) -> tuple[int, int]:
        """Echo requests that the listener got over udp, and answers that it sent. Raises LostConnectionError."""
        self._request(protocol.COUNTS)
        return protocol.unpack_counts(self._answer(protocol.COUNTS))

    def upload(self, for_s: float) -> list[tuple[int, int]]:
        """Send as fast as tcp takes it; the listener's running count of what arrived. Raises LostConnectionError."""
        self._request(protocol.UPLOAD)
        self._stream.send_bulk(for_s)
        return protocol.unpack_bins(self._answer(protocol.UPLOAD))

    def download(self, for_s: float) -> list[tuple[int, int]]:
        """Take what the listener sends as fast as it can; the running count here. Raises LostConnectionError."""
        self._request(protocol.DOWNLOAD, milliseconds=int(for_s * 1000))
        self._answer(protocol.DOWNLOAD)
        return self._stream.read_bulk(for_s + SILENCE_S)

    def _request(self, kind: int, milliseconds: int = 0) -> None:
        self._stream.send(protocol.pack_request(Request(kind, self.token, 0, 0, milliseconds)))

    def _answer(self, kind: int) -> bytes:
        """The payload of the answer of this kind; late answers to echo requests before it are passed over."""
        while True:
            reply = _reply(self._stream.exactly(protocol.REPLY_BYTES))
            payload = self._stream.exactly(reply.down_bytes)
            if reply.kind == kind:
                return payload


def _reply(data: bytes) -> Reply:
    try:
        return protocol.unpack_reply(data)
    except Refusal:
        raise LostConnectionError("the listener answered with something else than the protocol") from None
