"""Ways round the filter by TLS, a test for each line of the list of techniques (A2.1 to A2.7).

The proxy's share of each, against the real proxy on real sockets, and both sides are looked at: what the client got,
and that no origin saw anything. What DNS does for A2.1 is in tests/dns, what the firewall does in tests/e2e.
"""

import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import pytest

from schoolgate_proxy.once import Once

PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"
OK, BAD = "fine.example", "blocked.example"
ENTIRELY_BAD = "instagram.com"  # not a page of it is open: the gate shows the page by itself
WHERE_CLIENTS_BELIEVE_IT = "192.0.2.1"


def _issuer(connection: ssl.SSLSocket | ssl.SSLObject) -> str:
    return str((connection.getpeercert() or {})["issuer"])


def _handshake(raw: socket.socket, context: ssl.SSLContext, name: str | None, change: Any) -> ssl.SSLObject:
    """Send a ClientHello in the pieces that `change` makes of it, 50 ms apart, and finish the handshake."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    for piece in change(outgoing.read()):
        raw.sendall(piece)
        time.sleep(0.05)
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            if not (data := raw.recv(65536)):
                raise ConnectionResetError("closed in the handshake") from None
            incoming.write(data)
        else:
            raw.sendall(outgoing.read())
            return connection


def _with_extension(hello: bytes, kind: bytes) -> bytes:
    """Return a ClientHello in one record with one more, empty-handed extension."""
    extension = kind + b"\x00\x02\x00\x00"
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at]
    length = int.from_bytes(hello[at : at + 2]) + len(extension)
    message = hello[9:at] + length.to_bytes(2) + hello[at + 2 :] + extension
    return hello[:3] + (len(message) + 4).to_bytes(2) + b"\x01" + len(message).to_bytes(3) + message


def test_a2_1_ech_is_opened_under_its_outer_name(internet: Any) -> None:
    """The public name of ECH is opened with our certificate, so that the client gives up ECH; no site is contacted."""
    with internet.tunnel("cloudflare-ech.com") as raw:
        connection = _handshake(raw, internet.context(), "cloudflare-ech.com", lambda hello: [hello])
        assert "Schoolgate" in _issuer(connection)
    assert internet.untouched
    assert not internet.notes.techniques  # a name like any other, where nothing is encrypted


@pytest.mark.parametrize("name", ["cloudflare-ech.com", "ech-public.atmeta.com"])
def test_a2_1_an_outer_name_is_noted_where_it_is_opened(internet: Any, name: str) -> None:
    """A real ECH is noted on a network that opens everything too; it goes no further than to us."""
    with internet.tunnel(name) as raw, suppress(ssl.SSLError, OSError):  # not the hello the library wrote
        _handshake(raw, internet.context(), name, lambda hello: [_with_extension(hello, b"\xfe\x0d")])
    assert internet.notes.techniques.count("ech") == 1
    assert internet.untouched
    deadline = time.monotonic() + 20
    while len(internet.server._addon._connections) and time.monotonic() < deadline:
        time.sleep(0.05)  # what this client says against our certificate belongs to this test


def test_a2_1_ech_is_refused_where_nothing_is_opened(internet: Any) -> None:
    """On a network that opens nothing the public name of ECH goes nowhere, and is noted."""
    with internet.tunnel("cloudflare-ech.com", GUEST) as raw, pytest.raises((ssl.SSLError, OSError)):
        _handshake(
            raw, internet.context(), "cloudflare-ech.com", lambda hello: [_with_extension(hello, b"\xfe\x0d")]
        )
    assert internet.notes.techniques == ["ech"]
    assert internet.untouched


def test_a2_1_grease_is_no_attempt(internet: Any) -> None:
    """The extension by itself, which browsers send everywhere, changes nothing and is not counted."""
    with internet.tunnel(OK, GUEST) as raw:
        with suppress(ssl.SSLError):  # the origin meets a hello that the client's own library did not write
            _handshake(raw, internet.context(), OK, lambda hello: [_with_extension(hello, b"\xfe\x0d")])
        assert internet.origin.accepted == 1
    assert not internet.notes.techniques


def test_a2_1_grease_is_counted_as_information(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hello with the extension is counted, by whether it shows a known outer name."""
    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        internet.server._gate.counters, "ech_seen", lambda network, *, outer: seen.append((network, outer))
    )
    for name in (OK, "cloudflare-ech.com"):
        with internet.tunnel(name, GUEST) as raw, suppress(ssl.SSLError, OSError):
            _handshake(raw, internet.context(), name, lambda hello: [_with_extension(hello, b"\xfe\x0d")])
    assert seen == [("guests", False), ("guests", True)]


@pytest.mark.parametrize("source", [PUPIL, GUEST])
def test_a2_2_no_server_name_is_no_tunnel(internet: Any, source: str) -> None:
    """A ClientHello without a name is refused, or opened with our certificate: it never reaches the address."""
    context = internet.context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with internet.tunnel(WHERE_CLIENTS_BELIEVE_IT, source) as raw, suppress(ssl.SSLError, OSError):
        connection = _handshake(raw, context, None, lambda hello: [hello])
        assert source == PUPIL, "nothing is opened for guests"
        assert connection.version()
    assert "no_sni" in internet.notes.techniques
    assert internet.untouched


def test_a2_3_server_name_leads_to_where_the_name_lives(internet: Any) -> None:
    """A passed name with another site's address reaches the site of the name, never the address."""
    internet.names.special["bank.example"] = [("127.0.0.1", internet.elsewhere.https)]
    raw = internet.tunnel(WHERE_CLIENTS_BELIEVE_IT)
    with internet.context().wrap_socket(raw, server_hostname="bank.example") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: bank.example\r\nConnection: close\r\n\r\n")
        assert b"origin B" in b"".join(iter(lambda: connection.recv(4096), b""))
    assert internet.elsewhere.accepted == 1
    assert not internet.origin.accepted


@pytest.mark.parametrize("name", ["bank.example", OK], ids=["passed on", "opened"])
def test_a2_3_another_address_under_an_allowed_name_is_noted(internet: Any, name: str) -> None:
    """An allowed name at an address that is none of its own is noted, once an hour; at a neighbour's it is not."""
    internet.server._gate._strange = internet.server._addon._requests._strange = Once()
    internet.server._addon._upstream._seen.clear()
    head = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    for address in ("127.0.0.77", WHERE_CLIENTS_BELIEVE_IT, WHERE_CLIENTS_BELIEVE_IT):
        with (
            internet.tunnel(address) as raw,
            internet.context().wrap_socket(raw, server_hostname=name) as made,
        ):
            made.sendall(head)
            assert made.recv(12) == b"HTTP/1.1 200"
        assert internet.notes.techniques == ([] if address == "127.0.0.77" else ["sni_ip_mismatch"])


def test_a2_3_upstream_that_is_not_the_name_is_refused(internet: Any) -> None:
    """An opened name whose site has another's certificate gets our page, and the request is not sent."""
    internet.names.special["spoof.example"] = [("127.0.0.1", internet.elsewhere.https)]
    internet.elsewhere._contexts["spoof.example"] = internet.elsewhere._context("not-it.example")
    assert internet.get("spoof.example").startswith(b"HTTP/1.1 502 ")
    assert not internet.elsewhere.seen


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize(
    ("inner", "status", "technique"), [(BAD, 403, "fronting"), ("other.example", 421, "misdirected")]
)
def test_a2_4_fronting_is_refused(
    internet: Any, inner: str, status: int, technique: str, *, http2: bool
) -> None:
    """A request for another name than the connection's is blocked or misdirected, and the origin sees none.

    Only one for a blocked name is held against anyone: browsers use one connection for several sites by themselves.
    """
    if http2:
        with internet.http2(OK) as client:
            assert client.request(inner)[0] == status
    else:
        assert internet.get(inner, sni=OK).startswith(f"HTTP/1.1 {status} ".encode())
    assert internet.notes.techniques == [technique]
    assert internet.untouched


@pytest.mark.parametrize("sizes", [(1,), (2,), (3,), (1, 1, 1), (4, 1), (5,), (6, 40)])
@pytest.mark.parametrize("name", [BAD, OK])
def test_a2_5_split_hello_shows_our_certificate(internet: Any, sizes: tuple[int, ...], name: str) -> None:
    """However the ClientHello is cut, it is judged whole and opened by us."""

    def cut(hello: bytes) -> list[bytes]:
        pieces = []
        for size in sizes:
            pieces.append(hello[:size])
            hello = hello[size:]
        return [*pieces, hello]

    with internet.tunnel(name) as raw:
        assert "Schoolgate" in _issuer(_handshake(raw, internet.context(), name, cut))
    assert internet.untouched


@pytest.mark.parametrize("first", [b"G", b"GE", b"\r\n", b"\r"])
def test_a2_5_split_request_is_judged(internet: Any, first: bytes) -> None:
    """A request line cut anywhere, or after an empty line, is judged as a request."""
    rest = f"GET http://{BAD}/ HTTP/1.1\r\nHost: {BAD}\r\n\r\n".encode().removeprefix(first)
    with internet.connect() as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.sendall(first)
        time.sleep(0.1)
        raw.sendall(rest)
        assert raw.recv(12) == b"HTTP/1.1 403"
    assert internet.untouched


@pytest.mark.parametrize("name", [OK, BAD])
def test_a2_6_client_that_trusts_nobody_else_is_counted(internet: Any, name: str) -> None:
    """A client that rejects our certificate is `client_distrust`, for an allowed and for a blocked name."""
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(internet.tunnel(name), server_hostname=name)
    deadline = time.monotonic() + 10
    while "client_distrust" not in internet.notes.techniques:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert internet.untouched


def test_a2_6_blocked_names_stay_blocked_before_certificates_matter(internet: Any) -> None:
    """Where nothing is opened a blocked name is refused by its name, whatever the client trusts."""
    with internet.tunnel(WHERE_CLIENTS_BELIEVE_IT, GUEST) as raw, pytest.raises((ssl.SSLError, OSError)):
        internet.context().wrap_socket(raw, server_hostname=BAD)
    assert internet.untouched


@pytest.mark.parametrize("name", [OK, BAD, ENTIRELY_BAD])
@pytest.mark.parametrize(
    "data", [b"\x00\x01tunnel\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05hello", b"\x05\x01\x00"]
)
def test_a2_7_what_is_not_http_inside_tls_goes_nowhere(internet: Any, name: str, data: bytes) -> None:
    """Bytes that are no HTTP, TLS in TLS among them, end an opened connection: no byte reaches an origin."""
    with internet.tls(name) as connection:
        connection.sendall(data)
        with suppress(OSError):
            assert connection.recv(100) == b""
    assert len(data) < 5 or internet.notes.techniques == ["non_http_tls"]
    assert internet.untouched
