"""The first bytes of a connection, in pieces (enforcement A2.5), late, or as nothing that belongs on the web."""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

PUPIL, GUEST = "127.0.20.5", "127.0.30.5"


class _Hands:
    """A client's end of TLS, which sends what it has to say piece by piece."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    def hello(self, sizes: list[int]) -> None:
        """Send a ClientHello in pieces of the given sizes."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        hello = self._outgoing.read()
        for size in sizes:
            self._raw.sendall(hello[:size])
            hello = hello[size:]
            time.sleep(0.05)  # the pieces must be segments of their own
        self._raw.sendall(hello)

    def finish(self, pause: float = 0.0) -> None:
        """Finish the handshake; the last of it, the client's, is sent after a pause."""
        self._pump(self.tls.do_handshake)
        time.sleep(pause)
        self._raw.sendall(self._outgoing.read())

    def get(self, name: str) -> bytes:
        """Send a request and return the beginning of the response."""
        self.tls.write(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        self._raw.sendall(self._outgoing.read())
        return self._pump(lambda: self.tls.read(65536))

    def _pump[T](self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._raw.sendall(self._outgoing.read())
                data = self._raw.recv(65536)
                if not data:
                    raise ConnectionResetError("closed") from None
                self._incoming.write(data)


def _split_handshake(
    raw: socket.socket, context: ssl.SSLContext, name: str, sizes: list[int]
) -> ssl.SSLObject:
    """Send a ClientHello in pieces of the given sizes, then finish the handshake."""
    hands = _Hands(raw, context, name)
    hands.hello(sizes)
    hands.finish()
    return hands.tls


@pytest.mark.parametrize("sizes", [[1], [2], [3], [4], [5], [1, 1, 1], [1] * 8])
def test_split_hello_is_judged(internet: Any, sizes: list[int]) -> None:
    """A ClientHello in pieces is decrypted like a whole one, and nothing reaches the origin."""
    with internet.tunnel("blocked.example") as raw:
        connection = _split_handshake(raw, internet.context(), "blocked.example", sizes)
        assert "Schoolgate" in str((connection.getpeercert() or {})["issuer"])
    assert internet.untouched


def test_split_hello_of_a_passed_name_still_passes(internet: Any) -> None:
    """Where names alone are judged, a split ClientHello is passed on whole, and noted."""
    with internet.tunnel("fine.example", GUEST) as raw:
        connection = _split_handshake(raw, internet.context(), "fine.example", [1, 1])
        assert "Schoolgate" not in str((connection.getpeercert() or {})["issuer"])
    assert "split_hello" in internet.notes.techniques


def test_split_request_is_judged(internet: Any) -> None:
    """A request in single bytes is judged like a whole one."""
    with internet.connect() as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nConnection: close\r\n\r\n"
        for byte in head[:6]:
            raw.sendall(bytes([byte]))
            time.sleep(0.02)
        raw.sendall(head[6:])
        assert raw.recv(12) == b"HTTP/1.1 403"
    assert internet.untouched


@pytest.mark.parametrize("first", [b"", b"\x16", b"GET / HTTP/1.1\r\nHo"])
def test_undecided_connection_is_closed(internet: Any, first: bytes) -> None:
    """A connection that shows neither a whole hello nor a whole head is closed when its time is over."""
    with internet.connect() as raw:
        raw.sendall(first)
        raw.settimeout(5)
        assert raw.recv(100) == b""


@pytest.mark.parametrize(("host", "status"), [("fine.example", b"200"), ("blocked.example", b"403")])
def test_a_slow_handshake_is_waited_for(internet: Any, host: str, status: bytes) -> None:
    """A client whose part of the handshake comes late, as from the edge of the wireless, is served all the same."""
    with internet.tunnel(host) as raw:
        hands = _Hands(raw, internet.context(), host)
        hands.hello([])
        hands.finish(pause=1.5)  # longer than the time for undecided connections in these tests
        assert hands.get(host).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("host", ["fine.example", "blocked.example"])
def test_a_handshake_without_end_is_closed(internet: Any, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle of its handshake is let go, and counted."""
    why: list[str] = []
    monkeypatch.setattr(internet.server._gate.counters, "connection_turned_away", why.append)
    with internet.tunnel(host) as raw:
        _Hands(raw, internet.context(), host).hello([])
        raw.settimeout(10)
        while raw.recv(65536):
            pass
    assert why == ["late"]


@pytest.mark.parametrize("data", [b"\x00\x01tunnel\n", b"\x00\x0e\x38aaaaaaaa\0\0", b"q6\xffnvWj8"])
def test_neither_tls_nor_http_is_closed(internet: Any, data: bytes) -> None:
    """Bytes that are no TLS and no HTTP go nowhere, in the open, in a tunnel and inside TLS."""
    for open_connection in (
        internet.connect,
        lambda: internet.tunnel("fine.example"),
        lambda: internet.tls("fine.example"),
    ):
        with open_connection() as connection:
            connection.settimeout(5)
            connection.sendall(data)
            assert connection.recv(100) == b""
    assert {"non_http", "non_http_tls"} <= set(internet.notes.techniques)
    assert internet.untouched


def test_idle_decrypted_connection_may_wait(internet: Any) -> None:
    """A browser that opened TLS ahead of need is not cut off while it waits."""
    with internet.tls("fine.example") as connection:
        time.sleep(1.5)  # longer than the time for undecided connections in these tests
        connection.sendall(b"GET / HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
