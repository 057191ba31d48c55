"""Judges requests and answers those that go no further."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress

from mitmproxy import http

from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.names import as_ip
from schoolgate_policy.shown import Shown, judge_body, judge_shown
from schoolgate_policy.technique import BY_CATEGORY, Technique
from schoolgate_proxy import doh
from schoolgate_proxy.adding import with_query
from schoolgate_proxy.blockpage import BlockResponse
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.connections import Approval, Connection, Connections
from schoolgate_proxy.doh_watch import Watch
from schoolgate_proxy.guard import answer
from schoolgate_proxy.inflating import Inflate
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.once import Once
from schoolgate_proxy.pages import Fields, Pages
from schoolgate_proxy.ports import Counters
from schoolgate_proxy.request import Refusal, RequestHead, Target, page_of, read_target
from schoolgate_proxy.upstream import AddressRefused, Anchor, NameNotFound, Upstream, is_public

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.3: content has no meaning in these
_LOOKED_AT = 1024  # clear octets of a body: the name in a question ends long before
_MADE_UP = re.compile(r"www\.(?=[a-z]*[2-7])[a-z2-7]{8,20}\.(?:com|net)")
_HOP_BY_HOP = ("proxy-connection", "proxy-authorization", "http2-settings")


class Requests:
    """Puts request heads before the policy; one object serves all connections."""

    def __init__(
        self,
        config: ProxyConfig,
        judge: Judge,
        counters: Counters,
        upstream: Upstream,
        connections: Connections,
    ) -> None:
        self._config = config
        self._judge = judge
        self._pages = Pages(config, judge, counters)
        self._counters = counters
        self._upstream = upstream
        self._connections = connections
        self._strange = Once()

    def connect(self, flow: http.HTTPFlow, conn: Connection) -> bool:
        """Judge a CONNECT request: True where it may go on to be judged by what is inside."""
        request = flow.request
        name, decision, page = self._pages.connect(conn.arrival, request.host, request.port, _fields(flow))
        conn.network = decision.network if decision else ""
        if page is not None:
            self._answer(flow, page)
            return False
        conn.connect_name = name
        return True

    async def head(self, flow: http.HTTPFlow, conn: Connection) -> None:
        """Judge a request: it is answered here, or made ready to be forwarded."""
        if flow.error is not None:  # mitmproxy found the head malformed, and answers it
            connect = flow.request.method == "CONNECT"
            technique = Technique.PROXY_PROTOCOL if connect else Technique.SMUGGLING
            self._judge.saw(technique, conn.arrival, conn.tls_name or "", conn.network)
            return
        head = _head_of(flow, conn)
        target = read_target(head, self._config.web_ports)
        if isinstance(target, Refusal):
            self._refuse(flow, conn, target)
            return
        attempt = self._judge.attempt(conn.arrival, target.host, target.path, page_of(head), head.method)
        decision = self._judge.decide(attempt)
        conn.network = decision.network
        fronted = flow.client_conn.tls and target.host != conn.tls_name
        if decision.blocked:
            for technique in self._tricks(attempt, fronted=fronted):
                self._judge.saw(technique, conn.arrival, target.host, decision.network)
            self._block(flow, attempt, decision)
        elif fronted:
            message = "this connection was opened for another name"
            self._refuse(flow, conn, Refusal(421, message, Technique.MISDIRECTED, target.host))
        elif (shown := self._shown(flow, attempt, decision)) is not None:
            if (
                BY_CATEGORY.get(shown.decision.category or "") is not shown.technique
            ):  # else noted with the block
                self._judge.saw(shown.technique, conn.arrival, shown.decision.host, decision.network)
            self._block(flow, shown.attempt, shown.decision)
        elif _is_bare_address(decision):
            message = "a site is asked for by its name; nothing here speaks of this address"
            self._refuse(flow, conn, Refusal(403, message, Technique.IP_LITERAL, target.host))
        else:
            await self._forward(flow, conn, target, attempt, decision)

    def _shown(self, flow: http.HTTPFlow, attempt: Attempt, decision: Decision) -> Shown | None:
        """Judge what the request shows besides the site it names."""
        request = flow.request
        names = [name.decode("latin-1").lower() for name, _ in request.headers.fields]
        websocket = "upgrade" in names
        return judge_shown(self._judge.engine, attempt, decision, request.path, names, websocket=websocket)

    def _tricks(self, attempt: Attempt, *, fronted: bool) -> Iterator[Technique]:
        """Name the ways round the filter in a request that the engine blocks."""
        if fronted:
            yield Technique.FRONTING
        if self._judge.is_path_trick(attempt):
            yield Technique.PATH_TRICK

    async def _forward(
        self, flow: http.HTTPFlow, conn: Connection, target: Target, attempt: Attempt, decision: Decision
    ) -> None:
        anchor = await self._find(flow, conn, target, self._judge.stand_in(decision))
        if anchor is None:
            return
        self._note_address(conn, target.host, decision)
        self._judge.acted(attempt, decision)
        approval = Approval(attempt, decision, anchor)
        conn.approve(approval)
        conn.requests[flow] = approval
        request = flow.request
        request.data.host, request.data.port = target.host, target.port
        if request.is_http2:
            request.data.authority = target.authority.encode()
            if "host" in request.headers:
                request.headers["host"] = target.authority
        else:
            request.data.authority = b""
            request.headers["host"] = target.authority
        self._add(request, decision)
        for name in _HOP_BY_HOP:
            request.headers.pop(name, None)
        if (target.host, target.port) in self._config.own_pages:
            request.headers["forwarded"] = _forwarded(conn.arrival.address)
        if "websocket" not in request.headers.get("upgrade", "").lower():
            request.headers.pop("upgrade", None)
        self._stream(flow, conn)
        if request.is_http2 and "content-length" not in request.headers:
            self._mind_the_framing(flow, conn)

    def _note_address(self, conn: Connection, name: str, decision: Decision) -> None:
        """Note, once for a connection, a client that wanted to go elsewhere under an allowed name."""
        brought, conn.brought = conn.brought, None
        if brought is None:
            return
        looked_up = self._judge.stand_in(decision) or name
        if self._upstream.is_strange(looked_up, brought):
            now = asyncio.get_running_loop().time()
            if self._strange.first(conn.arrival.address, name, now):
                self._judge.saw(Technique.SNI_IP_MISMATCH, conn.arrival, name, decision.network)

    def _add(self, request: http.Request, decision: Decision) -> None:
        """Set what the policy adds, in the place of what the client may have said itself."""
        added = self._judge.added(decision)
        if added is not None:
            for name, value in added.headers.items():
                request.headers[name] = value
            request.path = with_query(request.path, added.query)

    def _stream(self, flow: http.HTTPFlow, conn: Connection) -> None:
        """Send the body on as it comes; what may be a DNS question is looked at first."""
        request = flow.request
        length = request.headers.get("content-length")
        if length is not None and length.isdecimal():
            if doh.may_wait(request.method, int(length)):
                request.stream = False
                return
        elif request.method in _WITHOUT_BODY:
            request.stream = True
            return
        codings = request.headers.get("content-encoding", "")
        request.stream = Watch(doh.question, lambda: self._stop_doh(flow, conn), codings)

    def body(self, flow: http.HTTPFlow, conn: Connection) -> None:
        """Judge a request whose body was waited for."""
        if flow.response is None and not flow.request.stream and _asks_dns(flow.request):
            message = "names are looked up through the school's own DNS"
            host = conn.requests[flow].decision.host if flow in conn.requests else ""
            self._refuse(flow, conn, Refusal(403, message, Technique.DOH, host))

    def _stop_doh(self, flow: http.HTTPFlow, conn: Connection) -> None:
        """End a connection in the middle of a body that turned out to be DNS."""
        approval = conn.requests.get(flow)
        self._judge.saw(Technique.DOH, conn.arrival, approval.decision.host if approval else "", conn.network)
        conn.close()

    def _stop_body(self, flow: http.HTTPFlow, conn: Connection, body: "_Body") -> None:
        """End a connection in the middle of a page or script that turned out to be a web proxy's, or DNS."""
        if body.shown is None:
            self._stop_doh(flow, conn)
        else:
            self._judge.acted(body.shown.attempt, body.shown.decision)
            conn.close()

    @staticmethod
    def _mind_the_framing(flow: http.HTTPFlow, conn: Connection) -> None:
        """Keep the body of an HTTP/2 request without a length from becoming a request of its own.

        mitmproxy 12.2.3 writes such a body bare to an HTTP/1 upstream. Whether the upstream speaks HTTP/1 is known
        only once it is connected (`upstream_speaks`).
        """
        if flow.request.method in _WITHOUT_BODY:
            flow.request.stream = lambda _: b""
        else:
            conn.unframed.add(flow)

    @staticmethod
    def upstream_speaks(conn: Connection, alpn: bytes | None) -> None:
        """Frame the waiting requests as the upstream's version of HTTP wants it (RFC 9112 6.1, RFC 9113 8.2.2)."""
        for flow in conn.unframed:
            if alpn == b"h2":
                flow.request.headers.pop("transfer-encoding", None)
            else:
                flow.request.headers["transfer-encoding"] = "chunked"

    async def _find(
        self, flow: http.HTTPFlow, conn: Connection, target: Target, stand_in: str | None = None
    ) -> Anchor | None:
        """Look the address up, or answer the request with why there is none.

        A name that stands in for a search engine makes sure twice; where it cannot be looked up, what is added to
        the request must do.
        """
        try:
            if stand_in is not None:
                with suppress(NameNotFound, AddressRefused):
                    return await self._upstream.anchor(target.host, target.port, stand_in)
            return await self._upstream.anchor(target.host, target.port)
        except NameNotFound as error:
            self._counters.upstream_failed("name")
            if conn.listener == "transparent":
                self._judge.saw(unresolved(error, target.host), conn.arrival, target.host, conn.network)
            lead = f"There is no site called {target.host}."
            page = self._pages.notice(502, "This site was not found", lead, conn.network, _fields(flow))
            self._answer(flow, page)
        except AddressRefused:
            self._counters.upstream_failed("address")
            refusal = Refusal(403, "this address is not on the internet", private(target.host), target.host)
            self._refuse(flow, conn, refusal)
        return None

    def response(self, flow: http.HTTPFlow, conn: Connection) -> None:
        """Let a response through unread as it arrives, without what would lead past the proxy."""
        response = flow.response
        if response is None or flow not in conn.requests:
            return  # ours
        response.headers.pop("alt-svc", None)
        if response.status_code == 101 and response.headers.get("upgrade", "").lower() != "websocket":
            raise ValueError("the upstream changes to a protocol that was not asked for")
        if doh.is_doh_type(response.headers.get("content-type", "")):
            self._judge.saw(Technique.DOH, conn.arrival, conn.requests[flow].decision.host, conn.network)
            flow.response = http.Response.make(403, b"", {"cache-control": "no-store"})
            flow.response.stream = lambda _: []
            return
        length = response.headers.get("content-length", "")
        codings = response.headers.get("content-encoding", "")
        kind = response.headers.get("content-type", "").partition(";")[0].lower()
        script = "javascript" in kind
        if script or "html" in kind:
            body = _Body(self._judge, conn.requests[flow], script=script)
            response.stream = Watch(body.look, lambda: self._stop_body(flow, conn, body), codings)
        elif doh.may_hold_answer(int(length) if length.isdecimal() else None):
            response.stream = Watch(doh.answer, lambda: self._stop_doh(flow, conn), codings)
        else:
            response.stream = True

    def _block(self, flow: http.HTTPFlow, attempt: Attempt, decision: Decision) -> None:
        self._answer(flow, self._pages.blocked(attempt, decision, _fields(flow)))

    def _refuse(self, flow: http.HTTPFlow, conn: Connection, refusal: Refusal) -> None:
        self._answer(flow, self._pages.refused(refusal, conn.arrival, conn.network, _fields(flow)))

    @staticmethod
    def _answer(flow: http.HTTPFlow, page: BlockResponse) -> None:
        answer(flow, page)


class _Body:
    """Looks for web proxies in a page or script, and for DNS under such a type."""

    def __init__(self, judge: Judge, approval: Approval, *, script: bool) -> None:
        self._judge = judge
        self._approval = approval
        self._script = script
        self.shown: Shown | None = None

    def look(self, body: bytes) -> doh.Sight:
        """Say what the beginning of the body shows."""
        attempt, decision = self._approval.attempt, self._approval.decision
        self.shown = judge_body(self._judge.engine, attempt, decision, body, script=self._script)
        if self.shown is not None:
            return doh.Sight.FOUND
        sight = doh.answer(body)
        return doh.Sight.PERHAPS if sight is doh.Sight.ORDINARY else sight


def _forwarded(address: str) -> str:
    """Tell the portal who asks (RFC 7239 section 6): to it every connection of ours comes from this box."""
    return f'for="[{address}]"' if ":" in address else f"for={address}"


def _fields(flow: http.HTTPFlow) -> Fields:
    headers = flow.request.headers
    return Fields(
        headers.get("accept", ""), headers.get("sec-fetch-dest", ""), headers.get("accept-language", "")
    )


def _asks_dns(request: http.Request) -> bool:
    """Whether a body that is all there begins as a DNS question does."""
    body = request.raw_content or b""
    if codings := request.headers.get("content-encoding", ""):
        body = Inflate(codings)(body, _LOOKED_AT)
    return doh.question(body) is doh.Sight.FOUND


def _is_bare_address(decision: Decision) -> bool:
    """Whether an address of the internet was asked for that no rule speaks of: what is behind it nobody can say."""
    address = as_ip(decision.host)
    return decision.reason is Reason.OTHERWISE and address is not None and is_public(address)


def unresolved(error: NameNotFound, name: str) -> Technique:
    """Name the attempt to reach an address under a name that has none: made up as Tor's relays do, or another."""
    made_up = error.certain and _MADE_UP.fullmatch(name)
    return Technique.TOR if made_up else Technique.UNRESOLVED_DESTINATION


def private(host: str) -> Technique:
    """Name the attempt to reach a private address: outright, or through a name (DNS rebinding)."""
    return Technique.REBINDING if as_ip(host) is None else Technique.PRIVATE_ADDRESS


def _head_of(flow: http.HTTPFlow, conn: Connection) -> RequestHead:
    request = flow.request
    authority = request.authority
    if conn.listener == "explicit" and conn.connect_name is None:
        # mitmproxy has moved an absolute-form target into host and port by now.
        host = f"[{request.host}]" if ":" in request.host else request.host
        authority = f"{host}:{request.port}"
    return RequestHead(
        method=request.method,
        authority=authority,
        path=request.path,
        headers=list(request.headers.items(multi=True)),  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
        http2=request.is_http2,
        tls=flow.client_conn.tls,
    )
