"""One request to the portal as its pages see it: who, what, in which language."""

import re
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address

from starlette.datastructures import Headers

from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.sessions import Session
from schoolgate_exceptions.web.forms import Form
from schoolgate_exceptions.web.words import Words

SESSION = "sg-session"
FORM = "sg-form"
LANGUAGE = "sg-lang"
PROVIDER = "sg-provider"  # a sign-in that is going on elsewhere
_SECURE = "__Host-"
_THIS_BOX = frozenset({"127.0.0.1", "::1"})
_FORWARDED = re.compile(r'for="?\[?([0-9a-fA-F:.]+)\]?"?')


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page is handed. `actor` is whoever is signed in, else the device."""

    method: str
    path: str
    parts: dict[str, str]  # of the route's path
    query: Form
    raw_query: str
    form: Form
    body: bytes
    headers: Headers
    address: str
    actor: Actor
    session: Session | None
    form_key: str
    token: str  # what a form must bring back
    t: Words

    @property
    def posts(self) -> bool:
        """Whether it wants to change something."""
        return self.method == "POST"

    def has(self, *roles: Role) -> bool:
        """Whether whoever is signed in has one of some roles."""
        return self.session is not None and self.actor.has(*roles)


def read_cookies(headers: Headers, *, secure: bool) -> dict[str, str]:
    """Return our cookies by their plain names; what cannot be read is left out."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load("; ".join(headers.getlist("cookie")))
    except CookieError:
        return {}
    prefix = _SECURE if secure else ""
    return {
        name: jar[prefix + name].value for name in (SESSION, FORM, LANGUAGE, PROVIDER) if prefix + name in jar
    }


def cookie(name: str, value: str, *, secure: bool, seconds: int | None = None) -> tuple[str, str]:
    """Return the header that sets a cookie: for this host only, not for scripts; `Lax`, since letters link here."""
    text = f"{_SECURE if secure else ''}{name}={value}; Path=/; HttpOnly; SameSite=Lax"
    if seconds is not None:
        text += f"; Max-Age={seconds}"
    return "Set-Cookie", text + ("; Secure" if secure else "")


def client_address(peer: str, headers: Headers) -> str:
    """Return whose request it is: the peer's, or, of what this box's own proxy hands on, the address it names.

    `Forwarded` (RFC 7239) counts only where the connection comes from this very machine; a client that writes one
    itself gains nothing, since the proxy replaces it and a direct connection has the client's own address.
    """
    if peer not in _THIS_BOX:
        return peer
    found = _FORWARDED.fullmatch(headers.get("forwarded", ""))
    try:
        return str(ip_address(found[1])) if found else peer
    except ValueError:
        return peer
