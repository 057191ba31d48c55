"""The hooks that put every connection and every request before the policy, and act on the verdict.

Stands before mitmproxy's own NextLayer and TlsConfig, embedded as well as in `mitmdump -s`. Every hook is guarded: a
failure ends in a block. Nothing is dialled but what a decision approved, at the address that we looked up.
"""

import asyncio
import time
from collections.abc import Mapping

from mitmproxy import connection, ctx, http, tls
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.exceptions import AddonHalt
from mitmproxy.proxy import layer, layers, server_hooks
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.mode_specs import TransparentMode

from schoolgate_policy.engine import Engine
from schoolgate_policy.names import as_ip, parse_address
from schoolgate_policy.technique import Technique
from schoolgate_proxy.client_tls import distrusts
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.connections import Approval, Connection, Connections
from schoolgate_proxy.error_page import CLOSED_MEANWHILE
from schoolgate_proxy.gate.gate import Entrant, Gate
from schoolgate_proxy.guard import guarded
from schoolgate_proxy.handling import Arrival, Handling, handling_of
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.layers import Closed, Kind, kind_of
from schoolgate_proxy.pages import Pages
from schoolgate_proxy.pinned_apps import PinnedApps
from schoolgate_proxy.ports import Counters
from schoolgate_proxy.requests import Requests, private, unresolved
from schoolgate_proxy.tls_name import speaks_web, tls_name
from schoolgate_proxy.upstream import AddressRefused, Anchor, NameNotFound, Upstream, is_own
from schoolgate_proxy.wire import install as wire
from schoolgate_proxy.wire.websocket import COUNTED, Counted

_SWEEP_SECONDS = 1.0
_TUNNEL_OCTETS = 100 << 20  # of one websocket
# RFC 8446 6.2: a fatal alert `unrecognized_name`, which browsers show as a refusal instead of trying again.
_ALERT = b"\x15\x03\x03\x00\x02\x02\x70"


class SchoolgateProxy:
    """The mitmproxy addon."""

    name = "schoolgate"

    def __init__(
        self, config: ProxyConfig, judge: Judge, counters: Counters, networks: Mapping[str, str]
    ) -> None:
        """`networks` maps the full mode specification of a listener to the network it serves."""
        self._config = config
        self._judge = judge
        self._counters = counters
        self._networks = networks
        self._connections = Connections()
        self._upstream = Upstream(config.resolve, config.allowed_upstream, self._listening, config.own_pages)
        self._requests = Requests(config, judge, counters, self._upstream, self._connections)
        self._entrants: dict[str, Entrant] = {}
        self.pinned = PinnedApps(judge, counters, config.state) if config.pass_pinned else None
        self.gate: Gate | None = None
        self._sweeper: asyncio.Task[None] | None = None

    # -- life --------------------------------------------------------------------------------------------------

    def running(self) -> None:
        """Begin to close what a changed verdict no longer allows."""
        wire.install()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    def done(self) -> None:
        """Stop."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def open_gate(self) -> Gate:
        """Put a gate in front, which shares what is known about policy and upstreams; for its listeners to use."""
        pages = Pages(self._config, self._judge, self._counters)
        self.gate = Gate(self._config, self._judge, self._counters, self._upstream, pages, self.pinned)
        return self.gate

    def expect(self, client: str, entrant: Entrant) -> None:
        """Learn, before mitmproxy announces a client by its id, what the gate knows about it."""
        self._entrants[client] = entrant

    async def idle(self) -> None:
        """Wait until no connection is open."""
        await self._connections.none_open.wait()

    @guarded
    def client_connected(self, client: connection.Client) -> None:
        """Take a connection in, unless it was aimed at the redirect port itself."""
        entrant = self._entrants.pop(client.id, None)
        if entrant is not None:
            self._enter(client, entrant)
            return
        transparent = isinstance(client.proxy_mode, TransparentMode)
        arrival = Arrival(
            str(parse_address(client.peername[0])), self._networks.get(client.proxy_mode.full_spec)
        )
        listener = "transparent" if transparent else "explicit"
        conn = Connection(arrival, listener, lambda: self.close(client))
        self._connections.opened(client.id, conn)
        self._counters.connection_opened(listener)
        if transparent and self._is_own_listener(client.sockname):
            self._judge.saw(Technique.PROXY_DIRECT, arrival, client.sockname[0])
            client.error = "refused: this port takes redirected connections only"
            return
        self._expect(conn, self._config.undecided)

    def _enter(self, client: connection.Client, entrant: Entrant) -> None:
        """Take in a connection that came through the gate, which counts it and has checked where it was aimed."""
        conn = Connection(entrant.arrival, entrant.door.listener, lambda: self.close(client), counted=True)
        conn.connect_name, conn.split = entrant.connect_name, entrant.split
        if entrant.address is not None:
            conn.brought = as_ip(entrant.address[0].partition("%")[0])
        self._connections.opened(client.id, conn)
        self._expect(conn, self._config.undecided)

    def _expect(self, conn: Connection, seconds: float) -> None:
        """Close a connection, and count it, unless the client shows within so many seconds what it wants."""
        conn.expect(seconds, lambda: self._counters.connection_turned_away("late"))

    @guarded
    def client_disconnected(self, client: connection.Client) -> None:
        """Forget a connection."""
        conn = self._connections.closed(client.id)
        if conn is None:
            return
        if not conn.counted:
            self._counters.connection_closed(conn.listener)
        if conn.outlived is not None:
            self._counters.connection_outlived(conn.outlived, -1)

    # -- what the bytes are ------------------------------------------------------------------------------------

    @guarded
    def next_layer(self, data: layer.NextLayer) -> None:
        """Choose nothing on too few bytes, and nothing but TLS and HTTP (enforcement A2.5, A2.7)."""
        received = data.data_client()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        if not received:
            return
        conn = self._connections.of(data.context.client.id)
        address = data.context.server.address
        match kind_of(received):
            case Kind.UNDECIDED:
                conn.split = True
                raise AddonHalt
            case Kind.OTHER:
                self._no_web(data, conn, Technique.NON_HTTP_TLS if conn.tls_name else Technique.NON_HTTP)
            case Kind.TLS if conn.tls_name:
                self._no_web(data, conn, Technique.NON_HTTP_TLS)  # TLS in TLS
            case _ if address is not None and address[1] not in self._config.web_ports:
                data.layer = Closed(data.context)  # mitmproxy reads some ports as DNS
            case Kind.HTTP if conn.tls_name:
                if not conn.expecting and data.context.client.alpn != b"h2":
                    self._expect(conn, self._config.undecided)
                if conn.counted:  # it came through the gate: mitmproxy has nothing to find out
                    data.layer = layers.HttpLayer(data.context, HTTPMode.transparent)

    def _no_web(self, data: layer.NextLayer, conn: Connection, technique: Technique) -> None:
        """Close what speaks neither HTTP nor, on the outside, TLS."""
        self._judge.saw(technique, conn.arrival, conn.tls_name or conn.connect_name or "", conn.network)
        data.layer = Closed(data.context)

    # -- TLS ---------------------------------------------------------------------------------------------------

    @guarded
    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Judge a CONNECT request of an explicit proxy's client."""
        conn = self._connections.of(flow.client_conn.id)
        if self._requests.connect(flow, conn):
            self._expect(conn, self._config.undecided)

    @guarded
    async def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Judge the server name, then relay, decrypt or refuse."""
        conn = self._connections.of(data.context.client.id)
        conn.decided()
        name = self._tls_name(data, conn)
        if name is None:
            self.refuse_tls(data)
            return
        address = data.context.server.address
        port = address[1] if address is not None and address[1] != 80 else 443
        attempt = self._judge.attempt(conn.arrival, name)
        decision = self._judge.decide(attempt)
        conn.network = decision.network
        handling = handling_of(decision)
        if not decision.blocked and not speaks_web(tuple(data.client_hello.alpn_protocols)):
            self._judge.saw(Technique.NON_HTTP_TLS, conn.arrival, name, conn.network)
            handling = Handling.REFUSE
        self._counters.connection_handled(decision.network, handling)
        if handling is Handling.INSPECT:
            conn.tls_name = name
            conn.judged = attempt, decision
            data.context.server.address = (name, port)
            self._expect(conn, self._config.handshake)
            return
        self._judge.acted(attempt, decision)
        passed = handling is Handling.PASS
        anchor = await self._anchor(conn, name, port, self._judge.stand_in(decision)) if passed else None
        if anchor is None:
            self.refuse_tls(data)
            return
        conn.approve(Approval(attempt, decision, anchor))
        data.context.server.address = (name, port)
        data.ignore_connection = True

    def _tls_name(self, data: tls.ClientHelloData, conn: Connection) -> str | None:
        """Return the canonical name a TLS connection is for, or None where it is refused whatever the policy says."""
        address = data.context.server.address
        found = tls_name(
            data.client_hello.sni,
            tuple(data.client_hello.alpn_protocols),
            dialled=str(address[0]) if address else "",
            connect_name=conn.connect_name,
            to_the_proxy=conn.listener == "explicit" and conn.connect_name is None,
            split=conn.split,
            inside=conn.tls_name,
        )
        for technique in found.techniques:
            self._judge.saw(technique, conn.arrival, found.label, conn.network)
        return found.name

    async def _anchor(self, conn: Connection, name: str, port: int, stand_in: str | None) -> Anchor | None:
        try:
            return await self._upstream.anchor(name, port, stand_in)
        except NameNotFound as error:
            self._counters.upstream_failed("name")
            if conn.listener == "transparent":
                self._judge.saw(unresolved(error, name), conn.arrival, name, conn.network)
        except AddressRefused:
            self._counters.upstream_failed("address")
            self._judge.saw(private(name), conn.arrival, name, conn.network)
        return None

    @guarded
    def tls_established_client(self, data: tls.TlsData) -> None:
        """Wait for the first request without haste: browsers open connections ahead of need."""
        self._connections.of(data.context.client.id).decided()

    @guarded
    def tls_failed_client(self, data: tls.TlsData) -> None:
        """Note a client that does not trust the school's certificate, and the block that it did not wait for."""
        conn = self._connections.of(data.context.client.id)
        conn.decided()
        if conn.judged is not None and conn.judged[1].blocked:
            self._judge.acted(*conn.judged)
        if conn.tls_name and distrusts(data.conn.error or ""):
            self._judge.saw(Technique.CLIENT_DISTRUST, conn.arrival, conn.tls_name, conn.network)
            if self.pinned is not None and conn.judged is not None:
                self.pinned.rejected(conn.arrival, conn.judged[1])

    @guarded
    def tls_failed_server(self, data: tls.TlsData) -> None:
        """Note an upstream whose certificate does not hold."""
        self._counters.upstream_failed("certificate")
        conn = self._connections.of(data.context.client.id)
        self._judge.saw(Technique.UPSTREAM_CERTIFICATE, conn.arrival, data.conn.sni or "", conn.network)

    def refuse_tls(self, data: tls.ClientHelloData) -> None:
        """End a connection whose ClientHello was read, with an alert that the browser understands."""
        client = data.context.client
        if self._connections.of(client.id).tls_name is None:  # else the alert would not be TLS to the client
            self._write(client, _ALERT)
        data.context.server.address = None  # nowhere to go: mitmproxy closes the client without dialling
        data.ignore_connection = True

    # -- requests ----------------------------------------------------------------------------------------------

    @guarded
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Judge a request before its body."""
        conn = self._connections.of(flow.client_conn.id)
        conn.decided()
        if self.pinned is not None and conn.judged is not None and conn.tls_name:
            self.pinned.trusts(conn.arrival, conn.network)
        conn.judged = None
        await self._requests.head(flow, conn)

    @guarded
    def request(self, flow: http.HTTPFlow) -> None:
        """Judge what could not be judged before the body was there."""
        self._requests.body(flow, self._connections.of(flow.client_conn.id))

    @guarded
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Let a response through as it comes, without what would lead past the proxy."""
        self._requests.response(flow, self._connections.of(flow.client_conn.id))

    # -- upstream ----------------------------------------------------------------------------------------------

    @guarded
    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Dial what was approved, at the address that was looked up; refuse all else."""
        conn = self._connections.of(data.client.id)
        address = data.server.address
        approval = conn.approved.get((address[0], address[1])) if address is not None else None
        if approval is None:
            data.server.error = "refused: no decision allows this connection"
            return
        decision = self._judge.again(approval.attempt)
        if decision.blocked:
            self._judge.acted(approval.attempt, decision)
            data.server.error = CLOSED_MEANWHILE
            return
        data.server.address = approval.anchor
        if data.server.tls:
            data.server.sni = approval.decision.host

    @guarded
    def tls_established_server(self, data: tls.TlsData) -> None:
        """Learn which version of HTTP an upstream speaks."""
        conn = self._connections.of(data.context.client.id)
        self._requests.upstream_speaks(conn, data.conn.alpn)

    @guarded
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Remember an address that does not answer."""
        if isinstance(data.server.address, Anchor):
            self._upstream.failed(data.server.address.dialled)
            self._counters.upstream_failed("connect")

    @guarded
    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Close the socket that mitmproxy leaves to the garbage collector when it is cancelled at a bad moment."""
        handler = self._server().connections.get(data.client.id)
        io = handler.transports.get(data.server) if handler is not None else None
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            io.writer.close()

    # -- the rest ----------------------------------------------------------------------------------------------

    def fault(self, error: Exception) -> None:
        """Note a failure of ours."""
        self._judge.fault("proxy", error)

    def close(self, client: connection.Client) -> None:
        """End a client connection now."""
        handler = self._server().connections.get(client.id)
        io = handler.transports.get(client) if handler is not None else None
        if io is not None and io.handler is not None:
            io.handler.cancel("closed by the filter")
        if io is not None and isinstance(io.writer, asyncio.StreamWriter):
            io.writer.close()  # cancelled at a bad moment, mitmproxy would leave it open

    def _write(self, client: connection.Client, data: bytes) -> None:
        handler = self._server().connections.get(client.id)
        io = handler.transports.get(client) if handler is not None else None
        if io is not None and isinstance(io.writer, asyncio.StreamWriter) and not io.writer.is_closing():
            io.writer.write(data)

    @staticmethod
    def _server() -> Proxyserver:
        server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        if not isinstance(server, Proxyserver):
            raise TypeError("mitmproxy runs without its proxyserver addon")
        return server

    def _listening(self) -> list[tuple[str, int]]:
        return [(host, port) for host, port, *_ in self._server().listen_addrs()]

    def _is_own_listener(self, address: tuple[str, int]) -> bool:
        ports = {port for _, port in self._listening()}
        return address[1] in ports and is_own(parse_address(address[0]))

    async def _sweep(self) -> None:
        """Close, once a second, the connections whose approvals no longer hold (design: `valid_until`)."""
        engine: Engine | None = None
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                before, engine = engine, self._judge.engine
                for conn in self._connections:
                    self._sweep_one(conn, everything=before is not engine)
            except Exception as error:  # noqa: BLE001 - the sweeper outlives a fault, which is noted
                self.fault(error)

    def _weigh(self, flow: http.HTTPFlow, conn: Connection, approval: Approval) -> None:
        """Note a websocket that has carried far more than a page needs, most of it binary (enforcement A3.12)."""
        counted = flow.metadata.get(COUNTED)
        if not isinstance(counted, Counted):
            return
        bounds = self._judge.websocket_bounds(approval.decision)
        if bounds:
            self._bound(counted, bounds, conn, approval)
        if counted.binary > max(_TUNNEL_OCTETS, 9 * counted.text):
            self._note_tunnel(counted, conn, approval)

    def _bound(
        self, counted: Counted, bounds: Mapping[str, int], conn: Connection, approval: Approval
    ) -> None:
        """Close a websocket that lasts longer, or has carried more, than the policy lets one of its kind."""
        most = bounds.get("most_megabytes")
        if most is not None and counted.octets > most * 1_000_000:
            self._note_tunnel(counted, conn, approval)
            conn.close()
        minutes = bounds.get("most_minutes")
        if minutes is not None and time.monotonic() - counted.since > 60 * minutes:
            conn.close()

    def _note_tunnel(self, counted: Counted, conn: Connection, approval: Approval) -> None:
        """Note a websocket as a tunnel, once."""
        if not counted.noted:
            counted.noted = True
            host = approval.decision.host
            self._judge.saw(Technique.WEBSOCKET_TUNNEL, conn.arrival, host, conn.network)

    def _sweep_one(self, conn: Connection, *, everything: bool) -> None:
        living = [(flow, approval) for flow, approval in list(conn.requests.items()) if flow.live]
        for flow, approval in living:
            if flow.websocket is not None:
                self._weigh(flow, conn, approval)
        live = [approval for _, approval in living]
        for approval in (*conn.approved.values(), *live):
            if not (everything or self._judge.expired(approval.decision)):
                continue
            decision = self._judge.again(approval.attempt)
            if decision.blocked:
                self._judge.acted(approval.attempt, decision)
                conn.close()
                return
            if conn.outlived is None and self._judge.expired(approval.decision):
                conn.outlived = decision.network
                self._counters.connection_outlived(decision.network, 1)
