"""The answering end of a link measurement: a few clients at a time, each held to bounds; garbage is refused."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.link import protocol
from dsd_plan.measure.link.protocol import Refusal, Reply, Request, Welcome
from dsd_plan.measure.link.stream import LostConnectionError, Stream, reason

MOST_CLIENTS = 8
HELLO_S = 5.0
"""Whoever connects has so long to say hello."""
IDLE_S = 60.0
ACCEPT_S = 0.2
"""How often the listener looks whether it shall stop."""
BULK_READ_S = protocol.LONGEST_BULK_S + IDLE_S


class _Client:
    """What the listener keeps of one client: which datagrams came, one bit each."""

    def __init__(self) -> None:
        self.token = secrets.randbits(64)
        self.seen = bytearray()
        self.received = 0
        self.answered = 0

    def note(self, sequence: int) -> bool:
        """Whether this datagram comes for the first time."""
        place, bit = sequence >> 3, 1 << (sequence & 7)
        if place >= len(self.seen):
            self.seen.extend(bytes(place + 1 - len(self.seen)))
        first = not self.seen[place] & bit
        self.seen[place] |= bit
        self.received += first
        return first


class LinkListener:
    """Answers clients from the moment it is made. Use as a context, and call `serve`.

    `on_event` is told what happens, a line each.
    """

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = protocol.DEFAULT_PORT,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_event = on_event
        self._clients: dict[int, _Client] = {}
        self._lock = threading.Lock()
        self._bulk = threading.Lock()
        self._stopping = threading.Event()
        self._served = threading.Event()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._tcp = socket.create_server((host, port), family=family, backlog=MOST_CLIENTS)
        except (OSError, OverflowError) as failure:
            raise MeasurementError(f"{host}:{port}: {reason(failure)}; choose another --host or --port") from None
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._udp.bind((host, self.port))
        except OSError as failure:
            self._tcp.close()
            self._udp.close()
            raise MeasurementError(f"{host}:{self.port}: udp: {reason(failure)}; choose another --port") from None
        self._tcp.settimeout(ACCEPT_S)
        self._udp.settimeout(ACCEPT_S)
        self._start(self._answer_datagrams)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        for thread in self._threads:
            thread.join(timeout=2.0)
        self._tcp.close()
        self._udp.close()

    def stop(self) -> None:
        """Let `serve` return soon; from any thread."""
        self._stopping.set()

    def serve(self, *, once: bool = False) -> None:
        """Answer clients until `stop`, or with `once` until the first that was measured has gone."""
        while not self._stopping.is_set() and not (once and self._served.is_set()):
            try:
                opened, address = self._tcp.accept()
            except TimeoutError:
                continue
            except OSError:
                # One connection that broke while it was being made is not the listener's end.
                self._stopping.wait(ACCEPT_S)
                continue
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) > 2 * MOST_CLIENTS:
                opened.close()
                continue
            self._start(partial(self._meet, opened, address[0]))

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _meet(self, opened: socket.socket, who: str) -> None:
        client = _Client()
        with opened:
            try:
                if not self._greet(opened, who, client):
                    return
                self._serve_client(Stream(opened), client)
                self._on_event(f"{who}: done, {client.received:,} datagrams answered")
            except (LostConnectionError, Refusal, OSError) as failure:
                self._on_event(f"{who}: gone ({str(failure) or 'it broke the protocol'})")
            finally:
                with self._lock:
                    known = self._clients.pop(client.token, None)
                if known is not None:
                    self._served.set()

    def _greet(self, opened: socket.socket, who: str, client: _Client) -> bool:
        """Whether this is a client, of this version, and there is room for it."""
        opened.settimeout(HELLO_S)
        stream = Stream(opened)
        try:
            version = protocol.hello_version(stream.exactly(protocol.HELLO_BYTES))
        except (Refusal, LostConnectionError):
            self._on_event(f"{who}: refused, it is no dsd-plan client")
            return False
        status = protocol.OK
        with self._lock:
            if version != protocol.VERSION:
                status = protocol.OTHER_VERSION
            elif len(self._clients) >= MOST_CLIENTS:
                status = protocol.BUSY
            else:
                self._clients[client.token] = client
        wall_ns = time.time_ns() - time.monotonic_ns()
        stream.send(protocol.pack_welcome(Welcome(protocol.VERSION, status, client.token, wall_ns)))
        said = {
            protocol.OK: "measuring",
            protocol.OTHER_VERSION: f"refused, it speaks version {version} of the protocol, not {protocol.VERSION}",
            protocol.BUSY: f"refused, {MOST_CLIENTS} clients are being served",
        }
        self._on_event(f"{who}: {said[status]}")
        opened.settimeout(IDLE_S)
        return status == protocol.OK

    def _serve_client(self, stream: Stream, client: _Client) -> None:
        while not self._stopping.is_set():
            request = protocol.unpack_request(stream.exactly(protocol.REQUEST_BYTES))
            if request.token != client.token:
                raise Refusal
            if request.kind == protocol.BYE:
                return
            self._answer(stream, client, request)

    def _answer(self, stream: Stream, client: _Client, request: Request) -> None:
        if request.kind == protocol.ECHO:
            stream.discard(request.up_bytes)
            received_ns = time.monotonic_ns()
            stream.send(_reply(request, received_ns) + bytes(request.down_bytes))
        elif request.kind == protocol.COUNTS:
            payload = protocol.pack_counts(client.received, client.answered)
            stream.send(_reply(request, time.monotonic_ns(), len(payload)) + payload)
        elif request.kind == protocol.UPLOAD:
            with self._bulk:
                payload = protocol.pack_bins(stream.read_bulk(BULK_READ_S))
            stream.send(_reply(request, time.monotonic_ns(), len(payload)) + payload)
        elif request.kind == protocol.DOWNLOAD:
            with self._bulk:
                stream.send(_reply(request, time.monotonic_ns(), 0))
                stream.send_bulk(min(request.down_bytes / 1000.0, protocol.LONGEST_BULK_S))
        else:
            raise Refusal

    def _answer_datagrams(self) -> None:
        while not self._stopping.is_set():
            try:
                data, address = self._udp.recvfrom(protocol.LARGEST_DATAGRAM_BYTES + protocol.REQUEST_BYTES)
                received_ns = time.monotonic_ns()
                request, answer = protocol.answer_datagram(data, received_ns, time.monotonic_ns())
                client = self._clients.get(request.token)
                # A repeated datagram gets no second answer, and a stranger's none: nobody is sent what they did
                # not ask for.
                if client is not None and client.note(request.sequence):
                    # Before it goes: whoever has the answer may ask for the count at once.
                    client.answered += 1
                    self._udp.sendto(answer, address)
            except (Refusal, OSError):
                continue


def _reply(request: Request, received_ns: int, down_bytes: int | None = None) -> bytes:
    size = request.down_bytes if down_bytes is None else down_bytes
    return protocol.pack_reply(
        Reply(request.kind, request.token, request.sequence, size, received_ns, time.monotonic_ns())
    )
