"""The relay in the kernel: every octet in order, both ways, to the proper end."""

import hashlib
import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schoolgate_proxy.gate.pipes import PipePool
from schoolgate_proxy.gate.poller import Poller
from schoolgate_proxy.gate.relay import Relay


@dataclass
class Bench:
    """A poller that relays, and a way to make relayed pairs of sockets."""

    poller: Poller
    pool: PipePool
    faults: list[Exception]
    ended: list[Relay] = field(default_factory=list)

    def pair(self, *, buffer: int = 0) -> tuple[socket.socket, socket.socket, Relay]:
        """Return the client's and the server's end of a relayed connection."""
        client, left = _tcp_pair(buffer)
        server, right = _tcp_pair(buffer)
        made: list[Relay] = []
        ready = threading.Event()

        def begin() -> None:
            relay = Relay(self.poller, self.pool, left, right, self.ended.append)
            self.poller.watch(left.fileno(), select.EPOLLIN, lambda _: None)
            self.poller.watch(right.fileno(), select.EPOLLOUT, lambda _: None)
            made.append(relay)
            relay.start()
            ready.set()

        self.poller.call(begin)
        assert ready.wait(5)
        return client, server, made[0]

    def wait_ended(self, count: int) -> None:
        deadline = time.monotonic() + 5
        while len(self.ended) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.ended) == count


def _tcp_pair(buffer: int) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; the second does not block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        first = socket.socket()
        if buffer:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        first.connect(listening.getsockname())
        second, _ = listening.accept()
    first.settimeout(10)
    second.settimeout(0)
    return first, second


@pytest.fixture
def bench() -> Iterator[Bench]:
    faults: list[Exception] = []
    poller, pool = Poller("relay-test", faults.append), PipePool()
    poller.start()
    yield Bench(poller, pool, faults)
    poller.stop()
    pool.close()
    assert faults == []


def _send(sock: socket.socket, data: bytes, sizes: list[int]) -> None:
    for size in sizes:
        if not data:
            break
        sock.sendall(data[:size])
        data = data[size:]
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def _receive(sock: socket.socket, size: int = 65536) -> bytes:
    parts = []
    while part := sock.recv(size):
        parts.append(part)
    return b"".join(parts)


@given(
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.lists(st.integers(1, 70_000), max_size=20),
    st.lists(st.integers(1, 70_000), max_size=20),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_octet_arrives_whatever_the_pieces(
    bench: Bench, up: int, down: int, up_sizes: list[int], down_sizes: list[int]
) -> None:
    """Whatever is sent in whatever pieces arrives unchanged both ways at once, and is counted."""
    bench.ended.clear()
    one, two = random.Random(up).randbytes(up), random.Random(down).randbytes(down)
    client, server, relay = bench.pair()
    with client, server, ThreadPoolExecutor(3) as pool:
        pool.submit(_send, client, one, up_sizes)
        pool.submit(_send, server, two, down_sizes)
        arrived = pool.submit(_receive, server, 5000)
        assert _receive(client) == two
        assert arrived.result(10) == one
        bench.wait_ended(1)
    assert (relay.sent, relay.received) == (up, down)


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close_is_passed_on(bench: Bench, first: str) -> None:
    """One side may end while the other goes on, in either order; then both are closed."""
    client, server, relay = bench.pair()
    early, late = (client, server) if first == "client" else (server, client)
    with early, late:
        early.sendall(b"last words")
        early.shutdown(socket.SHUT_WR)
        assert _receive(late) == b"last words"
        for _ in range(5):
            late.sendall(b"still here")
            assert early.recv(100) == b"still here"
        assert relay.half_closed
        assert not bench.ended
        late.shutdown(socket.SHUT_WR)
        assert early.recv(100) == b""
        bench.wait_ended(1)


def test_a_slow_reader_holds_the_sender_back(bench: Bench) -> None:
    """What a reader does not take is not taken from the sender either, and arrives whole in the end."""
    client, server, relay = bench.pair(buffer=16_384)
    data = os.urandom(24 << 20)
    with client, server, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_send, server, data, [])
        before = -1
        while relay.received != before:  # until nothing moves any more
            before = relay.received
            time.sleep(0.2)
        assert relay.received < 20 << 20
        assert not sent.done()
        client.shutdown(socket.SHUT_WR)
        digest = hashlib.sha256(_receive(client, 30_000)).digest()
        assert digest == hashlib.sha256(data).digest()
        bench.wait_ended(1)


def test_a_large_download_arrives(bench: Bench) -> None:
    """64 MB arrive unchanged, and leave no pipe behind but those kept for the next."""
    client, server, relay = bench.pair()
    block = os.urandom(1 << 20)
    with client, server, ThreadPoolExecutor(1) as pool:
        pool.submit(_send, server, block * 64, [])
        digest, size = hashlib.sha256(), 0
        while part := client.recv(1 << 18):
            digest.update(part)
            size += len(part)
        client.close()
        bench.wait_ended(1)
    assert size == relay.received == 64 << 20
    assert digest.digest() == hashlib.sha256(block * 64).digest()


@pytest.mark.parametrize("victim", ["client", "server"])
def test_a_reset_is_passed_on(bench: Bench, victim: str) -> None:
    """A side that is reset ends both, and the other side is told that this was no proper end."""
    client, server, _ = bench.pair()
    gone, left = (client, server) if victim == "client" else (server, client)
    with left:
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        with pytest.raises(ConnectionResetError):
            _receive(left)
    bench.wait_ended(1)


def test_closing_ends_both_sides(bench: Bench) -> None:
    """A relay that is closed from outside, with octets still held, ends both sides and reports once."""
    client, server, relay = bench.pair(buffer=16_384)
    with client, server:
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.sendall(b"x" * (64 << 20))
        bench.poller.call(relay.close)
        bench.poller.call(relay.close)
        bench.wait_ended(1)
        server.settimeout(5)
        with pytest.raises(OSError, match=r"pipe|reset"):
            server.sendall(b"x" * (64 << 20))


def test_relays_leave_no_files_behind(bench: Bench) -> None:
    """After many connections as many files are open as before."""

    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def talk() -> None:
        client, server, _ = bench.pair()
        with client, server:
            client.sendall(b"hello")
            assert server.recv(5) == b"hello"

    talk()
    bench.wait_ended(1)
    before = files()
    for _ in range(200):
        talk()
    bench.wait_ended(201)
    deadline = time.monotonic() + 5
    while files() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files() <= before
