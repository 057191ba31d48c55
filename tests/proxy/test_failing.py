"""A failure of ours ends in a block and is noted; it never opens a door."""

import ssl
from typing import Any

import pytest

GUEST = "127.0.30.5"


def test_request_is_503_when_the_engine_fails(internet: Any) -> None:
    """An engine that raises in the middle of a connection gives 503, and nothing goes upstream."""
    with internet.tls("fine.example") as connection:
        internet.source.failing = True
        connection.sendall(b"GET / HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 503"
    assert internet.untouched
    assert [str(error) for error in internet.notes.faults] == ["the engine fails, as told"]


def test_plain_request_and_connect_are_503_when_the_engine_fails(internet: Any) -> None:
    """Plain requests and CONNECT get 503 when nothing can be judged."""
    internet.source.failing = True
    for head in (b"GET http://fine.example/ HTTP/1.1", b"CONNECT fine.example:443 HTTP/1.1"):
        reply = internet.plain(head + b"\r\nHost: fine.example\r\nConnection: close\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 503 "), head
    assert internet.untouched


@pytest.mark.parametrize("address", ["127.0.20.5", GUEST])
def test_tls_is_refused_when_the_engine_fails(internet: Any, address: str) -> None:
    """A server name that cannot be judged is refused with an alert."""
    raw = internet.tunnel("fine.example", address)
    internet.source.failing = True
    with pytest.raises(ssl.SSLError):
        internet.context().wrap_socket(raw, server_hostname="fine.example")
    raw.close()
    assert internet.untouched
    assert internet.notes.faults


def test_nothing_is_dialled_without_an_approval(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the request hook to do nothing at all, the connection upstream is still refused."""

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(internet.server._addon._requests, "head", nothing)
    reply = internet.get("fine.example")
    assert reply.startswith(b"HTTP/1.1 502 ")
    assert internet.untouched


def test_dead_upstream_is_a_502(internet: Any) -> None:
    """An upstream that refuses connections is a 502."""
    internet.names.special["dead.example"] = [("127.0.0.1", 1)]
    assert internet.get("dead.example").startswith(b"HTTP/1.1 502 ")


def test_second_address_is_tried_after_the_first_is_dead(internet: Any) -> None:
    """A name with a dead and a living address works from the second attempt on."""
    internet.names.special["half.example"] = [("127.0.0.1", 2), ("127.0.0.1", internet.origin.https)]
    assert internet.get("half.example").startswith(b"HTTP/1.1 502 ")
    assert internet.get("half.example").startswith(b"HTTP/1.1 200 ")
