"""Tunnels and VPNs, a test for each line of the list of techniques that reaches a proxy (A3.1 to A3.16).

What never does is the firewall's: A3.2 (WireGuard), A3.4 (IPsec, L2TP, PPTP, GRE), the UDP side of the others, A3.14
(the same over IPv6) and A3.15 (addresses of other networks) are in tests/e2e, with the real nftables in namespaces;
A3.16 (a phone's own network) is out of reach, and `schoolgate policy limits` says so.
"""

import ssl
import time
from contextlib import ExitStack, suppress
from typing import Any

import h2.events
import pytest

from schoolgate_proxy.gate.pace import Pace

PUPIL, GUEST = "127.0.20.5", "127.0.30.5"
OK, BAD = "fine.example", "blocked.example"
ELSEWHERE = "192.0.2.1"
ENDS = (h2.events.StreamReset, h2.events.StreamEnded, h2.events.ConnectionTerminated)


def _inside(internet: Any, data: bytes, name: str = OK) -> bytes:
    """Send bytes inside an opened connection and return what comes back until it ends."""
    with internet.tls(name) as connection:
        connection.sendall(data)
        parts = []
        with suppress(OSError):
            while part := connection.recv(65536):
                parts.append(part)
                if b"\r\n\r\n" in part:
                    break
        return b"".join(parts)


def _raw(internet: Any, data: bytes, source: str = GUEST) -> bytes:
    """Send bytes through a CONNECT tunnel in place of a ClientHello and return what comes back until it ends."""
    with internet.tunnel(ELSEWHERE, source) as raw:
        raw.sendall(data)
        with suppress(OSError):
            return bytes(raw.recv(4096))
    return b""


def test_a3_1_quic_is_not_offered(internet: Any) -> None:
    """`Alt-Svc`, by which a site offers HTTP/3, does not come through, over HTTP/1 and plain HTTP."""
    reply = internet.get(OK)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"alt-svc" not in reply.lower()
    plain = internet.plain(f"GET http://{OK}/ HTTP/1.1\r\nHost: {OK}\r\nConnection: close\r\n\r\n".encode())
    assert plain.startswith(b"HTTP/1.1 200 ")
    assert b"alt-svc" not in plain.lower()


@pytest.mark.parametrize("source", [PUPIL, GUEST])
def test_a3_3_openvpn_over_tcp_goes_nowhere(internet: Any, source: str) -> None:
    """OpenVPN's first packet on port 443 is neither TLS nor HTTP: closed, noted, and no origin saw it."""
    assert _raw(internet, b"\x00\x0e\x38aaaaaaaa\0\0\0\0\0", source) == b""
    assert internet.notes.techniques == ["non_http"]
    assert internet.untouched


def test_a3_5_sstp_is_refused(internet: Any) -> None:
    """The method of SSTP is refused, also with its endless body, and noted by its name."""
    request = (
        b"SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\nHost: fine.example\r\n"
    )
    assert _inside(internet, request + b"Content-Length: 0\r\n\r\n")[9:12] == b"405"
    assert _inside(internet, request + b"Content-Length: 18446744073709551615\r\n\r\n")[9:12] == b"405"
    assert "sstp" in internet.notes.techniques
    assert internet.untouched


@pytest.mark.parametrize(
    "head",
    [
        "GET /derp HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: DERP\r\n",
        "GET /ts2021 HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n",
        "CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\n",
    ],
)
def test_a3_6_tls_shaped_vpns_get_no_tunnel(internet: Any, head: str) -> None:
    """Tailscale's and AnyConnect's ways into a tunnel are refused with an answer, never 101 or 200."""
    reply = _inside(internet, head.encode() + b"Host: fine.example\r\n\r\n")
    assert reply[9:12] in {b"400", b"403", b"405", b""}
    assert internet.notes.techniques
    assert internet.untouched


def test_a3_6_an_imitated_site_is_the_site_itself(internet: Any) -> None:
    """A server that imitates a site by its name (Reality, Trojan) is never dialled: the name's own address is."""
    internet.names.special["bank.example"] = [("127.0.0.1", internet.elsewhere.https)]
    with (
        internet.tunnel(ELSEWHERE) as raw,
        internet.context().wrap_socket(raw, server_hostname="bank.example"),
    ):
        assert internet.elsewhere.accepted == 1
    assert not internet.origin.accepted


@pytest.mark.parametrize("source", [PUPIL, GUEST])
def test_a3_7_obfuscated_bridges_go_nowhere(internet: Any, source: str) -> None:
    """Bytes that look like nothing (obfs4) are closed at once."""
    assert _raw(internet, bytes((number * 37 + 11) % 256 for number in range(300)), source) == b""
    assert "non_http" in internet.notes.techniques
    assert internet.untouched


def test_a3_7_a_relay_s_random_name_has_no_address(internet: Any) -> None:
    """A Tor relay's name is made up: it is looked up by us, and the address the client dialled is not used."""
    internet.names.special["www.q3xk7c2lmn5a.com"] = []
    with internet.tunnel(ELSEWHERE, GUEST) as raw, pytest.raises((ssl.SSLError, OSError)):
        internet.context().wrap_socket(raw, server_hostname="www.q3xk7c2lmn5a.com")
    assert internet.notes.techniques == ["tor"]
    assert internet.untouched


@pytest.mark.parametrize(
    "name", ["www.perryfields.com", "www.nosuchthing.example", "q3xk7c2lmn5a.com", "www.q3xk7c2lmn5a.invalid"]
)
def test_a3_7_other_names_without_an_address_are_not_tor(internet: Any, name: str) -> None:
    """A misspelt name, or one that could not be looked up, is not held against anyone as Tor."""
    internet.names.special[name] = []
    with internet.tunnel(ELSEWHERE, GUEST) as raw, pytest.raises((ssl.SSLError, OSError)):
        internet.context().wrap_socket(raw, server_hostname=name)
    assert "tor" not in internet.notes.techniques
    assert internet.untouched


def test_a1_14_an_address_known_by_heart_is_noted(internet: Any) -> None:
    """A blocked site at an address that the client brings is judged by its name, and the address is noted."""
    with internet.tunnel(ELSEWHERE, GUEST) as raw, pytest.raises((ssl.SSLError, OSError)):
        internet.context().wrap_socket(raw, server_hostname=BAD)
    assert internet.notes.techniques == ["hardcoded_ip"]
    assert internet.untouched


def test_a3_8_very_many_attempts_leave_others_alone(internet: Any) -> None:
    """A client that tries 120 addresses at once is refused each time, while others are served."""
    with ExitStack() as stack:
        tried = [
            stack.enter_context(internet.tunnel(f"198.51.100.{1 + n}", "127.0.20.66")) for n in range(120)
        ]
        for raw in tried:
            raw.sendall(b"SSH-2.0-psiphon\r\n")
        began = time.monotonic()
        assert internet.get(OK, "/", GUEST).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - began < 10
        for raw in tried:
            with suppress(OSError):
                assert raw.recv(1) == b""
    assert internet.notes.techniques.count("ssh") == 120
    assert internet.notes.techniques.count("fan_out") == 1
    assert internet.origin.accepted == 1


def test_a3_8_a_page_full_of_parts_is_no_flood(internet: Any) -> None:
    """A hundred connections at once, as a page with very many parts opens, are all served."""
    with ExitStack() as stack:
        made = [stack.enter_context(internet.connect("127.0.20.67")) for _ in range(100)]
        for connection in made:
            connection.sendall(f"GET http://{OK}/ HTTP/1.1\r\nHost: {OK}\r\n\r\n".encode())
        assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in made)


def test_a3_8_whoever_opens_connections_without_end_is_turned_away(
    internet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than so many connections in five seconds are closed and counted; others are served, and later so is he."""
    gate, why = internet.server._gate, []
    monkeypatch.setattr(gate, "_pace", Pace(30))  # so few that a busy machine is fast enough
    monkeypatch.setattr(gate.counters, "connection_turned_away", why.append)
    greedy = "127.0.20.68"
    with ExitStack() as stack:
        for _ in range(400):
            with suppress(ConnectionResetError):  # turned away before `connect` has returned
                stack.enter_context(internet.connect(greedy))
        deadline = time.monotonic() + 10
        while why.count("pace") < 100 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert internet.get(OK, "/", GUEST).startswith(b"HTTP/1.1 200 ")
    assert 100 <= why.count("pace") <= 370
    pace = Pace(2)
    assert [pace.too_fast("a", now) for now in (10, 11, 12, 15.5)] == [False, False, True, False]
    assert not pace.too_fast("b", 12)


def test_a3_9_an_upstream_that_proves_nothing_is_refused(internet: Any) -> None:
    """A site with a certificate that nobody vouches for gets our page; the request is not sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    import trustme

    trustme.CA().issue_cert("free-proxy.example").configure_cert(context)
    internet.origin._contexts["free-proxy.example"] = context
    assert internet.get("free-proxy.example").startswith(b"HTTP/1.1 502 ")
    assert internet.notes.techniques == ["upstream_certificate"]
    assert not internet.origin.seen


@pytest.mark.parametrize("target", [BAD, OK])
def test_a3_10_connect_inside_tls_is_refused(internet: Any, target: str) -> None:
    """A proxy protocol inside TLS, as browser extensions speak it, gets 400; the technique is noted."""
    reply = _inside(internet, f"CONNECT {target}:443 HTTP/1.1\r\nHost: {target}:443\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert "proxy_protocol" in internet.notes.techniques
    assert internet.untouched


def test_a3_10_connect_over_http2_is_refused(internet: Any) -> None:
    """CONNECT on an HTTP/2 stream, plain and extended (RFC 8441), opens nothing."""
    extended = [(":protocol", "websocket"), (":scheme", "https"), (":path", "/")]
    for authority, extra in ((f"{BAD}:443", []), (BAD, extended), (OK, extended)):
        with internet.http2(OK) as client:
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", authority), *extra])
            client._flush()
            client.socket.settimeout(10)
            seen: list[Any] = []
            with suppress(ConnectionError, ssl.SSLError):
                while not any(isinstance(one, ENDS) for one in seen):
                    seen += client._receive()
            statuses = [
                dict(one.headers)[b":status"] for one in seen if isinstance(one, h2.events.ResponseReceived)
            ]
            assert statuses in ([], [b"400"], [b"403"], [b"405"])
        # A plain one lacks what HTTP/2 asks of every request, and ends the connection before anybody can note it.
        assert internet.notes.techniques == (["proxy_protocol"] if extra else [])
        internet.notes.clear()
    assert internet.untouched


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x05\x01\x00", b"\x04\x01\x01\xbb\xc0\x00\x02\x01x\0"]
)
def test_a3_11_ssh_and_socks_on_a_web_port_go_nowhere(internet: Any, data: bytes) -> None:
    """SSH and SOCKS on port 443 are closed, and SSH is noted as such."""
    assert _raw(internet, data) == b""
    assert internet.notes.techniques == ["ssh" if data.startswith(b"SSH") else "non_http"]
    assert internet.untouched


@pytest.mark.parametrize("port", [22, 1080, 3128, 8080, 8443, 9050])
def test_a3_11_the_proxy_leads_to_web_ports_only(internet: Any, port: int) -> None:
    """CONNECT to any other port is 403."""
    with pytest.raises(ConnectionRefusedError, match="403"):
        internet.tunnel(OK, PUPIL, port)
    assert internet.untouched


@pytest.mark.parametrize("upgrade", ["foo", "h2c, foo", "websocket, foo", "TLS/1.2"])
def test_a3_12_only_websockets_may_be_opened(internet: Any, upgrade: str) -> None:
    """An upgrade to anything else is 403."""
    head = f"GET / HTTP/1.1\r\nHost: {OK}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    assert _inside(internet, head.encode()).startswith(b"HTTP/1.1 403 ")
    assert "upgrade_tunnel" in internet.notes.techniques
    assert internet.untouched


@pytest.mark.parametrize("source", [PUPIL, GUEST, "127.0.10.5"])
@pytest.mark.parametrize(
    "offered",
    [
        ["imap"],
        ["xmpp-client"],
        ["stun.turn", "stun.nat-discovery"],
        ["coap"],
        ["mqtt"],
        ["ftp"],
        ["\x0a\x0a", "irc"],
    ],
)
def test_a1_5_tls_for_anything_but_the_web_is_refused(internet: Any, offered: list[str], source: str) -> None:
    """A client that offers no version of HTTP is refused on every kind of network, and noted."""
    context = internet.context()
    context.set_alpn_protocols(offered)
    with internet.tunnel(OK, source) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw, server_hostname=OK)
    assert internet.notes.techniques == ["non_http_tls"]
    assert internet.untouched


@pytest.mark.parametrize("source", [PUPIL, GUEST])
@pytest.mark.parametrize("offered", ["dot", "doq"])
def test_a1_5_tls_for_dns_is_refused(internet: Any, offered: str, source: str) -> None:
    """DNS over TLS or QUIC that says so goes nowhere, also beside HTTP."""
    context = internet.context()
    context.set_alpn_protocols([offered, "http/1.1"])
    with internet.tunnel(OK, source) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw, server_hostname=OK)
    assert internet.notes.techniques == [offered]
    assert internet.untouched


@pytest.mark.parametrize(
    "offered", [[], ["http/1.1"], ["h2", "http/1.1"], ["\x1a\x1a", "h2"], ["\x2a\x2a"], ["apns-security-v3"]]
)
def test_a1_5_what_browsers_and_phones_offer_is_passed_on(internet: Any, offered: list[str]) -> None:
    """Versions of HTTP, meaningless names (RFC 8701), notices of phones, and nothing at all are let through."""
    context = internet.context()
    if offered:
        context.set_alpn_protocols(offered)
    with internet.tunnel(OK, GUEST) as raw, context.wrap_socket(raw, server_hostname=OK):
        assert internet.origin.accepted == 1
    assert not internet.notes.techniques


def test_a3_13_turn_inside_tls_goes_nowhere(internet: Any) -> None:
    """A STUN message inside TLS on port 443, as TURN over TLS has it, is no HTTP: closed."""
    assert _inside(internet, bytes.fromhex("000100002112a442") + b"0" * 12) == b""
    assert "non_http_tls" in internet.notes.techniques
    assert internet.untouched


@pytest.mark.parametrize(
    "host", ["[::1]", "[::ffff:10.0.0.9]", "[fd00::1]", "[2001:db8::1]", "[64:ff9b::7f00:1]"]
)
def test_a3_14_ipv6_literals_lead_nowhere(internet: Any, host: str) -> None:
    """Addresses of IPv6 are as closed as those of IPv4, those that hold an IPv4 address among them."""
    reply = internet.plain(
        f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert reply[9:12] in {b"403", b"400"}
    assert internet.untouched


def test_a3_15_rules_go_with_the_network_not_the_address(internet: Any) -> None:
    """Each address of a network is judged by its rules: changing it within the network changes nothing."""
    for last in (5, 77, 200):
        assert internet.get(BAD, "/", f"127.0.20.{last}").startswith(b"HTTP/1.1 403 ")
    assert internet.untouched
