"""A portal that listens on loopback with a small school behind it, and ways to walk through it."""

import asyncio
import base64
import re
import threading
from dataclasses import dataclass, field

import httpx
from school import PASSWORD, School

from schoolgate_exceptions import totp
from schoolgate_exceptions.accounts import Account
from schoolgate_exceptions.ports import Page, PortalConfig
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.server import PortalServer


@dataclass
class Notes:
    """Takes note of what a portal says about itself."""

    faults: list[tuple[str, Exception]] = field(default_factory=list)
    pages: list[tuple[str, int]] = field(default_factory=list)

    def decision(self, attempt, decision):
        """Fail: a portal enforces nothing."""
        raise AssertionError("the portal enforces nothing")

    def technique(self, *_):
        """Fail likewise."""
        raise AssertionError("the portal enforces nothing")

    def fault(self, area, error):
        """Note a bug."""
        self.faults.append((area, error))

    def page(self, page, status):
        """Note a page."""
        self.pages.append((page, status))


class LivePortal:
    """A portal in a thread of its own."""

    def __init__(self, school: School, providers: dict | None = None) -> None:
        self.school = school
        self.notes = Notes()
        self._browsers: list[Browser] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = PortalServer(
            PortalConfig(("127.0.0.1", 0), "filter.school.example"),
            school.source,
            self.notes,
            self.notes,
            school.clock,
            lambda *_: Page(403, (("Content-Length", "7"),), b"blocked"),
            school.service,
            providers,
        )
        self._do(self.server.start())
        host, port = self.server.address
        self.url = f"http://{host}:{port}"

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    def stop(self) -> None:
        """Stop it, and see that no page failed."""
        for browser in self._browsers:
            browser.client.close()
        self._do(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        for _, error in self.notes.faults:
            raise AssertionError("a page failed") from error

    def browser(self) -> "Browser":
        """Return somebody who is not signed in."""
        browser = Browser(self)
        self._browsers.append(browser)
        return browser

    def account(self, email: str, *roles: Role) -> Account:
        """Make an account with a second factor where its roles need one; give it the key `KEY`."""
        actor = self.school.person(email, *roles)
        service = self.school.service
        signed = service.signing_in.by_password(email, PASSWORD, "10.10.0.99")
        if signed.session.incomplete:
            service.sessions.enrol(signed.session, KEY, self.code())
            self.school.clock.forward(seconds=30)  # the same code is not taken twice
        return next(one for one in service.accounts.listed() if one.number == actor.account)

    def code(self) -> str:
        """Return what an authenticator app shows now."""
        return totp.code_at(KEY, totp.step_of(self.school.clock.at))

    def signed_in(self, email: str, *roles: Role) -> "Browser":
        """Return somebody with an account of some roles, signed in with everything that takes."""
        self.account(email, *roles)
        browser = self.browser()
        page = browser.submit("/sign-in", email=email, password=PASSWORD)
        if "/sign-in/code" in str(page.url):
            page = browser.submit("/sign-in/code", code=self.code())
            self.school.clock.forward(seconds=30)
        assert page.url.path == "/home", page.text
        return browser


KEY = bytes(range(20))
KEY_TEXT = base64.b32encode(KEY).decode()


class Browser:
    """A client that keeps cookies and follows redirects, and sends forms with their hidden fields."""

    def __init__(self, portal: LivePortal) -> None:
        self.portal = portal
        self.client = httpx.Client(base_url=portal.url, follow_redirects=True, timeout=20)

    def get(self, path: str, **query: str) -> httpx.Response:
        """Open a page."""
        return self.client.get(path, params=query or None)

    def token(self, path: str = "/help") -> str:
        """Return the form token of a page that has one."""
        found = re.search(r'name="_token" value="([0-9a-f]+)"', self.client.get(path).text)
        return found[1] if found else ""

    def post(self, path: str, *, page: str = "", **fields: object) -> httpx.Response:
        """Send fields with the token of a page."""
        data = {"_token": self.token(page or path), **fields}
        return self.client.post(path, data=data, headers={"Origin": self.portal.url})

    submit = post
