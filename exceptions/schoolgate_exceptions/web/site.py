"""From an HTTP request to a page: who asks, may they, does the form come from us; then the page, or why not."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from schoolgate_exceptions import csrf
from schoolgate_exceptions.errors import Unavailable
from schoolgate_exceptions.ports import Page, SignInProvider
from schoolgate_exceptions.service import Service
from schoolgate_exceptions.sessions import Session
from schoolgate_exceptions.web import failures
from schoolgate_exceptions.web.desk import Counter, own_path
from schoolgate_exceptions.web.forms import Form, parse_form
from schoolgate_exceptions.web.frame import with_headers
from schoolgate_exceptions.web.map import ROUTES
from schoolgate_exceptions.web.routes import Route
from schoolgate_exceptions.web.visit import (
    FORM,
    LANGUAGE,
    SESSION,
    Visit,
    client_address,
    cookie,
    read_cookies,
)
from schoolgate_exceptions.web.words import LANGUAGES, Words, choose_language

_YEAR_SECONDS = 31_536_000
_FORM_TYPE = "application/x-www-form-urlencoded"


class Site:
    """The pages under the portal's own names."""

    def __init__(
        self,
        service: Service,
        providers: Mapping[str, SignInProvider] | None = None,
        routes: Sequence[Route] = ROUTES,
    ) -> None:
        self._service = service
        self._secure = service.office.url.startswith("https:")
        self._counter = Counter(service, self._secure, providers or {})
        self._routes = routes

    async def answer(self, request: Request) -> tuple[str, Page]:
        """Return what kind of page this is, and the page."""
        path = request.url.path
        route, parts = self._find(path)
        body = await _read(request, route.most if route else 0)
        return await run_in_threadpool(self._answer, request, route, parts, body)

    def _find(self, path: str) -> tuple[Route | None, dict[str, str]]:
        for route in self._routes:
            found = route.match(path)
            if found is not None:
                return route, found.groupdict()
        return None, {}

    def _answer(
        self, request: Request, route: Route | None, parts: dict[str, str], body: bytes | None
    ) -> tuple[str, Page]:
        visit, cookies = self._visit(request, route, parts, body or b"")
        if route is None:
            return "missing", failures.missing(self._counter, visit)
        try:
            page = self._page(route, visit, body)
        except Exception as error:
            known = failures.explain(self._counter, visit, error, json=route.json)
            if known is None:
                raise
            page = known
        return route.kind, with_headers(page, *cookies)

    def _page(self, route: Route, visit: Visit, body: bytes | None) -> Page:
        handler = route.handler(visit.method)
        if handler is None:
            return failures.method(self._counter, visit, route.methods, json=route.json)
        if body is None:
            return failures.too_long(self._counter, visit, json=route.json)
        # First: a form that was left open until its session was over leads to signing in, not to a riddle.
        if route.signed_in and (stop := self._stop(route, visit)) is not None:
            return stop
        if visit.posts and not self._is_ours(route, visit):
            return failures.foreign(self._counter, visit, json=route.json)
        return handler(self._counter, visit)

    def _stop(self, route: Route, visit: Visit) -> Page | None:
        """Return where somebody is sent who may not see a page yet, or never."""
        session = visit.session
        if session is None:
            if route.json:
                return failures.unknown(self._counter, visit)
            back = quote(visit.path if not visit.posts else "/home", safe="")
            return self._counter.to(f"/sign-in?next={back}")
        if session.incomplete and not route.half:
            if route.json:
                return failures.unknown(self._counter, visit)
            return self._counter.to(
                "/sign-in/code" if session.account.has_second_factor else "/account/second-factor",
                next=own_path(visit.path),
            )
        if route.roles:
            visit.actor.require(*route.roles)
        return None

    def _is_ours(self, route: Route, visit: Visit) -> bool:
        headers = visit.headers
        is_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        if route.json and _bearer(headers):  # no browser adds a token by itself, so no page can borrow it
            return is_json
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
        if not csrf.is_same_site(visit.method, headers.get("host", ""), fetch_site=site, origin=origin):
            return False
        if route.json:  # a page elsewhere cannot send this type without asking first (Fetch, CORS preflight)
            return is_json
        return csrf.is_token(self._service.office.keys, visit.form_key, visit.form.one("_token"))

    def _visit(
        self, request: Request, route: Route | None, parts: dict[str, str], body: bytes
    ) -> tuple[Visit, list[tuple[str, str]]]:
        headers = request.headers
        cookies = read_cookies(headers, secure=self._secure)
        query = _form(request.url.query)
        office = self._service.office
        address = request.client.host if request.client else ""
        if not self._secure:  # inside TLS the proxy can say nothing, and a client might
            address = client_address(address, headers)
        secret = _bearer(headers)
        if route is not None and route.json and secret:
            session = self._program(secret, address)  # and never the cookie beside it
        else:
            session = self._session(cookies.get(SESSION, ""))
        made: list[tuple[str, str]] = []
        form_key = session.form_key if session else cookies.get(FORM, "")
        if len(form_key) < 20:
            form_key = self._service.office.token()
            made.append(cookie(FORM, form_key, secure=self._secure))
        wanted = query.one("lang")
        if wanted in LANGUAGES:
            made.append(cookie(LANGUAGE, wanted, secure=self._secure, seconds=_YEAR_SECONDS))
        account = session.account.language if session else ""
        kept, accepted = cookies.get(LANGUAGE, ""), headers.get("accept-language", "")
        is_form = headers.get("content-type", "").startswith(_FORM_TYPE)
        visit = Visit(
            method=request.method,
            path=request.url.path,
            parts=parts,
            query=query,
            raw_query=request.url.query,
            form=_form(body.decode(errors="replace")) if is_form else Form(),
            body=body,
            headers=headers,
            address=address,
            actor=session.actor if session else self._service.asking.asker(address),
            session=session,
            form_key=form_key,
            token=csrf.form_token(office.keys, form_key),
            t=Words(choose_language(wanted, kept, account, accepted), office.zone, office.now()),
        )
        return visit, made

    def _session(self, text: str) -> Session | None:
        """Return who is signed in; while the database cannot be asked nobody is."""
        if not text:
            return None
        try:
            return self._service.sessions.find(text)
        except Unavailable:
            return None

    def _program(self, secret: str, address: str) -> Session | None:
        """Return whom a program's token stands for (RFC 6750); nobody while the database cannot be asked."""
        try:
            return self._service.api_tokens.find(secret, self._service.asking.asker(address).device)
        except Unavailable:
            return None


def _bearer(headers: Headers) -> str:
    """Return the token of a program (RFC 6750 2.1); empty where there is none."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _form(text: str) -> Form:
    try:
        return parse_form(text)
    except ValueError:
        return Form()


async def _read(request: Request, most: int) -> bytes | None:
    """Return the body, None where it is longer than may be; a flood is not kept in memory."""
    if request.method in {"GET", "HEAD"}:
        return b""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk
        if len(kept) > most:
            return None
    return bytes(kept)
