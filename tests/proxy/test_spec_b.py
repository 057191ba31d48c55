"""The traps of mitmproxy, a test for each that concerns us (B-T1 to B-T26, B5, B6).

T1 and T2 are A2.5 (test_spec_a2.py), T3 is A4.9 and T24b A4.3 (test_spec_a4.py), T9 is A3.12 (test_spec_a3.py), T13 A2.3;
what concerns REDIRECT and global IPv6 addresses is in test_transparent.py and tests/e2e.
"""

import ssl
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from schoolgate_proxy import certificates
from schoolgate_proxy.wire.websocket import Counted, Frames, NotAFrame

PUPIL, GUEST = "127.0.20.5", "127.0.30.5"
OK, BAD = "fine.example", "blocked.example"


def _ask(connection: ssl.SSLSocket, host: str, path: str = "/", more: str = "") -> bytes:
    """Send a request on a kept connection and return the head and what came with it."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            break
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return data


def test_b_t4_a_dead_site_s_block_page_needs_no_site(internet: Any) -> None:
    """A blocked page below an open name shows its page though the site is dead: nothing is dialled for it."""
    internet.names.special[BAD] = [("127.0.0.1", 9)]
    assert internet.get(BAD).startswith(b"HTTP/1.1 403 ")
    assert internet.untouched


def test_b_t5_an_answer_is_given_before_octets_leave(internet: Any) -> None:
    """A refused upload is refused at its head: the origin never sees a byte of it."""
    with internet.tls(BAD) as connection:
        connection.sendall(f"PUT / HTTP/1.1\r\nHost: {BAD}\r\nContent-Length: 9\r\n\r\n".encode() + b"x" * 9)
        assert connection.recv(12) == b"HTTP/1.1 403"
    assert internet.untouched


@pytest.mark.parametrize("body", [b"", b"x" * 100_000])
def test_b_t6_an_answer_and_streaming_go_together(internet: Any, body: bytes) -> None:
    """A request that would be streamed is answered all the same, and the client does not hang."""
    with internet.http2(BAD) as client:
        assert client.request(BAD, "/", method="POST", body=body)[0] == 403
        assert client.request(BAD, "/ourschool")[0] == 200


def test_b_t14_the_host_of_each_request_counts(internet: Any) -> None:
    """A connection that began well is judged again for each request on it."""
    with internet.tls(OK) as connection:
        assert _ask(connection, OK).startswith(b"HTTP/1.1 200 ")
        assert _ask(connection, BAD).startswith(b"HTTP/1.1 403 ")
        assert _ask(connection, OK).startswith(b"HTTP/1.1 200 ")
    assert {seen.host for seen in internet.origin.seen} == {OK}


def test_b_t17_blocked_and_allowed_streams_share_a_connection(internet: Any) -> None:
    """Over HTTP/2 a block page on one stream is followed by content on the next, and the other way round."""
    with internet.http2(BAD) as client:
        statuses = [
            client.request(BAD, path)[0] for path in ("/", "/ourschool", "/groups", "/ourschool/x", "/")
        ]
    assert statuses == [403, 200, 403, 200, 403]


def test_b_t22_t26_requests_share_an_upstream_connection(internet: Any) -> None:
    """An address that we looked up does not cost the reuse of upstream connections: three requests, one connection."""
    with internet.tls(OK) as connection:
        for _ in range(3):
            assert _ask(connection, OK).startswith(b"HTTP/1.1 200 ")
    assert internet.origin.accepted == 1


def test_b_t23_a_bad_certificate_has_our_own_page(internet: Any) -> None:
    """A site that cannot prove its name gets a page that says so, without the name of any software."""
    internet.origin._contexts["spoof.example"] = internet.origin._context("not-it.example")
    reply = internet.get("spoof.example")
    assert reply.startswith(b"HTTP/1.1 502 ")
    assert b"cannot prove who it is" in reply
    assert b"mitmproxy" not in reply.lower()
    assert not internet.origin.seen


def test_b5_the_store_of_certificates_is_bounded(monkeypatch: pytest.MonkeyPatch, internet: Any) -> None:
    """As many certificates are kept as may be, the newest; one that was let go is made anew."""
    monkeypatch.setattr(certificates, "_KEPT", 10)
    leaves = internet.server._gate.tls._leaves
    first = leaves.certificate("first.example")
    assert leaves.certificate("first.example") is first
    for number in range(30):
        leaves.certificate(f"n{number}.example")
    # One goes for each that comes: what had been kept before the bound was lowered goes first.
    for _ in range(len(leaves._kept)):
        leaves.certificate(f"m{time.monotonic_ns()}.example")
    assert leaves.certificate("first.example") is not first


def test_b5_certificates_name_one_site(internet: Any) -> None:
    """A forged certificate holds the judged name and nothing else, so that browsers do not use it for other sites."""
    with internet.tls(OK) as connection:
        assert connection.getpeercert()["subjectAltName"] == (("DNS", OK),)


def test_b6_events_arrive_as_they_are_sent(internet: Any) -> None:
    """A response without an end is not waited for."""
    with internet.tls(OK) as connection:
        connection.sendall(f"GET /slow HTTP/1.1\r\nHost: {OK}\r\n\r\n".encode())
        data = b""
        connection.settimeout(10)
        while data.count(b"tick") < 3:
            data += connection.recv(4096)


FRAME = b"\x82\xfe\x01\x00" + bytes(4) + b"z" * 256


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_websocket_frames_are_read_in_any_pieces(size: int) -> None:
    """However frames are cut, the same octets are counted."""
    counted = Counted()
    frames = Frames(masked=True, compressed=False, counted=counted)
    data = (
        b"\x81\x85"
        + bytes(4)
        + b"hello"
        + FRAME
        + b"\x89\x80"
        + bytes(4)
        + b"\x82\xff"
        + (9).to_bytes(8)
        + bytes(13)
    )
    data *= 20
    for start in range(0, len(data), size):
        frames.feed(data[start : start + size])
    assert (counted.text, counted.binary) == (100, 20 * 265)


@pytest.mark.parametrize(
    ("data", "masked"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", True),
        (b"\x16\x03\x01\x02\x00\x01\x00", True),
        (b"\x82\x05hello", True),  # a client masks
        (b"\x82\x85" + bytes(4), False),  # a server does not
        (b"\x83\x80" + bytes(4), True),  # no kind of frame
        (b"\xc2\x80" + bytes(4), True),  # compression that was not agreed on
        (b"\x09\x80" + bytes(4), True),  # half a ping
        (b"\x89\xfe\x01\x00" + bytes(4), True),  # a ping that is too long
    ],
)
def test_what_is_no_websocket_frame_is_told(data: bytes, masked: bool) -> None:
    """Other protocols, and frames that RFC 6455 rules out, are refused at their first octets."""
    with pytest.raises(NotAFrame):
        Frames(masked=masked, compressed=False, counted=Counted()).feed(data)


def test_a3_12_a_websocket_that_carries_far_too_much_is_noted(
    internet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A websocket with more binary data than a page needs is `websocket_tunnel`, once; it goes on until the bell."""
    monkeypatch.setattr("schoolgate_proxy.addon._TUNNEL_OCTETS", 40)
    with internet.tls(OK) as connection:
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {OK}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        with suppress(TimeoutError):
            while not connection.recv(4096).endswith(b"\r\n\r\n"):
                pass
        internet.origin.replies.clear()
        for _ in range(5):
            connection.sendall(b"\x81\x84" + bytes(4) + b"ping")
            connection.recv(6)
        time.sleep(1.2)
        assert not internet.notes.techniques  # text is a page's
        counted = next(
            flow.metadata["schoolgate_websocket"]
            for conn in internet.server._addon._connections
            for flow in conn.requests
        )
        counted.binary += 4000
        deadline = time.monotonic() + 10
        while not internet.notes.techniques and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.2)
        assert internet.notes.techniques == ["websocket_tunnel"]
        connection.sendall(b"\x81\x84" + bytes(4) + b"ping")
        assert connection.recv(6)


def _socket(internet: Any, host: str) -> Any:
    """Open a websocket that echoes messages of four octets, at an allowed site."""
    connection = internet.tls(host)
    connection.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return connection


def _is_closed(connection: Any) -> bool:
    """Whether a websocket of ours is closed within some seconds, by a message a second."""
    connection.settimeout(10)
    try:
        for _ in range(8):
            connection.sendall(b"\x81\x84\0\0\0\0ping")
            if not connection.recv(6):
                return True
            time.sleep(0.5)
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("bounds", "notes"),
    [
        ("most_megabytes: 1", ["websocket_tunnel"]),
        ("most_minutes: 5", []),
        ("most_megabytes: 900, most_minutes: 500", None),
    ],
)
def test_a_websocket_is_bounded_where_the_policy_says_so(
    internet: Any, monkeypatch: pytest.MonkeyPatch, bounds: str, notes: list[str] | None
) -> None:
    """What no rule speaks of may last so long, or carry so much; what a rule allows may do more (A3.12)."""
    monkeypatch.setattr(Counted, "octets", 2_000_000)
    internet.use_policy("rules: [{allow: games.example, reason: x}]", network="websockets: {" + bounds + "}")
    began = time.monotonic()
    with _socket(internet, "fine.example") as bounded, _socket(internet, "games.example") as free:
        clock = time.monotonic
        monkeypatch.setattr("schoolgate_proxy.addon.time", SimpleNamespace(monotonic=lambda: clock() + 600))
        assert _is_closed(bounded) is (notes is not None)
        assert not _is_closed(free)
    assert internet.notes.techniques == (notes or [])
    assert time.monotonic() - began < 120
