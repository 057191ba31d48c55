"""The block page inside TLS comes from the gate: the same page, and safe against every odd client."""

import resource
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest

from schoolgate_policy.decision import Reason, Verdict

PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"
BLOCKED = "instagram.com"  # no page of it is open to anybody


@pytest.fixture(autouse=True)
def _no_mitmproxy(internet: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make the proxy fail where a connection reaches mitmproxy that should not."""
    if "mitmproxy_too" not in request.fixturenames:

        def hand_over(*_: Any, **__: Any) -> None:
            pytest.fail("mitmproxy was given the connection")

        monkeypatch.setattr(internet.server._gate, "hand_over", hand_over)


@pytest.fixture
def mitmproxy_too() -> None:
    """Let mitmproxy have connections too."""


def _ask(connection: ssl.SSLSocket, request: bytes) -> bytes:
    connection.sendall(request)
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _wait(holds: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_page_is_the_one_mitmproxy_shows(internet: Any, mitmproxy_too: None) -> None:
    """Status, header fields and body are those of the page that an HTTP/2 client gets through mitmproxy."""
    reply = internet.get(BLOCKED, "/", headers="Accept: text/html\r\n")
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    with internet.http2(BLOCKED) as client:
        status, other = client.request(BLOCKED, extra=[("accept", "text/html")])
    assert (first, status) == ("HTTP/1.1 403 Forbidden", 403)
    assert body == other
    assert fields["content-length"] == str(len(body))
    assert fields["cache-control"] == "no-store"
    assert fields["content-security-policy"].startswith("default-src 'none'")
    assert len(internet.notes.decisions) == 2
    assert (
        len({(attempt.host, attempt.path, decision.reason) for attempt, decision in internet.notes.decisions})
        == 1
    )
    assert internet.untouched


def test_the_body_suits_what_asks(internet: Any) -> None:
    """A script gets an empty body, a program a problem document, HEAD none."""
    assert internet.get(BLOCKED, headers="Sec-Fetch-Dest: script\r\n").endswith(b"\r\n\r\n")
    assert b"application/problem+json" in internet.get(BLOCKED, headers="Accept: application/json\r\n")
    with internet.tls(BLOCKED) as connection:
        reply = _ask(connection, b"HEAD / HTTP/1.1\r\nHost: instagram.com\r\nAccept: text/html\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert reply.endswith(b"\r\n\r\n")


def test_a_client_is_known_again(internet: Any) -> None:
    """A second connection resumes the TLS session of the first."""
    context = internet.context()
    with context.wrap_socket(internet.tunnel(BLOCKED), server_hostname=BLOCKED) as first:
        assert _ask(first, b"GET / HTTP/1.1\r\nHost: instagram.com\r\n\r\n").startswith(b"HTTP/1.1 403 ")
        session = first.session
    with context.wrap_socket(internet.tunnel(BLOCKED), server_hostname=BLOCKED, session=session) as again:
        assert again.session_reused


def test_old_tls_works_too(internet: Any) -> None:
    """A client of TLS 1.2 gets the page."""
    context = internet.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with context.wrap_socket(internet.tunnel(BLOCKED), server_hostname=BLOCKED) as connection:
        assert _ask(connection, b"GET / HTTP/1.1\r\nHost: instagram.com\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_a_request_in_pieces_is_answered(internet: Any) -> None:
    """Each octet of the request in a record of its own."""
    with internet.tls(BLOCKED) as connection:
        for octet in b"GET /somewhere HTTP/1.1\r\nHost: instagram.com\r\n\r":
            connection.sendall(bytes([octet]))
        assert _ask(connection, b"\n").startswith(b"HTTP/1.1 403 ")


def test_a_post_gets_the_page_before_its_body_is_read(internet: Any) -> None:
    """An upload is answered at its head; the client sees the answer though it still sends."""
    with internet.tls(BLOCKED) as connection:
        head = b"POST / HTTP/1.1\r\nHost: instagram.com\r\nContent-Length: 300000\r\n\r\n"
        assert _ask(connection, head + b"x" * 300_000).startswith(b"HTTP/1.1 403 ")


def test_an_endless_upload_is_cut(internet: Any) -> None:
    """Nobody reads an upload without end."""
    with internet.tls(BLOCKED) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: instagram.com\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
        with pytest.raises(OSError):
            connection.sendall(piece * 4000)  # 32 MB of it are read
    _wait(lambda: internet.server._gate._open == 0)


def test_garbage_after_the_handshake_is_no_http(internet: Any) -> None:
    """What is no HTTP inside TLS ends the connection, and is noted."""
    for garbage in (b"\x00\x01tunnel\n", b"\x16\x03\x01\x02\x00\x01", b"\xff" * 5000):
        with internet.tls(BLOCKED) as connection:
            assert _ask(connection, garbage) == b""
    assert internet.notes.techniques == ["non_http_tls"] * 3
    assert not internet.notes.faults


def test_plain_octets_in_the_middle_of_tls_end_it(internet: Any) -> None:
    """Octets that are no TLS at all end the connection."""
    raw = internet.tunnel(BLOCKED)
    copy = raw.dup()
    with copy, internet.context().wrap_socket(raw, server_hostname=BLOCKED) as connection:
        copy.sendall(b"GET / HTTP/1.1\r\nHost: instagram.com\r\n\r\n")
        with suppress(OSError):
            assert connection.recv(100) == b""
    _wait(lambda: internet.server._gate._open == 0)
    assert not internet.notes.faults


@pytest.mark.parametrize(
    ("request_", "status", "technique"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "smuggling"),
        (b"CONNECT instagram.com:443 HTTP/1.1\r\nHost: instagram.com:443\r\n\r\n", 400, "proxy_protocol"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "host_ambiguity"),
        (b"GET / HTTP/1.1\r\nHost: instagram.com\r\nHost: fine.example\r\n\r\n", 400, "host_ambiguity"),
        (b"BREW / HTTP/1.1\r\nHost: instagram.com\r\n\r\n", 405, "odd_method"),
        (b"GET / HTTP/1.1\r\nHost: fine.example\r\n\r\n", 421, "misdirected"),
        (b"GET / HTTP/1.1\r\nHost: lessons.example\r\n\r\n", 403, "fronting"),
        (b"GET / HTTP/1.1\r\nHost: instagram.com\r\n folded\r\n\r\n", 400, "smuggling"),
    ],
)
def test_odd_requests_are_refused_and_named(
    internet: Any, request_: bytes, status: int, technique: str
) -> None:
    """Each is answered, none goes on, and the technique is noted."""
    with internet.tls(BLOCKED) as connection:
        reply = _ask(connection, request_)
    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert technique in internet.notes.techniques
    assert internet.untouched


def test_a_head_that_never_ends_is_refused(internet: Any) -> None:
    """More than 128 KB of request head is not collected."""
    with internet.tls(BLOCKED) as connection:
        assert _ask(connection, b"GET / HTTP/1.1\r\n" + b"X-Long: y\r\n" * 14_000).startswith(
            b"HTTP/1.1 431 "
        )


def test_a_client_that_does_not_trust_us_is_noted(internet: Any) -> None:
    """The alert of a client without the school's certificate is `client_distrust`, and the block is noted."""
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(internet.tunnel(BLOCKED), server_hostname=BLOCKED)
    _wait(lambda: "client_distrust" in internet.notes.techniques)
    assert [decision.host for _, decision in internet.notes.decisions] == [BLOCKED]


@pytest.mark.parametrize("stage", ["hello", "handshake", "request"])
def test_silent_clients_are_let_go(internet: Any, stage: str) -> None:
    """A client that stops in the handshake or in its request is closed in time."""
    with ExitStack() as stack:
        raw = stack.enter_context(internet.tunnel(BLOCKED))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        half = internet.context().wrap_bio(incoming, outgoing, server_hostname=BLOCKED)
        with suppress(ssl.SSLWantReadError):
            half.do_handshake()
        hello = outgoing.read()
        raw.sendall(hello[:-1] if stage == "hello" else hello)
        if stage == "request":
            while True:
                incoming.write(raw.recv(65536))
                with suppress(ssl.SSLWantReadError):
                    half.do_handshake()
                    break
            half.write(b"GET / HTTP/1.1\r\nHost: inst")
            raw.sendall(outgoing.read())
        began = time.monotonic()
        with suppress(ConnectionResetError):
            while raw.recv(65536):
                pass
        assert time.monotonic() - began < 8
    _wait(lambda: internet.server._gate._open == 0)


def test_a_verdict_that_changes_meanwhile_closes(internet: Any) -> None:
    """A name that is allowed by the time the request comes is not answered here: the client comes again."""
    with internet.tls("lessons.example") as connection:
        internet.now[0] = internet.now[0].replace(hour=18)
        assert _ask(connection, b"GET / HTTP/1.1\r\nHost: lessons.example\r\n\r\n") == b""
    assert internet.untouched


def test_a_failure_of_ours_is_told_and_opens_nothing(internet: Any) -> None:
    """When judging the request raises, the client gets 503, and the failure is noted."""
    with internet.tls(BLOCKED) as connection:
        internet.source.failing = True
        assert _ask(connection, b"GET / HTTP/1.1\r\nHost: instagram.com\r\n\r\n").startswith(b"HTTP/1.1 503 ")
    assert internet.notes.faults
    assert internet.untouched


def test_a_verdict_that_fails_gets_a_page(internet: Any) -> None:
    """An engine that can only say `error` blocks with a page that blames nobody."""
    engine = internet.source.good
    internet.source.good = _Error(engine)
    try:
        assert internet.get("fine.example").startswith(b"HTTP/1.1 503 ")
    finally:
        internet.source.good = engine
    assert internet.untouched


class _Error:
    """An engine that cannot judge."""

    def __init__(self, engine: Any) -> None:
        self.policy = engine.policy
        self.opens_at = engine.opens_at
        self._engine = engine

    def decide(self, attempt: Any) -> Any:
        decision = self._engine.decide(attempt)
        return replace(decision, verdict=Verdict.BLOCK, reason=Reason.ERROR, open_tls=True)


def test_pages_give_their_files_back(internet: Any) -> None:
    """A hundred clients that leave at any stage leave nothing open."""
    gate = internet.server._gate
    _wait(lambda: gate._open == 0)
    for number in range(40):
        raw = internet.tunnel(BLOCKED)
        if number % 2:
            with (
                suppress(OSError),
                internet.context().wrap_socket(raw, server_hostname=BLOCKED) as connection,
            ):
                if number % 4 == 1:
                    _ask(connection, b"GET / HTTP/1.1\r\nHost: instagram.com\r\n\r\n")
        raw.close()
    _wait(lambda: gate._open == 0)
    assert not gate._visitors
    assert not gate._answered
    assert not internet.notes.faults


def test_many_half_shaken_hands_keep_nobody_out(internet: Any) -> None:
    """A thousand clients that stop in the handshake do not delay the page of another."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 4000:
        pytest.skip("too few files may be open here")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = internet.context().wrap_bio(incoming, outgoing, server_hostname=BLOCKED)
    with suppress(ssl.SSLWantReadError):
        half.do_handshake()
    hello = outgoing.read()
    with ExitStack() as stack:
        for number in range(1000):
            raw: socket.socket = stack.enter_context(internet.tunnel(BLOCKED, f"127.0.20.{20 + number % 50}"))
            raw.sendall(hello)
        assert internet.get(BLOCKED).startswith(b"HTTP/1.1 403 ")
    _wait(lambda: internet.server._gate._open == 0)
