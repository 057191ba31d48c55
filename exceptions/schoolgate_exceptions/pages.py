"""The pages that need no request queue: for a site that is open by now, and for whoever is no browser. Pure."""

from datetime import datetime

from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.frame import html, raw
from schoolgate_exceptions.web.words import Words
from schoolgate_policy.model import Policy


def home(policy: Policy, now: datetime) -> Page:
    """Return the front page of a portal without a request queue."""
    return _page(200, "front.html.j2", policy, now, queue=False, works=False)


def missing(policy: Policy, now: datetime) -> Page:
    """Return the page for a path that a portal without a request queue does not have."""
    words = Words("en", policy.calendar.zone, now)
    link = ("/", words("errors.start"))
    title, lines = words("errors.missing-title"), (words("errors.missing"),)
    return _page(404, "message.html.j2", policy, now, title=title, lines=lines, link=link)


def try_again(policy: Policy, now: datetime, host: str) -> Page:
    """Return the page for a site that is open by now: the browser still holds the address of the block page."""
    return _page(503, "again.html.j2", policy, now, (("Retry-After", "10"),), host=host)


def plain(status: int, text: str) -> Page:
    """Return a page of one line, for whoever is no browser, or when no policy can be asked."""
    return raw(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _page(
    status: int,
    template: str,
    policy: Policy,
    now: datetime,
    more: tuple[tuple[str, str], ...] = (),
    **values: object,
) -> Page:
    words = Words("en", policy.calendar.zone, now)
    shown: dict[str, object] = {
        "policy": policy,
        "t": words,
        "errors": {},
        "title": "",
        "root": "",
        "form_token": "",
        "signed_in": None,
        "other_language": None,
        **values,
    }
    return html(template, status, words.tag, shown, more)
