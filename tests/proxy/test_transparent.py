"""Transparent mode, with real redirection: a pupil's machine and the box in network namespaces of their own."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme

from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.server import ProxyServer

pytestmark = pytest.mark.netns

PORT = 8420
SOMEWHERE, SOMEWHERE6 = "198.51.100.10", "2a00:9::10"  # where clients believe a site to be
POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks:
  pupils: {people: pupil, addresses: [10.20.0.5/32, "2a00:20::5/128"], inspection: all, otherwise: allow}
  guests: {people: guest, addresses: [10.20.0.6/32], inspection: names, otherwise: allow}
unknown_clients: pupils
never_inspect: [bank.example]
rules: [{block: [blocked.example], reason: Not at school}]
"""
RULES = """
table inet t {
  chain p { type nat hook prerouting priority dstnat; tcp dport { 80, 443, 53 } redirect to :8420; }
}
"""


def _run(*command: str, stdin: str = "") -> None:
    subprocess.run(command, check=True, input=stdin, text=True, capture_output=True)


def _namespaces(pupil: str, edge: str) -> None:
    _run("ip", "netns", "add", pupil)
    _run("ip", "netns", "add", edge)
    _run("ip", "-n", edge, "link", "add", "vlan20", "type", "veth", "peer", "name", "eth0", "netns", pupil)
    for name, device, addresses in (
        (edge, "vlan20", ("10.20.0.1/24", "2a00:20::1/64")),
        (pupil, "eth0", ("10.20.0.5/24", "10.20.0.6/24", "2a00:20::5/64")),
    ):
        _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", name, "link", "set", device, "up")
        for address in addresses:
            _run(
                "ip",
                "-n",
                name,
                "address",
                "add",
                address,
                "dev",
                device,
                *(["nodad"] if ":" in address else []),
            )
    _run("ip", "-n", pupil, "route", "add", "default", "via", "10.20.0.1")
    _run("ip", "-n", pupil, "-6", "route", "add", "default", "via", "2a00:20::1")
    _run("ip", "netns", "exec", edge, "nft", "-f", "-", stdin=RULES)


def _enter(name: str) -> None:
    """Move the calling thread, and the sockets it makes from now on, into a namespace."""
    with Path("/run/netns", name).open() as handle:
        os.setns(handle.fileno(), os.CLONE_NEWNET)


@dataclass
class Box:
    """The filter box with an origin behind it, and a way to act as a pupil's machine."""

    origin: Any
    notes: Any
    ca: Path
    origin_ca: Path
    as_pupil: Callable[..., Any]

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_verify_locations(str(self.origin_ca))
        return context


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> Iterator[Box]:
    """The real proxy in a namespace whose firewall redirects to it."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "nft")):
        pytest.skip("network namespaces need root, ip and nft")
    pupil, edge = f"sg-pupil-{os.getpid()}", f"sg-edge-{os.getpid()}"
    try:
        _namespaces(pupil, edge)
    except subprocess.CalledProcessError as error:
        _remove(pupil, edge)
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    state = tmp_path_factory.mktemp("transparent")
    stop, ready, box = threading.Event(), threading.Event(), []
    thread = threading.Thread(target=_serve, args=(edge, state, kit, box, ready, stop))
    pool = ThreadPoolExecutor(1, initializer=_enter, initargs=(pupil,))
    try:
        thread.start()
        assert ready.wait(20)
        origin, notes = box
        yield Box(
            origin,
            notes,
            state / "ca.pem",
            state / "origin.pem",
            lambda act, *args: pool.submit(act, *args).result(30),
        )
    finally:
        stop.set()
        thread.join(20)
        pool.shutdown()
        _remove(pupil, edge)


def _remove(*names: str) -> None:
    for name in names:
        with suppress(subprocess.CalledProcessError):
            _run("ip", "netns", "del", name)


def _serve(
    edge: str, state: Path, kit: Any, box: list[Any], ready: threading.Event, stop: threading.Event
) -> None:
    """Run origin and proxy in a thread that lives in the box's namespace."""
    _enter(edge)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(state / "origin.pem"))
    origin, notes = kit.Origin(ca, "A"), kit.Notes()
    (state / "policy.yaml").write_text(POLICY)
    config = ProxyConfig(
        state=state,
        explicit=(),
        transparent={"pupils": ("", PORT)},
        upstream_ca=state / "origin.pem",
        allowed_upstream=(ip_network("127.0.0.1/32"),),
        resolve=kit.Names(origin).resolve,
        undecided=1.0,
    )
    source = kit.Source(Engine(load_policy(state / "policy.yaml")))

    async def scenario() -> None:
        server = ProxyServer(
            config, source, notes, Uncounted(), lambda: datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
        )
        await server.start()
        box.extend((origin, notes))
        ready.set()
        await asyncio.to_thread(stop.wait)
        await server.stop()

    asyncio.run(scenario())
    origin.close()


@pytest.fixture(autouse=True)
def clean(box: Box) -> None:
    """Start each test with a clean sheet."""
    box.origin.seen.clear()
    box.origin.accepted = 0
    box.notes.clear()


def _fetch(
    box: Box, host: str, where: str = SOMEWHERE, source: str = "10.20.0.5", first: int = 0
) -> tuple[str, bytes]:
    """GET over TLS from where the client believes the host to be; returns the certificate's issuer and the reply."""
    source = "2a00:20::5" if ":" in where else source
    with socket.create_connection((where, 443), timeout=10, source_address=(source, 0)) as raw:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = box.context().wrap_bio(incoming, outgoing, server_hostname=host)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def pump(step: Callable[[], Any]) -> Any:
            nonlocal first
            while True:
                try:
                    done = step()
                except ssl.SSLWantReadError:
                    data = outgoing.read()
                    raw.sendall(data[:first] or data)
                    if first and len(data) > first:
                        threading.Event().wait(0.1)  # two segments
                        raw.sendall(data[first:])
                    first = 0
                    received = raw.recv(65536)
                    if not received:
                        raise ConnectionResetError("closed") from None
                    incoming.write(received)
                else:
                    raw.sendall(outgoing.read())
                    return done

        pump(tls.do_handshake)
        issuer = str((tls.getpeercert() or {}).get("issuer"))
        pump(lambda: tls.write(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()))
        return issuer, pump(lambda: tls.read(65536))


@pytest.mark.parametrize("where", [SOMEWHERE, SOMEWHERE6])
def test_blocked_site_shows_the_page(box: Box, where: str) -> None:
    """Redirected HTTPS to a blocked site shows the page, over IPv4 and IPv6, and nothing leaves the box."""
    issuer, reply = box.as_pupil(_fetch, box, "blocked.example", where)
    assert "Schoolgate" in issuer
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert box.origin.accepted == 0


@pytest.mark.parametrize("where", [SOMEWHERE, SOMEWHERE6])
def test_allowed_site_is_fetched_from_where_it_lives(box: Box, where: str) -> None:
    """An allowed site is looked up by us; the address that the client dialled is not used."""
    issuer, reply = box.as_pupil(_fetch, box, "fine.example", where)
    assert "Schoolgate" in issuer
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert [seen.host for seen in box.origin.seen] == ["fine.example"]


@pytest.mark.parametrize(("host", "source"), [("bank.example", "10.20.0.5"), ("fine.example", "10.20.0.6")])
def test_passed_connection_is_anchored_anew(box: Box, host: str, source: str) -> None:
    """What is not decrypted reaches the address that we look up for its name, not the one dialled."""
    issuer, reply = box.as_pupil(_fetch, box, host, SOMEWHERE, source)
    assert "Schoolgate" not in issuer
    assert reply.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("first", [1, 2, 3])
def test_split_hello_is_no_tunnel(box: Box, first: int) -> None:
    """A ClientHello in two segments is judged like a whole one (enforcement A2.5)."""
    issuer, reply = box.as_pupil(_fetch, box, "blocked.example", SOMEWHERE, "10.20.0.5", first)
    assert "Schoolgate" in issuer
    assert reply.startswith(b"HTTP/1.1 403 ")
    assert "split_hello" in box.notes.techniques
    assert box.origin.accepted == 0


def test_blocked_name_on_a_names_network_is_refused(box: Box) -> None:
    """Where nothing is decrypted a blocked name ends in a TLS alert."""
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        box.as_pupil(_fetch, box, "blocked.example", SOMEWHERE, "10.20.0.6")
    assert box.origin.accepted == 0


def _send(where: str, port: int, data: bytes) -> bytes:
    """Send bytes and return what comes back before the connection is closed."""
    with socket.create_connection((where, port), timeout=5) as raw:
        raw.sendall(data)
        parts = []
        with suppress(ConnectionResetError):
            while part := raw.recv(65536):
                parts.append(part)
        return b"".join(parts)


def test_plain_http_is_judged_by_its_host(box: Box) -> None:
    """Plain HTTP is judged by its Host whatever address was dialled; absolute-form must agree with it."""
    head = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
    assert box.as_pupil(_send, SOMEWHERE, 80, head % b"blocked.example").startswith(b"HTTP/1.1 403 ")
    absolute = b"GET http://blocked.example/ HTTP/1.1\r\nHost: fine.example\r\nConnection: close\r\n\r\n"
    assert box.as_pupil(_send, SOMEWHERE, 80, absolute).startswith(b"HTTP/1.1 400 ")
    assert box.origin.accepted == 0
    assert box.as_pupil(_send, SOMEWHERE, 80, head % b"fine.example").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("port", "data"),
    [
        (443, b"SSH-2.0-OpenSSH_9.6\r\n"),
        (443, b"\x00\x0e\x38aaaaaaaa\0\0\0\0\0"),
        (443, b"q6fnvWj8aaaaaaaa"),
        (80, b"\r\n\x00\x01\x02tunnel"),
        (
            53,
            b"\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07blocked\x07example\x00\x00\x01\x00\x01",
        ),
        (443, b"CONNECT blocked.example:443 HTTP/1.1\r\n\r\n"),
    ],
)
def test_what_is_not_the_web_goes_nowhere(box: Box, port: int, data: bytes) -> None:
    """SSH, VPNs, DNS and proxy requests get no tunnel to the address that was dialled."""
    reply = box.as_pupil(_send, SOMEWHERE, port, data)
    assert reply == b"" or reply.startswith(b"HTTP/1.1 400 ")
    assert box.origin.accepted == 0


def test_a_direct_hit_on_the_redirect_port_is_closed(box: Box) -> None:
    """A connection to the redirect port itself is closed at once and makes no connection in its turn (A4.8)."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert box.as_pupil(_send, "10.20.0.1", PORT, b"GET / HTTP/1.1\r\nHost: fine.example\r\n\r\n") == b""
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20
    assert box.origin.accepted == 0
