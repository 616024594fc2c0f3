"""Real sockets on loopback: that both ends understand each other and refuse the rest. No time is asserted."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from dsd_plan.domain.link_profile import link_profile_problems
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.link import listener as link_listener
from dsd_plan.measure.link import protocol
from dsd_plan.measure.link.client import LinkConnection
from dsd_plan.measure.link.listener import LinkListener
from dsd_plan.measure.link.profile import profile_link
from dsd_plan.measure.link.protocol import Refusal, Request, Welcome

HOST = "127.0.0.1"


class Served:
    """A listener in a thread, and what it said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.listener = LinkListener(HOST, 0, self.said.append)
        self.port = self.listener.port

    def says(self, text: str) -> bool:
        """Whether it says so before long."""
        for _ in range(500):
            if any(text in line for line in self.said):
                return True
            threading.Event().wait(0.01)
        return False


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    with made.listener:
        thread = threading.Thread(target=made.listener.serve)
        thread.start()
        yield made
        made.listener.stop()
        thread.join()


def test_a_link_is_measured_end_to_end(served: Served) -> None:
    told: list[tuple[int, int, str]] = []
    profile, trace = profile_link(
        HOST,
        served.port,
        for_s=1.5,
        bulk_s=0.2,
        large_bytes=(50_000,),
        on_progress=lambda done, total, text: told.append((done, total, text)),
    )
    assert link_profile_problems(profile) == ()
    assert profile.transport == "udp"
    assert profile.listener == f"{HOST}:{served.port}"
    assert profile.rtt_ms.min > 0
    assert profile.samples == len(trace.rtt_ms)
    assert {50_000, 4, 64} <= {row.up_bytes for row in profile.by_payload}
    assert profile.uplink_mbps is not None
    assert profile.downlink_mbps is not None
    assert profile.loss is not None
    assert [text for _, _, text in told][-2:] == ["bandwidth down", "bandwidth up"]
    assert all(0 <= done <= total for done, total, _ in told)
    assert served.says("done, ")


def test_several_clients_at_once_are_kept_apart(served: Served) -> None:
    with LinkConnection(HOST, served.port) as one, LinkConnection(HOST, served.port) as two:
        assert one.token != two.token
        for sequence in range(5):
            one.send("udp", Request(protocol.ECHO, one.token, sequence, 4, 8))
            assert one.receive(one.now_ns() + 5 * 10**9) is not None
        assert one.counts() == (5, 5)
        assert two.counts() == (0, 0)


def test_a_datagram_of_a_stranger_or_a_repeated_one_is_not_answered(served: Served) -> None:
    with LinkConnection(HOST, served.port) as known:
        request = Request(protocol.ECHO, known.token, 3, 4, 8)
        for sent in (request._replace(token=known.token ^ 1), request, request):
            known.send("udp", sent)
        found = known.receive(known.now_ns() + 5 * 10**9)
        assert found is not None
        assert found[1].sequence == 3
        assert known.counts() == (1, 1)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(64), b"\0" * 4096, protocol.pack_hello()[:3], b""],
    ids=["http", "random", "zeros", "cut short", "nothing"],
)
def test_garbage_is_refused_and_the_listener_lives_on(served: Served, garbage: bytes) -> None:
    with socket.create_connection((HOST, served.port)) as opened:
        opened.sendall(garbage)
        opened.shutdown(socket.SHUT_WR)
        opened.settimeout(10)
        answer = b""
        with suppress(ConnectionResetError):
            answer = opened.recv(100)
        assert answer == b""
    assert served.says("refused, it is no dsd-plan client")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(garbage or b"x", (HOST, served.port))
    with LinkConnection(HOST, served.port) as known:
        assert known.counts() == (0, 0)


def test_a_client_that_breaks_the_protocol_is_let_go(served: Served) -> None:
    with socket.create_connection((HOST, served.port)) as opened:
        opened.sendall(protocol.pack_hello())
        opened.settimeout(10)
        assert protocol.unpack_welcome(opened.recv(protocol.WELCOME_BYTES)).status == protocol.OK
        opened.sendall(protocol.pack_request(Request(protocol.ECHO, 0, 0, 4, 8)))
        assert opened.recv(1) == b""
    assert served.says("gone (it broke the protocol)")


def test_another_version_is_told_apart(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hello = bytearray(protocol.pack_hello())
    hello[8:10] = (9).to_bytes(2)
    with socket.create_connection((HOST, served.port)) as opened:
        opened.sendall(hello)
        opened.settimeout(10)
        welcome = protocol.unpack_welcome(opened.recv(protocol.WELCOME_BYTES))
        assert (welcome.version, welcome.status) == (protocol.VERSION, protocol.OTHER_VERSION)
    assert served.says("refused, it speaks version 9 of the protocol, not 1")


def test_more_clients_than_it_serves_are_told_that_it_is_busy(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_listener, "MOST_CLIENTS", 1)
    with LinkConnection(HOST, served.port), pytest.raises(MeasurementError, match="busy with other clients"):
        LinkConnection(HOST, served.port)


def test_once_ends_after_the_first_client() -> None:
    with LinkListener(HOST, 0) as listener:
        thread = threading.Thread(target=listener.serve, kwargs={"once": True})
        thread.start()
        with socket.create_connection((HOST, listener.port)) as stranger:
            stranger.sendall(b"x" * 100)
        with LinkConnection(HOST, listener.port) as client:
            assert client.counts() == (0, 0)
        thread.join(timeout=20)
        assert not thread.is_alive()


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    with pytest.raises(MeasurementError, match="choose another --host or --port"):
        LinkListener(HOST, served.port)


@contextmanager
def scripted(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that reads a hello and then does as it is told."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            opened, _ = server.accept()
            with opened:
                opened.recv(protocol.HELLO_BYTES)
                answer(opened)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n....", "something answers there, but no dsd-plan listener"),
        (b"", "something answers there, but no dsd-plan listener"),
        (
            protocol.pack_welcome(Welcome(4, protocol.OTHER_VERSION, 0, 0)),
            "the listener speaks version 4 of the protocol, this dsd-plan version 1; install the same",
        ),
    ],
)
def test_what_is_no_listener_is_told(answer: bytes, text: str) -> None:
    with scripted(lambda opened: opened.sendall(answer)) as port, pytest.raises(MeasurementError, match=text):
        LinkConnection(HOST, port)


def test_a_listener_that_dies_is_told() -> None:
    def die(opened: socket.socket) -> None:
        opened.sendall(protocol.pack_welcome(Welcome(protocol.VERSION, protocol.OK, 7, 0)))

    with scripted(die) as port, pytest.raises(MeasurementError, match=r"round trips came back.*(closed|broke)"):
        profile_link(HOST, port, for_s=1.0)


@contextmanager
def tcp_alone(port: int) -> Iterator[int]:
    """A port that passes tcp on to another one, and no udp."""

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            near, _ = server.accept()
            with near, socket.create_connection((HOST, port)) as far:
                back = threading.Thread(target=pass_on, args=(far, near))
                back.start()
                pass_on(near, far)
                back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_where_udp_does_not_get_through_tcp_is_measured(served: Served) -> None:
    with tcp_alone(served.port) as port:
        profile, _ = profile_link(HOST, port, for_s=3.0, bulk_s=0.1, large_bytes=())
    assert profile.transport == "tcp"
    assert profile.method["udp"] == "blocked"
    assert profile.loss is None
    assert profile.uplink_mbps is not None


def test_nobody_there_is_told() -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MeasurementError, match=r"connection refused; start `dsd-plan profile link --listen`"):
        LinkConnection(HOST, port)


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (protocol.hello_version, b"dsd-lin"),
        (protocol.hello_version, b"x" * protocol.HELLO_BYTES),
        (protocol.unpack_request, b"x" * protocol.REQUEST_BYTES),
        (protocol.unpack_request, protocol.pack_request(Request(1, 0, 0, 2**31, 0))),
        (protocol.unpack_request, protocol.pack_request(Request(1, 0, 2**31, 0, 0))),
        (protocol.unpack_bins, b"x" * 17),
        (protocol.unpack_chunk, (2**31).to_bytes(4)),
        (lambda data: protocol.answer_datagram(data, 0, 0), protocol.pack_request(Request(1, 0, 0, 99, 0))),
        (lambda data: protocol.answer_datagram(data, 0, 0), protocol.pack_request(Request(1, 0, 0, 0, 60_000))),
    ],
)
def test_sizes_out_of_bounds_are_refused(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(Refusal):
        read(data)
