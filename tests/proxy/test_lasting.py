"""Connections that last over the edge of a schedule, probes of operating systems, and hints to leave for HTTP/3."""

import socket
import time
from datetime import UTC, datetime
from typing import Any

import h2.events
import pytest
from flood_origin import Flood

PUPIL, STAFF = "127.0.20.5", "127.0.10.5"
BREAK, LESSON = datetime(2026, 11, 23, 10, 40, tzinfo=UTC), datetime(2026, 11, 23, 10, 50, tzinfo=UTC)
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def open_websocket(connection: socket.socket, target: str) -> None:
    """Open a websocket at a site that is closed during lessons, and use it once."""
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: lessons.example\r\n{UPGRADE}".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += connection.recv(1)
    assert reply.startswith(b"HTTP/1.1 101 ")
    connection.sendall(b"\x81\x84\x00\x00\x00\x00ping")
    assert connection.recv(2) + connection.recv(4) == b"\x81\x04ping"


def ends_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side ends the connection in time."""
    began = time.monotonic()
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return time.monotonic() - began < seconds


@pytest.mark.parametrize("address", [PUPIL, STAFF], ids=["opened", "passed on"])
def test_websocket_ends_with_the_break(internet: Any, address: str) -> None:
    """A websocket that was opened in the break is closed within five seconds of the lesson's beginning (A4.7)."""
    internet.now[0] = BREAK
    with internet.tls("lessons.example", address) as connection:
        open_websocket(connection, "/ws")
        internet.now[0] = LESSON
        assert ends_within(connection, 5)


@pytest.mark.parametrize("address", [PUPIL, STAFF], ids=["opened", "passed on"])
def test_what_outlives_the_bell_is_counted(
    internet: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A connection that is as old as before the last edge of its schedule counts, from the edge to its end (A4.7)."""
    changes: list[int] = []
    counters = internet.server._gate.counters
    monkeypatch.setattr(counters, "connection_outlived", lambda _, change: changes.append(change))
    internet.use_policy("rules: [{allow: lessons.example, during: [lessons], reason: x}]")
    internet.now[0] = LESSON.replace(minute=15)
    with internet.tls("lessons.example", address) as connection:
        open_websocket(connection, "/ws")
        time.sleep(1.5)
        assert not changes
        internet.now[0] = BREAK
        deadline = time.monotonic() + 10
        while changes != [1] and time.monotonic() < deadline:
            time.sleep(0.05)
        internet.now[0] = LESSON
        time.sleep(1.5)
        assert changes == [1]
    deadline = time.monotonic() + 10
    while changes != [1, -1] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert changes == [1, -1]


def test_websocket_and_stream_in_the_clear_end_with_the_break(internet: Any) -> None:
    """The same holds without TLS, for a websocket and for a response without an end."""
    internet.now[0] = BREAK
    with internet.connect() as first, internet.connect() as second:
        open_websocket(first, "http://lessons.example/ws")
        second.sendall(b"GET http://lessons.example/slow HTTP/1.1\r\nHost: lessons.example\r\n\r\n")
        assert second.recv(12) == b"HTTP/1.1 200"
        internet.now[0] = LESSON
        assert ends_within(first, 5)
        assert ends_within(second, 5)


def test_websocket_ends_when_another_policy_blocks_it(internet: Any) -> None:
    """A new policy closes what it no longer allows, and leaves what it allows."""
    with internet.tls("games.example") as shut, internet.tls("fine.example") as left:
        for connection, host in ((shut, "games.example"), (left, "fine.example")):
            connection.sendall(f"GET /ws HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}".encode())
            assert connection.recv(12) == b"HTTP/1.1 101"
        internet.use_policy("rules: [{block: games.example, reason: x}]")
        assert ends_within(shut, 5)
        assert not ends_within(left, 2)


def test_what_closes_while_it_is_opened_says_so(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that comes into force between the verdict and the dial: nothing is dialled, and the page does not blame the site."""
    resolve = internet.names.resolve

    async def meanwhile(name: str, port: int) -> Any:
        internet.use_policy("rules:\n  - {block: [meanwhile.example], reason: Not now}")
        return await resolve(name, port)

    internet.names.special["meanwhile.example"] = [("127.0.0.1", internet.origin.http)]
    monkeypatch.setattr(internet.server._addon._upstream, "_resolve", meanwhile)
    request = (
        b"GET http://meanwhile.example/ HTTP/1.1\r\nHost: meanwhile.example\r\nConnection: close\r\n\r\n"
    )
    reply = internet.plain(request)
    assert reply.startswith(b"HTTP/1.1 502 ")
    assert b"This page has just closed" in reply
    assert b"did not answer" not in reply
    assert internet.untouched
    assert [decision.verdict for _, decision in internet.notes.decisions] == ["allow", "block"]
    assert b"Not now" in internet.plain(request)


PROBES = {
    "connectivitycheck.gstatic.com/generate_204": b"",
    "captive.apple.com/hotspot-detect.html": b"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>",
    "www.msftconnecttest.com/connecttest.txt": b"Microsoft Connect Test",
    "detectportal.firefox.com/success.txt": b"success\n",
    "connectivity-check.ubuntu.com/": b"",
    "ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab": b"MSCF"
    + bytes(200),
}


@pytest.mark.parametrize("address", [PUPIL, STAFF, "127.0.30.5"])
@pytest.mark.parametrize("where", PROBES)
def test_probes_of_operating_systems_are_left_alone(internet: Any, where: str, address: str) -> None:
    """What devices ask to see whether they are online, and for updates, comes back octet for octet."""
    host, _, path = where.partition("/")
    kind = "text/html"
    internet.origin.replies[where] = (kind, PROBES[where], True)
    head = (
        f"GET http://{where} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: probe/1.0\r\nConnection: close\r\n\r\n"
    )
    reply = internet.plain(head.encode(), address)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.partition(b"\r\n\r\n")[2] == PROBES[where]
    [seen] = internet.origin.seen
    assert (seen.host, seen.path, seen.headers["user-agent"]) == (host, f"/{path}", ["probe/1.0"])
    assert not internet.notes.techniques


def test_hints_to_leave_for_http3_are_removed(internet: Any) -> None:
    """`Alt-Svc` is removed over TLS and in the clear (A3.1)."""
    head = b"GET http://fine.example/ HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n"
    for reply in (internet.get("fine.example"), internet.plain(head)):
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert b"alt-svc" not in reply.lower()


def test_hints_to_leave_for_http3_are_removed_over_http2(internet: Any) -> None:
    """The field and the frame (RFC 7838 4) do not come through over HTTP/2, from a site that speaks it; HSTS does."""
    with Flood(ca=internet.origin._ca) as flood:
        internet.names.special["fine.example"] = [("127.0.0.1", flood.port)]
        with internet.http2("fine.example") as client:
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(
                stream,
                [
                    (":method", "GET"),
                    (":scheme", "https"),
                    (":authority", "fine.example"),
                    (":path", "/hints"),
                ],
                end_stream=True,
            )
            client._flush()
            seen: list[Any] = []
            while not any(isinstance(one, h2.events.StreamEnded) for one in seen):
                seen += client._receive()
        assert flood.heads[-1][":path"] == "/hints"  # over HTTP/2
    [response] = [one for one in seen if isinstance(one, h2.events.ResponseReceived)]
    assert dict(response.headers)[b"strict-transport-security"] == b"max-age=63072000"
    assert b"alt-svc" not in dict(response.headers)
    assert not [one for one in seen if isinstance(one, h2.events.AlternativeServiceAvailable)]


@pytest.mark.parametrize("address", [PUPIL, STAFF])
def test_strict_transport_security_of_a_site_comes_through(internet: Any, address: str) -> None:
    """What a site says about TLS only (RFC 6797) reaches the browser as it was said, opened or passed on."""
    kind = "text/plain\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains; preload"
    internet.origin.replies["/hsts"] = (kind, b"x", True)
    reply = internet.get("fine.example", "/hsts", address).lower()
    assert b"strict-transport-security: max-age=31536000; includesubdomains; preload\r\n" in reply


def test_page_exception_is_not_stretched_over_http2(internet: Any) -> None:
    """Over HTTP/2 too, only the plain spelling of an open page is forwarded (A4.6)."""
    with internet.http2("blocked.example") as client:
        paths = ["/ourschool", "/ourschool/../groups", "/ourschool/%2e%2e/groups", "//ourschool", "/ourschool;/../groups",
                 "/OURSCHOOL", "/ourschool%2f..%2fgroups", "/ourschool/..;/groups", "/./ourschool"]  # fmt: skip
        statuses = [client.request("blocked.example", path)[0] for path in paths]
    assert statuses == [200] + [403] * (len(paths) - 1)
    assert [seen.path for seen in internet.origin.seen] == ["/ourschool"]
