"""Things that ordinary sites and programs do, and that a proxy in between breaks easily."""

import socket
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from flood_origin import Flood

from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.server import ProxyServer

PUPIL, GUEST = "127.0.20.5", "127.0.30.5"
POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks:
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow}
  guests: {people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}
unknown_clients: pupils
never_inspect: [mtls.example]
rules: []
"""


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> Iterator[tuple[Flood, int, Path]]:
    """An origin with HTTP/2, the proxy's port and its folder."""
    folder = tmp_path_factory.mktemp("way")
    with Flood() as flood:
        flood.roots(folder / "origin.pem")
        (folder / "policy.yaml").write_text(POLICY)

        async def resolve(_name: str, _port: int) -> list[tuple[str, int]]:
            return [("127.0.0.1", flood.port)]

        config = ProxyConfig(
            state=folder,
            explicit=(("127.0.0.1", 0),),
            upstream_ca=folder / "origin.pem",
            allowed_upstream=(ip_network("127.0.0.1/32"),),
            resolve=resolve,
        )
        source = kit.Source(Engine(load_policy(folder / "policy.yaml")))
        with kit.in_thread(
            lambda clock: ProxyServer(config, source, kit.Notes(), Uncounted(), clock)
        ) as server:
            yield flood, server.addresses[0].address[1], folder


def _tls(way: tuple[Flood, int, Path], name: str, alpn: str, source: str = PUPIL) -> ssl.SSLSocket:
    _, port, folder = way
    raw = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    raw.sendall(f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
    while raw.recv(1, socket.MSG_PEEK) != b"":
        if raw.recv(1) == b"\n" and raw.recv(2) == b"\r\n":
            break
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_verify_locations(str(folder / "origin.pem"))
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(raw, server_hostname=name)


def _two(connection: ssl.SSLSocket) -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    made.initiate_connection()
    connection.sendall(made.data_to_send())
    return made


def _head(name: str, path: str, *fields: tuple[str, str], method: str = "GET") -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "https"), (":authority", name), (":path", path), *fields]


def test_grpc_streams_and_ends_with_trailers(way: tuple[Flood, int, Path]) -> None:
    """A first message comes back while the call is still being sent; the status comes in trailers at the end."""
    with _tls(way, "fine.example", "h2") as connection:
        client = _two(connection)
        fields = ("content-type", "application/grpc"), ("te", "trailers")
        client.send_headers(1, _head("fine.example", "/trailers", *fields, method="POST"))
        client.send_data(1, b"\0\0\0\0\3one")
        connection.sendall(client.data_to_send())
        data, trailers = b"", {}
        while not trailers:
            for event in client.receive_data(connection.recv(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    data += event.data
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers = dict(event.headers)
            if data == b"\0\0\0\0\5first":
                data += b"|"
                client.send_data(1, b"\0\0\0\0\3two", end_stream=True)
            connection.sendall(client.data_to_send())
    assert data == b"\0\0\0\0\5first|\0\0\0\0\6second"
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize("name", ["fine.example", "one.example"], ids=["HTTP/2", "HTTP/1"])
@pytest.mark.parametrize("alpn", ["h2", "http/1.1"])
def test_64_kb_of_cookies_arrive(way: tuple[Flood, int, Path], alpn: str, name: str) -> None:
    """Cookies of 64 KB reach the site whole, in any pair of versions."""
    cookie = "; ".join(f"c{number}={'v' * 4000}" for number in range(16))
    assert len(cookie) > 64_000
    way[0].heads.clear()
    with _tls(way, name, alpn) as connection:
        if alpn == "h2":
            client = _two(connection)
            client.send_headers(1, _head(name, "/", ("cookie", cookie)), end_stream=True)
            connection.sendall(client.data_to_send())
            while not any(
                isinstance(event, h2.events.ResponseReceived)
                for event in client.receive_data(connection.recv(65_536))
            ):
                connection.sendall(client.data_to_send())
        else:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nCookie: {cookie}\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
    assert way[0].heads[-1]["cookie"] == cookie


def test_64_kb_of_cookies_in_the_clear(internet: Any) -> None:
    """The same in the clear, where the gate looks at the head first; Python's own server takes 64 KB lines."""
    cookie = "v" * 60_000
    head = f"GET http://fine.example/ HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
    assert internet.plain(head.encode()).startswith(b"HTTP/1.1 200 ")
    assert internet.origin.seen[-1].headers["cookie"] == [cookie]


@pytest.mark.parametrize("source", [PUPIL, GUEST])
def test_a_client_certificate_reaches_a_site_that_is_never_opened(
    internet: Any, source: str, tmp_path: Path
) -> None:
    """Where a connection is passed on, site and client prove themselves to one another as if nobody were between."""
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("bank.example").configure_cert(server)
    server.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(server)
    internet.origin._contexts["bank.example"] = server
    try:
        context = ssl.create_default_context()
        ca.configure_trust(context)
        ca.issue_cert("pupil@school.example").configure_cert(context)
        with (
            internet.tunnel("bank.example", source) as raw,
            context.wrap_socket(raw, server_hostname="bank.example") as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: bank.example\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
    finally:
        del internet.origin._contexts["bank.example"]


def test_fields_that_sites_rely_on_come_through(internet: Any) -> None:
    """Range, conditions, credentials and cookies reach the site as they were sent."""
    sent = {
        "range": "bytes=100-199",
        "if-none-match": '"abc"',
        "authorization": "Bearer x.y.z",
        "cookie": "a=1; b=2",
        "accept-encoding": "gzip, br, zstd",
        "x-odd": "caf\u00e9".encode().decode("latin-1"),
    }
    fields = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with internet.tls("fine.example") as connection:
        connection.sendall(
            f"GET / HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n{fields}\r\n".encode("latin-1")
        )
        assert connection.recv(12) == b"HTTP/1.1 200"
    got = internet.origin.seen[-1].headers
    assert {name: got[name][0] for name in sent} == sent


def test_expect_100_continue_is_answered_where_the_request_is_allowed(internet: Any) -> None:
    """A client that waits for `100 Continue` gets it, then its answer."""
    with internet.tls("fine.example") as connection:
        connection.sendall(
            b"PUT /up HTTP/1.1\r\nHost: fine.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        data = b""
        while b"got 5 bytes" not in data:
            data += connection.recv(4096)
        assert data.startswith(b"HTTP/1.1 200 ")


def test_strict_transport_security_is_the_site_s_own_business(internet: Any) -> None:
    """Our pages never set a policy for a site's name that outlives them; a site's own comes through."""
    for reply in (internet.get("blocked.example"), internet.get("instagram.com")):
        assert b"strict-transport-security" not in reply.lower()
