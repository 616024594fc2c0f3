"""Bytes over tcp as both ends of a link measurement read and write them: whole structures, and bulk with its times."""

from __future__ import annotations

import socket
import time

from dsd_plan.measure.link import protocol

PIECE = protocol.pack_chunk(16 * 1024) + bytes(16 * 1024)
BIN_NS = 20_000_000
"""Shortest time between two entries of a receiver's running count; it doubles when the count gets long."""


class LostConnectionError(Exception):
    """The other side is gone; what came before is still good."""


class Stream:
    """A tcp socket that gives structures whole."""

    def __init__(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = opened
        self.held = bytearray()

    def send(self, data: bytes) -> None:
        """All of it. Raises LostConnectionError."""
        try:
            self.socket.sendall(data)
        except OSError as failure:
            raise LostConnectionError(f"the connection broke: {reason(failure)}") from None

    def take(self, most: int = 65536) -> None:
        """Hold what has come, waiting for something. Raises LostConnectionError."""
        try:
            data = self.socket.recv(most)
        except OSError as failure:
            raise LostConnectionError(f"the connection broke: {reason(failure)}") from None
        if not data:
            raise LostConnectionError("the other side closed the connection")
        self.held += data

    def exactly(self, size: int) -> bytes:
        """That many bytes. Raises LostConnectionError."""
        while len(self.held) < size:
            self.take()
        taken = bytes(self.held[:size])
        del self.held[:size]
        return taken

    def discard(self, size: int) -> None:
        """Take that many bytes and forget them, holding little at a time."""
        while size > 0:
            if not self.held:
                self.take()
            gone = min(size, len(self.held))
            del self.held[:gone]
            size -= gone

    def send_bulk(self, for_s: float) -> None:
        """As fast as tcp takes it for so long, then an end mark."""
        end_ns = time.monotonic_ns() + int(for_s * 1e9)
        while time.monotonic_ns() < end_ns:
            self.send(PIECE)
        self.send(protocol.pack_chunk(0))

    def read_bulk(self, longest_s: float) -> list[tuple[int, int]]:
        """Running count (nanoseconds, bytes) of a bulk transfer until its end mark.

        Raises LostConnectionError, also for one that goes on too long, and Refusal.
        """
        started_ns = last_ns = time.monotonic_ns()
        bins, total, apart_ns = [(started_ns, 0)], 0, BIN_NS
        while size := protocol.unpack_chunk(self.exactly(protocol.CHUNK_BYTES)):
            self.discard(size)
            total += size
            now_ns = time.monotonic_ns()
            if now_ns - last_ns >= apart_ns:
                bins.append((now_ns, total))
                last_ns = now_ns
                if len(bins) >= protocol.MOST_BINS:
                    bins, apart_ns = bins[::2], apart_ns * 2
            if now_ns - started_ns > longest_s * 1e9:
                raise LostConnectionError(f"a bulk transfer went on for more than {longest_s:g} s")
        return bins


def reason(failure: Exception) -> str:
    """What the system says, in lower case."""
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    text = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
    return text[:1].lower() + text[1:]
