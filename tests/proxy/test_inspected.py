"""What happens inside connections that are decrypted, and on plain HTTP."""

import json
import ssl
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

STAFF = "127.0.10.5"


def test_blocked_https_gets_the_page_without_upstream_contact(internet: Any) -> None:
    """A blocked site over HTTPS answers 403 with our page, and nothing leaves the box."""
    reply = internet.get("blocked.example")
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert b"not for school" in reply
    assert b"Pupils may not use &lt;social media&gt;" in reply
    assert internet.untouched


def test_allowed_https_reaches_the_origin(internet: Any) -> None:
    """An allowed site is fetched under its own name, and the hint to leave for HTTP/3 is taken out."""
    reply = internet.get("fine.example", "/page?q=1")
    assert reply.startswith(b"HTTP/1.1 200 ")
    [seen] = internet.origin.seen
    assert (seen.sni, seen.host, seen.path) == ("fine.example", "fine.example", "/page?q=1")
    assert b"alt-svc" not in reply.lower()


def test_blocked_http_gets_the_page(internet: Any) -> None:
    """A blocked site over plain HTTP answers 403 with our page, and nothing leaves the box."""
    reply = internet.plain(
        b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\nConnection: close\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert internet.untouched


def test_allowed_http_reaches_the_origin_in_origin_form(internet: Any) -> None:
    """Plain HTTP through the proxy is forwarded in origin form under the judged name."""
    reply = internet.plain(
        b"GET http://Fine.Example./x HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n"
    )
    assert reply.startswith(b"HTTP/1.1 200 ")
    [seen] = internet.origin.seen
    assert (seen.host, seen.path) == ("fine.example", "/x")


def test_fronting_a_blocked_name_is_blocked(internet: Any) -> None:
    """A blocked Host inside a connection for an allowed name gets the page."""
    reply = internet.get("blocked.example", sni="fine.example")
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert "fronting" in internet.notes.techniques
    assert internet.untouched


def test_another_allowed_name_on_the_connection_is_misdirected(internet: Any) -> None:
    """An allowed Host on a connection for another name is answered 421, so that browsers open a new one."""
    reply = internet.get("other.example", sni="fine.example")
    assert reply.startswith(b"HTTP/1.1 421 ")
    assert internet.untouched


def test_http2_blocks_one_stream_and_serves_the_next(internet: Any) -> None:
    """Over HTTP/2 a page exception is served and the page beside it is blocked, on one connection."""
    with internet.http2("blocked.example") as client:
        assert client.request("blocked.example", "/groups")[0] == 403
        assert client.request("blocked.example", "/ourschool/news")[0] == 200
        assert client.request("blocked.example", "/groups")[0] == 403
    assert [seen.path for seen in internet.origin.seen] == ["/ourschool/news"]


def test_http2_fronting_is_refused(internet: Any) -> None:
    """An HTTP/2 authority other than the TLS name never leaves the box."""
    with internet.http2("fine.example") as client:
        assert client.request("blocked.example")[0] == 403
        assert client.request("other.example")[0] == 421
        assert client.request("fine.example", extra=[("host", "blocked.example")])[0] in {0, 400}
    assert internet.untouched


def test_http2_request_cannot_hide_another(internet: Any) -> None:
    """A line break in an HTTP/2 path never becomes a second request upstream."""
    with internet.http2("fine.example") as client:
        path = "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /s"
        assert client.request("fine.example", path)[0] in {0, 400}
    assert internet.untouched


def test_page_exception_serves_only_that_page(internet: Any) -> None:
    """A path exception opens that page and what lies below it, however the path is spelt."""
    paths = {
        "/ourschool": 200,
        "/ourschool/x": 200,
        "/ourschoolx": 403,
        "/ourschool/../groups": 403,
        "/ourschool/%2e%2e/groups": 403,
        "/ourschool/%252e%252e/groups": 403,
        "/ourschool%2f..%2fgroups": 403,
        "/ourschool\\..\\groups": 403,
        "//ourschool/../groups": 403,
        "/groups?x=/ourschool": 403,
        "/ourschool;/../groups": 403,
        "/groups/../ourschool": 403,
    }
    got = {path: int(internet.get("blocked.example", path).split(b" ")[1]) for path in paths}
    assert got == paths
    assert [seen.path for seen in internet.origin.seen] == ["/ourschool", "/ourschool/x"]
    assert "path_trick" in internet.notes.techniques


@pytest.mark.parametrize(
    "host",
    [
        "BLOCKED.EXAMPLE",
        "blocked.example.",
        "blocked.example.:443",
        "WwW.BloCked.Example",
        "\uff42locked\u3002example",
    ],
)
def test_spelling_of_the_host_changes_nothing(internet: Any, host: str) -> None:
    """Every spelling of a blocked name is blocked: case, trailing dot, port, full width."""
    with internet.tls("www.blocked.example" if host.startswith("W") else "blocked.example") as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 403"
    assert internet.untouched


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET http://blocked.example/ HTTP/1.1\r\nHost: fine.example\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: fine.example\r\nHost: blocked.example\r\n", 400),
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.0\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: fine.example@blocked.example\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: fine_%41.example\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: fine.example:99999\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: fine.example:22\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: fine.example\r\n blocked.example\r\n", 400),
        ("SSTP_DUPLEX_POST / HTTP/1.1\r\nHost: fine.example\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: fine.example\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: fine.example\r\nUpgrade: DERP\r\nConnection: upgrade\r\n", 403),
        ("GET /q HTTP/1.1\r\nHost: fine.example\r\nAccept: application/dns-message\r\n", 403),
        (
            "GET /q?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\nHost: fine.example\r\n",
            403,
        ),
        ("POST / HTTP/1.1\r\nHost: fine.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400),
        ("CONNECT blocked.example:443 HTTP/1.1\r\nHost: blocked.example\r\n", 400),
    ],
)
def test_ambiguous_and_odd_heads_are_refused(internet: Any, head: str, status: int) -> None:
    """A request that names no host, two hosts or an odd one, or that asks for a tunnel, goes nowhere."""
    with internet.tls("fine.example") as connection:
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()
    assert internet.untouched
    assert internet.notes.techniques
    assert not internet.notes.faults


def test_numeric_host_is_one_address(internet: Any) -> None:
    """Every numeric spelling of a private address is that address, and refused."""
    for host in (
        "127.0.0.9",
        "0x7f.9",
        "2130706441",
        "127.9",
        "[::1]",
        "[::ffff:127.0.0.9]",
        "169.254.169.254",
    ):
        head = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        reply = internet.plain(head.encode())
        assert reply.startswith(b"HTTP/1.1 403 "), (host, reply[:80])
    assert internet.untouched


def test_upstream_that_switches_protocols_unasked_is_cut(internet: Any) -> None:
    """A 101 to anything but a websocket never becomes a tunnel."""
    reply = internet.get("fine.example", "/switch")
    assert b" 101 " not in reply[:16]


def test_upload_is_streamed(internet: Any) -> None:
    """A request body reaches the origin whole: with a length, in chunks, and over HTTP/2 with and without a length."""
    head = b"POST /up HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n"
    chunks = b"".join(b"3e8\r\n" + b"y" * 1000 + b"\r\n" for _ in range(30)) + b"0\r\n\r\n"
    for rest in (
        b"Content-Length: 30000\r\n\r\n" + b"x" * 30_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        b"Expect: 100-continue\r\nContent-Length: 30000\r\n\r\n" + b"x" * 30_000,
    ):
        with internet.tls("fine.example") as connection:
            connection.sendall(head + rest)
            assert b"got 30000 bytes" in b"".join(iter(lambda: connection.recv(4096), b""))
    with internet.http2("fine.example") as client:
        for extra in ([("content-length", "300000")], []):
            status, body = client.request(
                "fine.example", "/up", method="POST", body=b"x" * 300_000, extra=extra
            )
            assert (status, body) == (200, b"origin A got 300000 bytes")


def test_http2_body_is_never_a_request_of_its_own(internet: Any) -> None:
    """A body without a length does not turn into a hidden request where the upstream speaks HTTP/1."""
    hidden = b"GET /hidden HTTP/1.1\r\nHost: blocked.example\r\n\r\n"
    with internet.http2("fine.example") as client:
        for method in ("POST", "GET", "OPTIONS", "PUT"):
            assert client.request("fine.example", "/open", method=method, body=hidden)[0] == 200
    assert [seen.path for seen in internet.origin.seen] == ["/open"] * 4


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("length", ["Content-Length: 10000000000", "Transfer-Encoding: chunked"])
def test_a_refused_upload_is_answered_at_its_head(internet: Any, length: str, expect: str) -> None:
    """The page is there before a byte of the body was sent, and nobody is asked to go on."""
    with internet.tls("blocked.example") as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: blocked.example\r\n{length}\r\n{expect}\r\n".encode())
        connection.settimeout(10)
        assert connection.recv(12) == b"HTTP/1.1 403"
    assert internet.untouched


def test_a_refused_upload_may_end_and_the_connection_goes_on(internet: Any) -> None:
    """A client that sends all of a refused upload first sees the page then, and uses the connection again."""
    head = b"POST / HTTP/1.1\r\nHost: blocked.example\r\nContent-Length: 8000000\r\n\r\n"
    with internet.tls("blocked.example") as connection:
        connection.sendall(head + b"x" * 8_000_000)
        reply = connection.recv(65536)
        assert reply.startswith(b"HTTP/1.1 403 ")
        connection.settimeout(1)
        with suppress(TimeoutError):
            while connection.recv(65536):
                pass
        connection.settimeout(10)
        connection.sendall(b"GET /ourschool HTTP/1.1\r\nHost: blocked.example\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_refused_upload_without_end_is_cut(internet: Any) -> None:
    """Nobody reads a refused upload for ever, over HTTP/1; over HTTP/2 its stream ends and the others go on."""
    with internet.tls("blocked.example") as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: blocked.example\r\nContent-Length: 10000000000\r\n\r\n")
        with pytest.raises(OSError):
            connection.sendall(b"x" * 64_000_000)
    with internet.http2("blocked.example") as client:
        assert client.request("blocked.example", "/", method="POST", body=b"x" * 300_000)[0] == 403
        assert client.request("blocked.example", "/ourschool")[0] == 200
    assert [seen.path for seen in internet.origin.seen] == ["/ourschool"]


def test_program_gets_a_problem_document(internet: Any) -> None:
    """A script that accepts JSON is told in JSON; an image gets an empty body."""
    reply = internet.get("blocked.example", headers="Sec-Fetch-Dest: empty\r\nAccept: application/json\r\n")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["reason"] == "rule"
    image = internet.get("blocked.example", headers="Sec-Fetch-Dest: image\r\nAccept: image/*\r\n")
    assert image.startswith(b"HTTP/1.1 403 ")
    assert image.endswith(b"\r\n\r\n")


def test_time_block_says_when_it_opens(internet: Any) -> None:
    """A site that is closed for the lesson says when it opens, by the school's clock."""
    assert b"from 10:30" in internet.get("lessons.example")
    internet.now[0] = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
    assert internet.get("lessons.example").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("address", ["127.0.20.5", STAFF])
def test_stream_is_closed_when_the_lesson_begins(internet: Any, address: str) -> None:
    """A stream that began in the break ends with it, whether it is decrypted or passed through."""
    internet.now[0] = datetime(2026, 11, 23, 10, 40, tzinfo=UTC)
    with internet.tls("lessons.example", address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: lessons.example\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
        internet.now[0] = datetime(2026, 11, 23, 10, 50, tzinfo=UTC)
        began = time.monotonic()
        while connection.recv(65536):
            assert time.monotonic() - began < 5


def test_rebinding_and_the_proxy_itself_are_refused(internet: Any) -> None:
    """A name that leads to a private address, or back to the proxy, is refused without a connection (A1.13, A4.8)."""
    internet.names.special["rebind.example"] = [("10.0.0.1", 443), ("169.254.169.254", 80)]
    internet.names.special["loop.example"] = [("127.0.0.1", internet.port)]
    for host in ("rebind.example", "loop.example"):
        assert internet.get(host).startswith(b"HTTP/1.1 403 ")
        with pytest.raises(OSError, match="UNRECOGNIZED_NAME"):
            internet.tls(host, "127.0.30.5")
    assert internet.notes.techniques == ["rebinding"] * 4
    assert internet.untouched


def test_block_is_noted_though_the_client_hangs_up(internet: Any) -> None:
    """An app that rejects our certificate before it asks for anything still leaves the block in the records."""
    context = ssl.create_default_context(cafile=str(internet.origin_ca))
    with internet.tunnel("instagram.com") as raw, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(raw, server_hostname="instagram.com")
    deadline = time.monotonic() + 5
    while not internet.notes.decisions and time.monotonic() < deadline:
        time.sleep(0.01)
    [(attempt, decision)] = internet.notes.decisions
    assert (attempt.host, decision.blocked) == ("instagram.com", True)
    assert internet.notes.techniques == ["client_distrust"]


def test_websocket_works(internet: Any) -> None:
    """Websocket messages pass both ways; what is none ends it."""
    with internet.tls("fine.example") as connection:
        connection.sendall(
            b"GET /ws HTTP/1.1\r\nHost: fine.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        reply = b""
        while not reply.endswith(b"\r\n\r\n"):
            reply += connection.recv(1)
        assert reply.startswith(b"HTTP/1.1 101 ")
        for _ in range(20):
            connection.sendall(b"\x81\x84\x00\x00\x00\x00ping")  # masked with zeros
            assert connection.recv(2) + connection.recv(4) == b"\x81\x04ping"
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        with suppress(OSError):
            assert connection.recv(100) == b""


def test_stream_of_a_closing_page_ends_though_another_page_stays_open(internet: Any) -> None:
    """What one page of a host may do does not keep a stream from another page alive."""
    internet.now[0] = datetime(2026, 11, 23, 10, 40, tzinfo=UTC)
    with internet.http2("mixed.example") as client:
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "mixed.example"), (":path", "/slow")]
        client.h2.send_headers(client.h2.get_next_available_stream_id(), head, end_stream=True)
        client._flush()
        while not any(type(event).__name__ == "DataReceived" for event in client._receive()):
            pass
        assert client.request("mixed.example", "/open")[0] == 200
        internet.now[0] = datetime(2026, 11, 23, 10, 50, tzinfo=UTC)
        began = time.monotonic()
        while client.socket.recv(65536):
            assert time.monotonic() - began < 5


def test_name_without_an_address_is_told_so(internet: Any) -> None:
    """A name that does not exist is a clear 502 of our own."""
    reply = internet.get("gone.invalid")
    assert reply.startswith(b"HTTP/1.1 502 ")
    assert b"There is no site called gone.invalid" in reply
    assert b"mitmproxy" not in reply
