"""One request to the portal as its pages see it: who, what, in which language."""

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

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
