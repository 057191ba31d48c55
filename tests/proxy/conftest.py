"""A small internet of our own, and the real proxy in front of it: all on loopback, every socket real."""

import asyncio
import shutil
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from policies import lists as no_lists

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy, parse_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.server import ProxyServer

PUPIL, STAFF, GUEST = "127.0.20.5", "127.0.10.5", "127.0.30.5"
LESSON = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)  # a Monday in term, UTC is school time

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

POLICY = """
version: 1
school: {name: "Perryfields <Primary> & PRU", timezone: Europe/London, bank_holidays: england,
  contacts: {e_safety_officer: esafety@perryfields.example}}
networks:
  staff:  {people: staff, addresses: [127.0.10.0/24], inspection: needed, otherwise: allow}
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: all, otherwise: allow}
  guests: {people: guest, addresses: [127.0.30.0/24], inspection: names, otherwise: allow}
unknown_clients: pupils
calendar:
  terms: [{name: autumn 2026, from: 2026-09-02, to: 2026-12-18}]
schedules:
  lessons: {days: mon-fri, at: ["08:50-10:30", "10:50-12:10", "13:10-15:15"], in: term}
never_inspect: [bank.example]
rules:
  - {allow: [blocked.example/ourschool], for: [pupils, staff], reason: The school's own page}
  - {block: [blocked.example, instagram], reason: "Pupils may not use <social media>"}
  - {allow: [mixed.example/open], for: [pupils], reason: This page is always open}
  - {block: [lessons.example, mixed.example], during: [lessons], reason: Not in lessons}
"""


@dataclass(frozen=True)
class Seen:
    """One request that reached an origin."""

    origin: str
    sni: str | None
    method: str
    host: str
    path: str
    body: bytes
    headers: dict[str, list[str]] = field(default_factory=dict)  # by lower-case name


class Origin:
    """A web server that is every site at once: TLS for any name, plain HTTP beside it; it notes what reaches it."""

    def __init__(self, ca: trustme.CA, label: str) -> None:
        self.label = label
        self.seen: list[Seen] = []
        self.replies: dict[
            str, tuple[str | None, bytes, bool]
        ] = {}  # by path: type, body, whether with its length
        self.accepted = 0
        self._ca = ca
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._servers = [self._serve(tls=False), self._serve(tls=True)]
        self.http, self.https = (server.server_address[1] for server in self._servers)

    def _serve(self, *, tls: bool) -> ThreadingHTTPServer:
        origin = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> Any:
                connection, address = super().get_request()
                origin.accepted += 1
                return connection, address

            def finish_request(self, request: Any, client_address: Any) -> None:
                if not tls:
                    return super().finish_request(request, client_address)
                request.settimeout(10)
                try:
                    wrapped = origin._listener().wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return None
                with wrapped:
                    return super().finish_request(wrapped, client_address)

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: clients that go away are part of the tests."""

        server = Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def _listener(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("default.example").configure_cert(context)

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            connection.schoolgate_sni = name  # type: ignore[attr-defined]
            if name is not None:
                connection.context = self._context(name)

        context.sni_callback = choose
        return context

    def _context(self, name: str) -> ssl.SSLContext:
        if name not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ca.issue_cert(name).configure_cert(context)
            self._contexts[name] = context
        return self._contexts[name]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self._body()
                sni = getattr(self.connection, "schoolgate_sni", None)
                origin.seen.append(
                    Seen(
                        origin.label,
                        sni,
                        self.command,
                        self.headers.get("Host", ""),
                        self.path,
                        body,
                        {name.lower(): self.headers.get_all(name) or [] for name in self.headers},
                    )
                )
                for where in (self.headers.get("Host", "") + self.path, self.path):
                    if where in origin.replies:
                        self._reply(*origin.replies[where])
                        return
                if self.path == "/slow":
                    self._stream()
                    return
                if self.path == "/ws":
                    self._echo()
                    return
                if self.path == "/switch":
                    self.send_response(101)
                    self.send_header("Upgrade", "derp")
                    self.send_header("Connection", "Upgrade")
                    self.end_headers()
                    return
                content = f"origin {origin.label} got {len(body)} bytes".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Alt-Svc", 'h3=":443"')
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer  # noqa: N815 - the base class's names

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    parts = []
                    while size := int(self.rfile.readline(), 16):
                        parts.append(self.rfile.read(size))
                        self.rfile.readline()
                    self.rfile.readline()
                    return b"".join(parts)
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def _reply(self, kind: str | None, body: bytes, framed: bool) -> None:
                """Answer as a test said."""
                self.send_response(200)
                if kind is not None:
                    self.send_header("Content-Type", kind)
                self.send_header("Access-Control-Allow-Origin", "*")
                if framed:
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def _echo(self) -> None:
                """Be a websocket (RFC 6455) that returns each four-byte message."""
                key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Accept", b64encode(sha1(key.encode()).digest()).decode())
                self.end_headers()
                while len(frame := self.rfile.read(10)) == 10 and frame[0] == 0x81:
                    self.wfile.write(
                        b"\x81\x04" + bytes(a ^ b for a, b in zip(frame[6:], frame[2:6], strict=True))
                    )
                self.close_connection = True

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"5\r\ntick\n\r\n")
                        self.wfile.flush()
                        time.sleep(0.05)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@dataclass
class Notes:
    """A recorder that remembers."""

    decisions: list[tuple[Attempt, Decision]] = field(default_factory=list)
    techniques: list[str] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        self.decisions.append((attempt, decision))

    def technique(self, technique: str, network: str, address: str, host: str) -> None:
        self.techniques.append(technique)

    def fault(self, area: str, error: Exception) -> None:
        self.faults.append(error)

    def clear(self) -> None:
        self.decisions.clear()
        self.techniques.clear()
        self.faults.clear()


class Source:
    """A policy source whose engine can be exchanged, or made to fail."""

    def __init__(self, engine: Engine) -> None:
        self.good = engine
        self.failing = False

    @property
    def engine(self) -> Engine:
        if self.failing:
            raise RuntimeError("the engine fails, as told")
        return self.good


@dataclass
class Names:
    """A resolver: every name is at the origin of that name, or at the first."""

    default: Origin
    special: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    async def resolve(self, name: str, port: int) -> Sequence[tuple[str, int]]:
        if name.endswith(".invalid"):
            raise OSError("no such name")
        if name in self.special:
            return self.special[name]
        return [("127.0.0.1", self.default.https if port == 443 else self.default.http)]


@dataclass
class Internet:
    """All that a test looks at: the origins, the proxy, and what it noted."""

    origin: Origin
    elsewhere: Origin
    names: Names
    notes: Notes
    source: Source
    now: list[datetime]
    ca: Path
    origin_ca: Path
    first: Engine
    port: int = 0
    server: ProxyServer | None = None
    call: Callable[[Any], Any] = lambda _: None

    def connect(self, address: str = PUPIL) -> socket.socket:
        """Open a TCP connection to the explicit listener from a client's address."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(address, 0))

    def tunnel(self, host: str, address: str = PUPIL, port: int = 443) -> socket.socket:
        """Open a connection and CONNECT to a host; fails unless the proxy says 200."""
        connection = self.connect(address)
        connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        reply = read_head(connection)
        if b" 200 " not in reply.split(b"\r\n")[0] + b" ":
            connection.close()
            raise ConnectionRefusedError(reply.decode())
        return connection

    def tls(self, sni: str, address: str = PUPIL, *, host: str | None = None) -> ssl.SSLSocket:
        """Open TLS through the proxy, trusting both the school's authority and the origins'."""
        return self.context().wrap_socket(self.tunnel(host or sni, address), server_hostname=sni)

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_verify_locations(str(self.origin_ca))
        return context

    def plain(self, raw: bytes, address: str = PUPIL) -> bytes:
        """Send raw bytes to the explicit listener and return all that comes back."""
        with self.connect(address) as connection:
            connection.sendall(raw)
            return read_all(connection)

    def get(
        self, host: str, path: str = "/", address: str = PUPIL, *, headers: str = "", sni: str = ""
    ) -> bytes:
        """GET over HTTPS and return the whole response."""
        with self.tls(sni or host, address) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
            connection.sendall(head.encode())
            return read_all(connection)

    def http2(self, name: str, address: str = PUPIL) -> "Http2Client":
        """Open an HTTP/2 connection through the proxy."""
        context = self.context()
        context.set_alpn_protocols(["h2"])
        return Http2Client(context.wrap_socket(self.tunnel(name, address), server_hostname=name))

    def use_policy(self, rest: str, *, otherwise: str = "allow", network: str = "") -> None:
        """Judge by another policy until the test ends: its rules and all after; `networks` stand.

        `network` is added to each network with inspection, or to all where it is `safe_search`.
        """
        said = f"otherwise: {otherwise}"
        head = POLICY[: POLICY.index("never_inspect:")].replace("otherwise: allow", said)
        for inspection in ("needed", "all", *(["names"] if "safe_search" in network else [])):
            before = f"inspection: {inspection}, {said}"
            head = head.replace(before, f"{before}, {network}" if network else before)
        policy, issues = parse_policy(
            (head + rest + "\n").encode(), "policy.yaml", load_catalogue(), no_lists
        )
        assert policy is not None, issues
        self.source.good = Engine(policy)

    @property
    def untouched(self) -> bool:
        """Whether nothing reached any origin."""
        return not (self.origin.accepted or self.elsewhere.accepted)


class Http2Client:
    """An HTTP/2 client by hand, which sends what an honest one would not."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.socket = connection
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.h2.initiate_connection()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def request(
        self, authority: str, path: str = "/", *, method: str = "GET", body: bytes = b"", extra: Any = ()
    ) -> tuple[int, bytes]:
        """Send a request and return status and body; 0 where the stream or the connection is closed."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *extra]
        self.h2.send_headers(stream, head, end_stream=not body)
        for start in range(0, len(body), 16384):
            while self.h2.local_flow_control_window(stream) < 16384:
                self._flush()
                self._receive()
            self.h2.send_data(stream, body[start : start + 16384])
        if body:
            self.h2.end_stream(stream)
        self._flush()
        status, content = 0, b""
        while True:
            for event in self._receive():
                if getattr(event, "stream_id", stream) != stream:
                    continue
                match event:
                    case h2.events.ResponseReceived():
                        status = int(dict(event.headers)[b":status"])
                    case h2.events.DataReceived():
                        content += event.data
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case h2.events.StreamEnded():
                        self._flush()
                        return status, content
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        return 0, content

    def _receive(self) -> list[Any]:
        data = self.socket.recv(65536)
        return self.h2.receive_data(data) if data else [h2.events.ConnectionTerminated()]

    def _flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())


def read_head(connection: socket.socket) -> bytes:
    """Read up to and with the empty line that ends a head."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        data += byte
    return data


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except (ConnectionResetError, ssl.SSLError):
        pass
    return b"".join(parts)


@contextmanager
def in_thread(make: Callable[[Callable[[], datetime]], ProxyServer]) -> Iterator[ProxyServer]:
    """Run a proxy in a thread with its own event loop, at a moment in a lesson."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> ProxyServer:
        server = make(lambda: LESSON)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Origin, Origin, Path]]:
    """Two origins and the file with their authority."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("origin") / "origin-ca.pem"
    ca.cert_pem.write_to_path(str(file))
    first, second = Origin(ca, "A"), Origin(ca, "B")
    yield first, second, file
    first.close()
    second.close()


@pytest.fixture(scope="module")
def running(
    world: tuple[Origin, Origin, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Internet]:
    """The real proxy, in a thread with its own event loop."""
    origin, elsewhere, origin_ca = world
    state = tmp_path_factory.mktemp("state")
    policy = state / "policy.yaml"
    policy.write_text(POLICY)
    engine = Engine(load_policy(policy))
    internet = Internet(
        origin,
        elsewhere,
        Names(origin),
        Notes(),
        Source(engine),
        [LESSON],
        state / "ca.pem",
        origin_ca,
        engine,
    )
    config = ProxyConfig(
        state=state,
        explicit=(("127.0.0.1", 0),),
        upstream_ca=origin_ca,
        allowed_upstream=(ip_network("127.0.0.1/32"),),
        resolve=internet.names.resolve,
        undecided=1.0,
        handshake=3.0,
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(20)

    async def start() -> ProxyServer:
        server = ProxyServer(config, internet.source, internet.notes, Uncounted(), lambda: internet.now[0])
        await server.start()
        return server

    internet.server = call(start())
    internet.call = call
    internet.port = internet.server.addresses[0].address[1]
    yield internet
    call(internet.server.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def internet(running: Internet) -> Internet:
    """The running proxy with a clean sheet."""
    for origin in (running.origin, running.elsewhere):
        origin.seen.clear()
        origin.replies.clear()
        origin.accepted = 0
    running.notes.clear()
    running.names.special.clear()
    running.server._addon._upstream._cache.clear()
    running.now[0] = LESSON
    running.source.failing = False
    running.source.good = running.first
    return running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=FLAGS, proxy={"server": "http://per-context"}
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The parts above, for tests that put them together otherwise."""
    return SimpleNamespace(Origin=Origin, Notes=Notes, Names=Names, Source=Source, in_thread=in_thread)
