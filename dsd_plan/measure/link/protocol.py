"""What the two ends of a link measurement say to each other: fixed-size structures, big-endian, nothing else.

A client opens a tcp connection and says hello; the listener answers with its version, a status and a token. Then the
client sends requests over tcp, and echo requests over udp to the same port with the token in them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"dsd-link"
VERSION = 1
DEFAULT_PORT = 47311

OK, OTHER_VERSION, BUSY = 0, 1, 2
ECHO, UPLOAD, DOWNLOAD, COUNTS, BYE = 1, 2, 3, 4, 5

_HELLO = struct.Struct("!8sHHI")
_WELCOME = struct.Struct("!8sHHIQq")
_REQUEST = struct.Struct("!8sBBHQIII")
_REPLY = struct.Struct("!8sBBHQIIqq")
_COUNTS = struct.Struct("!II")
_BIN = struct.Struct("!QQ")
_CHUNK = struct.Struct("!I")

HELLO_BYTES, WELCOME_BYTES = _HELLO.size, _WELCOME.size
REQUEST_BYTES, REPLY_BYTES = _REQUEST.size, _REPLY.size
COUNTS_BYTES, BIN_BYTES, CHUNK_BYTES = _COUNTS.size, _BIN.size, _CHUNK.size

LARGEST_PAYLOAD_BYTES = 16 * 2**20
LARGEST_DATAGRAM_BYTES = 1400
"""Below what any link carries in one piece."""
LONGEST_BULK_S = 15.0
MOST_BINS = 1024
MOST_SEQUENCES = 2**22


class Refusal(Exception):  # noqa: N818
    """What came is not this protocol, or not this version of it."""


class Welcome(NamedTuple):
    """The listener's answer to hello."""

    version: int
    status: int
    token: int
    wall_minus_monotonic_ns: int


class Request(NamedTuple):
    """Header of everything that a client asks; `up_bytes` of payload follow, `down_bytes` are to come back."""

    kind: int
    token: int
    sequence: int
    up_bytes: int
    down_bytes: int


class Reply(NamedTuple):
    """Header of every answer, with the listener's clock; `down_bytes` of payload follow."""

    kind: int
    token: int
    sequence: int
    down_bytes: int
    received_ns: int
    sent_ns: int


def pack_hello() -> bytes:
    """The first thing that a client says."""
    return _HELLO.pack(MAGIC, VERSION, 0, 0)


def hello_version(data: bytes) -> int:
    """The client's version. Raises Refusal for anything but a hello."""
    magic, version, _, _ = _unpacked(_HELLO, data)
    _check(magic)
    return int(version)


def pack_welcome(welcome: Welcome) -> bytes:
    """The answer to hello."""
    return _WELCOME.pack(MAGIC, welcome.version, welcome.status, 0, welcome.token, welcome.wall_minus_monotonic_ns)


def unpack_welcome(data: bytes) -> Welcome:
    """Raises Refusal for anything else."""
    magic, version, status, _, token, wall_ns = _unpacked(_WELCOME, data)
    _check(magic)
    return Welcome(version, status, token, wall_ns)


def pack_request(request: Request) -> bytes:
    """The header alone."""
    kind, token, sequence, up_bytes, down_bytes = request
    return _REQUEST.pack(MAGIC, VERSION, kind, 0, token, sequence, up_bytes, down_bytes)


def unpack_request(data: bytes) -> Request:
    """Raises Refusal for anything else, and for sizes out of bounds."""
    magic, version, kind, _, token, sequence, up_bytes, down_bytes = _unpacked(_REQUEST, data)
    _check(magic)
    if version != VERSION or max(up_bytes, down_bytes) > LARGEST_PAYLOAD_BYTES or sequence >= MOST_SEQUENCES:
        raise Refusal
    return Request(kind, token, sequence, up_bytes, down_bytes)


def pack_reply(reply: Reply) -> bytes:
    """The header alone."""
    kind, token, sequence, down_bytes, received_ns, sent_ns = reply
    return _REPLY.pack(MAGIC, VERSION, kind, 0, token, sequence, down_bytes, received_ns, sent_ns)


def unpack_reply(data: bytes) -> Reply:
    """Raises Refusal for anything else, and for sizes out of bounds."""
    magic, version, kind, _, token, sequence, down_bytes, received_ns, sent_ns = _unpacked(_REPLY, data)
    _check(magic)
    if version != VERSION or down_bytes > LARGEST_PAYLOAD_BYTES:
        raise Refusal
    return Reply(kind, token, sequence, down_bytes, received_ns, sent_ns)


def echo_datagram(request: Request) -> bytes:
    """An echo request as one udp datagram."""
    return pack_request(request) + bytes(request.up_bytes)


def answer_datagram(datagram: bytes, received_ns: int, sent_ns: int) -> tuple[Request, bytes]:
    """The answer to an echo request that came over udp. Raises Refusal for anything else."""
    request = unpack_request(datagram[:REQUEST_BYTES])
    fits = request.up_bytes + REQUEST_BYTES == len(datagram) and request.down_bytes <= LARGEST_DATAGRAM_BYTES
    if request.kind != ECHO or not fits:
        raise Refusal
    reply = Reply(ECHO, request.token, request.sequence, request.down_bytes, received_ns, sent_ns)
    return request, pack_reply(reply) + bytes(request.down_bytes)


def pack_counts(received: int, answered: int) -> bytes:
    """How many echo requests came over udp, and how many answers went out."""
    return _COUNTS.pack(received, answered)


def unpack_counts(data: bytes) -> tuple[int, int]:
    """Raises Refusal for anything else."""
    received, answered = _unpacked(_COUNTS, data)
    return received, answered


def pack_bins(bins: list[tuple[int, int]]) -> bytes:
    """A receiver's running count: (nanoseconds, bytes so far)."""
    return b"".join(_BIN.pack(at_ns, total) for at_ns, total in bins)


def unpack_bins(data: bytes) -> list[tuple[int, int]]:
    """Raises Refusal for anything else."""
    if len(data) % BIN_BYTES or len(data) > MOST_BINS * BIN_BYTES:
        raise Refusal
    return [(at_ns, total) for at_ns, total in _BIN.iter_unpack(data)]


def pack_chunk(size: int) -> bytes:
    """The length of a piece of a bulk transfer; 0 ends it."""
    return _CHUNK.pack(size)


def unpack_chunk(data: bytes) -> int:
    """Raises Refusal for a piece out of bounds."""
    (size,) = _unpacked(_CHUNK, data)
    if size > LARGEST_PAYLOAD_BYTES:
        raise Refusal
    return int(size)


def _unpacked(kind: struct.Struct, data: bytes) -> tuple[int, ...]:
    if len(data) != kind.size:
        raise Refusal
    return kind.unpack(data)


def _check(magic: object) -> None:
    if magic != MAGIC:
        raise Refusal
