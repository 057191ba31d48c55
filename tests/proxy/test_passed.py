"""What happens to connections that are not decrypted: passed on to the right address, or refused at once."""

import ssl
import time
from typing import Any

import pytest

PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"


def _issuer(connection: ssl.SSLSocket) -> str:
    certificate = connection.getpeercert() or {}
    return str(certificate.get("issuer"))


@pytest.mark.parametrize(
    ("address", "host", "ours"),
    [
        (PUPIL, "fine.example", True),
        (PUPIL, "bank.example", False),
        (PUPIL, "blocked.example", True),
        (STAFF, "fine.example", False),
        (STAFF, "bank.example", False),
        (STAFF, "blocked.example", True),
        (STAFF, "instagram.com", True),
        (GUEST, "fine.example", False),
        (GUEST, "bank.example", False),
    ],
)
def test_inspection_decides_whose_certificate_is_seen(
    internet: Any, address: str, host: str, ours: bool
) -> None:
    """`all` opens everything but `never_inspect`, `needed` only what a verdict needs, `names` nothing."""
    with internet.tls(host, address) as connection:
        assert ("Schoolgate" in _issuer(connection)) is ours


def test_passed_connection_carries_content(internet: Any) -> None:
    """A passed-through connection works end to end and is noted once."""
    reply = internet.get("fine.example", "/x", GUEST)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"Alt-Svc" in reply  # untouched
    [(attempt, decision)] = internet.notes.decisions
    assert (attempt.host, attempt.path, decision.network) == ("fine.example", None, "guests")


def test_blocked_name_is_refused_at_connect_where_no_page_can_be_shown(internet: Any) -> None:
    """On a `names` network CONNECT to a blocked name is answered 403."""
    with pytest.raises(ConnectionRefusedError, match="403"):
        internet.tunnel("blocked.example", GUEST)
    assert internet.untouched


def test_blocked_server_name_is_refused_with_an_alert(internet: Any) -> None:
    """A blocked server name behind an address in CONNECT ends in a TLS alert, not in a time-out."""
    with internet.tunnel("192.0.2.1", GUEST) as raw, pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        internet.context().wrap_socket(raw, server_hostname="blocked.example")
    assert internet.untouched


def test_server_name_other_than_the_connect_name_is_refused(internet: Any) -> None:
    """A tunnel asked for one name and used for another is refused."""
    raw = internet.tunnel("fine.example", GUEST)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        internet.context().wrap_socket(raw, server_hostname="blocked.example")
    assert "sni_mismatch" in internet.notes.techniques
    assert internet.untouched


def test_passed_connection_goes_where_the_name_lives(internet: Any) -> None:
    """A client that names a bank but dials another server still reaches the bank (re-anchoring)."""
    internet.names.special["bank.example"] = [("127.0.0.1", internet.elsewhere.https)]
    internet.names.special["192.0.2.7"] = [("127.0.0.1", internet.origin.https)]
    raw = internet.tunnel("192.0.2.7", PUPIL)
    with internet.context().wrap_socket(raw, server_hostname="bank.example") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: bank.example\r\nConnection: close\r\n\r\n")
        assert b"origin B" in b"".join(iter(lambda: connection.recv(4096), b""))
    assert not internet.origin.accepted


def test_no_server_name_is_no_tunnel(internet: Any) -> None:
    """A ClientHello without a server name does not become a tunnel to an address of the client's choice."""
    context = internet.context()
    context.check_hostname = False
    with internet.tunnel("192.0.2.7", GUEST) as raw, pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        context.wrap_socket(raw)
    assert "no_sni" in internet.notes.techniques
    assert internet.untouched


def test_tls_in_tls_is_closed(internet: Any) -> None:
    """A second TLS handshake inside a decrypted connection goes nowhere."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = internet.context().wrap_bio(incoming, outgoing, server_hostname="fine.example")
    with pytest.raises(ssl.SSLWantReadError):
        inner.do_handshake()
    with internet.tls("fine.example") as outer:
        outer.sendall(outgoing.read())
        outer.settimeout(5)
        assert outer.recv(100) == b""
    assert "non_http_tls" in internet.notes.techniques
    assert internet.untouched


def test_dns_over_tls_is_refused_by_its_alpn(internet: Any) -> None:
    """ALPN `dot` on port 443 is refused before anything is dialled."""
    context = internet.context()
    context.set_alpn_protocols(["dot"])
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(internet.tunnel("fine.example", GUEST), server_hostname="fine.example")
    assert "dot" in internet.notes.techniques
    assert internet.untouched


def test_certificate_of_the_wrong_authority_is_not_accepted_upstream(internet: Any, world: Any) -> None:
    """An origin whose certificate does not hold is a 502, never content."""
    internet.names.special["odd.example"] = [("127.0.0.1", internet.elsewhere.https)]
    internet.elsewhere._contexts["odd.example"] = internet.elsewhere._context("someone-else.example")
    reply = internet.get("odd.example")
    assert reply.startswith(b"HTTP/1.1 502 ")
    assert not internet.elsewhere.seen


@pytest.mark.parametrize("port", [22, 25, 8443, 3128])
def test_connect_to_other_ports_is_refused(internet: Any, port: int) -> None:
    """CONNECT is for the web's ports only."""
    with pytest.raises(ConnectionRefusedError, match="403"):
        internet.tunnel("fine.example", port=port)
    assert "proxy_protocol" in internet.notes.techniques


def test_without_inspection_there_is_a_page_in_the_clear_and_a_quick_refusal(internet: Any) -> None:
    """Where nothing is opened, plain HTTP to a blocked site shows the page, and TLS to it is refused at once."""
    page = internet.plain(b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\n\r\n", GUEST)
    assert page.startswith(b"HTTP/1.1 403 ")
    assert b"Pupils may not use &lt;social media&gt;" in page
    began = time.monotonic()
    with internet.tunnel("192.0.2.1", GUEST) as raw, pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        internet.context().wrap_socket(raw, server_hostname="blocked.example")
    assert time.monotonic() - began < 5
    assert internet.untouched


def test_blocks_look_like_what_they_are(internet: Any) -> None:
    """A block that ends shows a clock and its end, one that does not shows neither; parts of pages get small bodies."""
    content, lesson = internet.get("instagram.com"), internet.get("lessons.example")
    assert b"12:10" not in content
    assert b"10:30" in lesson
    assert content.partition(b"<svg")[2][:400] != lesson.partition(b"<svg")[2][:400]
    for part in ("script", "image", "style", "empty"):
        reply = internet.get("instagram.com", headers=f"Sec-Fetch-Dest: {part}\r\n")
        assert reply.startswith(b"HTTP/1.1 403 ")
        assert len(reply.partition(b"\r\n\r\n")[2]) < 1000, part
