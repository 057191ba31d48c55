"""The portal as an ASGI application: its own pages, and the block page for every other host.

A browser comes here with a blocked site's name when DNS answered that name with this box's address. So a request whose
Host is not the portal's own is judged, and shown why its site is blocked. Nothing here opens anything: whatever the
verdict, no request is forwarded.
"""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schoolgate_exceptions import pages
from schoolgate_exceptions.ports import BlockPage, Page, PortalConfig, PortalCounters, SignInProvider
from schoolgate_exceptions.service import Service
from schoolgate_exceptions.web.site import Site
from schoolgate_policy.decision import Attempt
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import canonical_host, parse_address
from schoolgate_policy.ports import Clock, PolicySource, Recorder


def create_app(
    config: PortalConfig,
    source: PolicySource,
    recorder: Recorder,
    counters: PortalCounters,
    clock: Clock,
    block_page: BlockPage,
    service: Service | None = None,
    providers: Mapping[str, SignInProvider] | None = None,
) -> ASGIApp:
    """Return the portal; `block_page` makes what people see instead of a blocked site.

    Without a `service` there is no request queue: only the front page and the block page are shown. `providers` are
    the school's own ways of signing in, by the name on their button.
    """
    portal = _Portal(config, source, recorder, counters, clock, block_page, service, providers)
    app = Starlette()
    app.mount("/", portal)
    return app


class _Portal:
    def __init__(
        self,
        config: PortalConfig,
        source: PolicySource,
        recorder: Recorder,
        counters: PortalCounters,
        clock: Clock,
        block_page: BlockPage,
        service: Service | None,
        providers: Mapping[str, SignInProvider] | None,
    ) -> None:
        named = [config.host] if config.host else []
        self._own = {"localhost", *(at[0] for at in (config.listen, config.listen_tls) if at), *named}
        self._https_url = config.https_url if config.listen_tls else ""
        self._source = source
        self._recorder = recorder
        self._counters = counters
        self._clock = clock
        self._block_page = block_page
        self._site = Site(service, providers) if service else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        try:
            kind, page = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not look like an open site
            self._recorder.fault("portal", error)
            kind, page = "fault", pages.plain(503, "the filter has a hiccup; please try again in a minute")
        self._counters.page(kind, page.status)
        body = b"" if request.method == "HEAD" else page.body
        response = Response(body, page.status)
        response.raw_headers = [
            (name.lower().encode(), value.encode("latin-1")) for name, value in page.headers
        ]
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> tuple[str, Page]:
        """Return what kind of page this is, and the page."""
        try:
            host = _host(request)
        except InvalidHost as error:
            return "refused", pages.plain(400, f"the request names no host: {error}")
        if self._is_own(host, request):
            if self._https_url and request.scope.get("scheme") == "http":
                return "home", self._to_https(request)
            return await self._site.answer(request) if self._site else self._own_page(request)
        return self._judged(host, request)

    def _is_own(self, host: str, request: Request) -> bool:
        server = request.scope.get("server")
        # A socket for both families says of an IPv4 address that it is one mapped into IPv6.
        return host in self._own or (server is not None and host == str(parse_address(server[0])))

    def _to_https(self, request: Request) -> Page:
        """Send somebody to the same page over TLS (308 Permanent Redirect, RFC 9110 15.4.9: a form stays a form)."""
        path = request.scope.get("raw_path", b"/").decode("latin-1")
        query = f"?{request.url.query}" if request.url.query else ""
        headers = (("Location", f"{self._https_url}{path}{query}"), ("Cache-Control", "no-store"))
        return Page(308, (*headers, ("Content-Length", "0")), b"")

    def _own_page(self, request: Request) -> tuple[str, Page]:
        policy = self._source.engine.policy
        if request.method not in {"GET", "HEAD"}:
            return "refused", pages.plain(405, "GET or HEAD only")
        if request.url.path == "/":
            return "home", pages.home(policy, self._clock())
        return "missing", pages.missing(policy, self._clock())

    def _judged(self, host: str, request: Request) -> tuple[str, Page]:
        engine = self._source.engine
        address = request.client.host if request.client else ""
        path = request.scope.get("raw_path", b"/").decode("latin-1")
        attempt = Attempt(address, host, self._clock(), path)
        decision = engine.decide(attempt)
        if not decision.blocked:
            return "open", pages.try_again(engine.policy, attempt.at, host)
        accept = request.headers.get("accept", "")
        dest = request.headers.get("sec-fetch-dest", "")
        language = request.headers.get("accept-language", "")
        return "blocked", self._block_page(engine, attempt, decision, accept, dest, language)


def _host(request: Request) -> str:
    """Return the canonical host of the one Host header field (RFC 9112 3.2), without its port."""
    fields = request.headers.getlist("host")
    if len(fields) != 1:
        raise InvalidHost("a request has exactly one Host")
    name, colon, port = fields[0].rpartition(":")
    return canonical_host(name if colon and port.isdigit() and not name.endswith(":") else fields[0])
