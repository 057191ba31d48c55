"""The page that people see instead of a blocked one; pure, and independent of any proxy or web framework.

Refused as 403 Forbidden (RFC 9110 15.5.4), never cached, with nothing loaded from anywhere. The page is written for
a seven-year-old on a pupils' network and for grown-ups elsewhere; a block that ends looks different from one that
does not. Programs get a problem document (RFC 9457), images and scripts an empty body.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, Template

from schoolgate_policy.decision import Decision, Reason
from schoolgate_policy.model import People, Policy

_PAGES = frozenset({"document", "iframe", "frame", "embed", "object"})
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class BlockResponse:
    """An HTTP response: `headers` in the order they are sent, `body` in full."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Problem(TypedDict):
    """A problem document (RFC 9457 3.1) and what we add to it."""

    title: str
    status: int
    detail: str
    host: NotRequired[str]
    reason: NotRequired[str]
    opens_at: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Words:
    """What a page says. Empty fields are left out of it."""

    kind: str  # `time`, `content` or `fault`: which picture is shown
    title: str
    lead: str
    calm: str = ""
    rule: str = ""
    ask: str = ""
    ask_url: str = ""
    ask_label: str = ""
    contact: str = ""
    contact_label: str = ""


def render(
    decision: Decision,
    policy: Policy,
    *,
    now: datetime,
    opens_at: datetime | None = None,
    ask_url: str | None = None,
    accept: str = "",
    sec_fetch_dest: str = "",
) -> BlockResponse:
    """Return the response for an attempt that is blocked `now`.

    `opens_at` is the first instant at which the same attempt is allowed, None where it is not in sight. `ask_url`
    leads to the request form; without it the page says whom to ask. `accept` and `sec_fetch_dest` are the
    request's header fields, empty where it had none.
    """
    if decision.reason is Reason.ERROR:
        return render_fault(policy.school.name, accept=accept, sec_fetch_dest=sec_fetch_dest)
    words = words_for(decision, policy, now=now, opens_at=opens_at, ask_url=ask_url)
    problem: Problem = {
        "title": words.title,
        "status": 403,
        "detail": decision.message,
        "host": decision.host,
        "reason": str(decision.reason),
    }
    if opens_at is not None:
        problem["opens_at"] = opens_at.isoformat()
    return _respond(words, problem, policy.school.name, _body_kind(accept, sec_fetch_dest))


def render_fault(school: str, *, accept: str = "", sec_fetch_dest: str = "") -> BlockResponse:
    """Return the response for a page that could not be judged: 503, and no blame on anybody."""
    words = Words(
        kind="fault",
        title="This page could not be checked",
        lead="The school's filter has a hiccup.",
        calm="You have not done anything wrong. Please try again in a minute.",
        ask="Still not working? Tell a member of staff.",
    )
    problem: Problem = {"title": words.title, "status": 503, "detail": words.lead}
    return _respond(words, problem, school, _body_kind(accept, sec_fetch_dest))


def render_notice(
    status: int, title: str, lead: str, school: str, *, accept: str = "", sec_fetch_dest: str = ""
) -> BlockResponse:
    """Return the response for something that no policy decided: a malformed request, a name without an address."""
    words = Words(kind="fault", title=title, lead=lead)
    problem: Problem = {"title": title, "status": status, "detail": lead}
    return _respond(words, problem, school, _body_kind(accept, sec_fetch_dest))


def words_for(
    decision: Decision,
    policy: Policy,
    *,
    now: datetime,
    opens_at: datetime | None = None,
    ask_url: str | None = None,
) -> Words:
    """Return what the page says about a decision."""
    network = policy.networks.get(decision.network)
    child = network is None or network.people is People.PUPIL
    thing = _thing(decision, policy)
    rule = decision.message.rstrip(".")
    if decision.reason is Reason.SANCTION:
        return _supervised(policy, rule, now=now, opens_at=opens_at, child=child)
    askable = decision.reason is not Reason.LOCKED
    who = policy.school.contacts.get("e_safety_officer", "") if askable else ""
    url = ask_url if askable and ask_url and ask_url.startswith(("https://", "http://", "/")) else ""
    if opens_at is not None:
        when = opening_words(now, opens_at, policy.school.timezone)
        kind, title = "time", f"{thing} is closed now"
        lead = f"You can use it {when}." if child else f"Open to you {when}."
    else:
        kind, title = "content", f"{thing} is not for school" if child else f"{thing} is not open here"
        lead = "Let's find something else." if child else "It is blocked on this network."
    if child:
        return Words(
            kind=kind,
            title=title,
            lead=lead,
            calm="You have not done anything wrong.",
            rule=rule,
            ask="" if url or not askable else "Need it for a lesson? Ask your teacher.",
            ask_url=url,
            ask_label="Ask to use this page",
            contact=who,
            contact_label="For grown-ups",
        )
    return Words(
        kind=kind,
        title=title,
        lead=lead,
        rule=rule,
        ask="Do you need it for your work?" if who or url else "",
        ask_url=url or (f"mailto:{who}" if who else ""),
        ask_label="Ask for access" if url else "Ask the e-safety officer",
        contact=who,
        contact_label="E-safety officer",
    )


def _supervised(policy: Policy, rule: str, *, now: datetime, opens_at: datetime | None, child: bool) -> Words:
    """Return what the page says to somebody whose device is under close supervision for a time."""
    when = (
        f" You can use the others {opening_words(now, opens_at, policy.school.timezone)}." if opens_at else ""
    )
    return Words(
        kind="time",
        title="Only some pages work on this device for now",
        lead=f"A grown-up at school has decided this.{when}" if child else f"It is under supervision.{when}",
        rule=rule,
        ask="Do you need this page for a lesson? Your teacher can let this device go until the bell."
        if child
        else "",
        contact=policy.school.contacts.get("e_safety_officer", ""),
        contact_label="For grown-ups" if child else "E-safety officer",
    )


def opening_words(now: datetime, opens_at: datetime, timezone: str) -> str:
    """Say when something opens, as people do: `from 15:30`, `from Monday 08:30`, `from Monday 4 January, 08:30`."""
    zone = ZoneInfo(timezone)
    here, then = now.astimezone(zone), opens_at.astimezone(zone)
    days = (then.date() - here.date()).days
    if days <= 0:
        return f"from {then:%H:%M}"
    if days == 1:
        return f"from tomorrow {then:%H:%M}"
    weekday = _WEEKDAYS[then.weekday()]
    if days < 7:
        return f"from {weekday} {then:%H:%M}"
    return f"from {weekday} {then.day} {_MONTHS[then.month - 1]}, {then:%H:%M}"


def _thing(decision: Decision, policy: Policy) -> str:
    """Name what is blocked: the service where the catalogue knows it, else the host."""
    service = policy.catalogue.services.get(decision.service or "")
    if service is not None:
        return service.title
    return decision.host if len(decision.host) <= 40 else "This page"


def _respond(words: Words, problem: Problem, school: str, kind: str) -> BlockResponse:
    if kind == "page":
        style, csp = _style()
        body = _template().render(words=words, school=school, style=style).encode()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Language", "en-GB")]
        headers.append(("Content-Security-Policy", csp))
    elif kind == "problem":
        body = json.dumps({"type": "about:blank", **problem}, ensure_ascii=False).encode()
        headers = [("Content-Type", "application/problem+json")]
    else:
        body, headers = b"", []
    headers += [
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
    ]
    return BlockResponse(problem["status"], tuple(headers), body)


def _body_kind(accept: str, dest: str) -> str:
    """Choose the body by `Sec-Fetch-Dest`, and by `Accept` where a client sends no such field."""
    accept = accept.lower()
    if dest:
        if dest.lower() in _PAGES:
            return "page"
    elif "text/html" in accept:
        return "page"
    if "json" in accept:
        return "problem"
    return "page" if not dest and (not accept or "*/*" in accept) else "empty"


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((files(__package__) / "templates" / "block.html.j2").read_text("utf-8"))


@cache
def _style() -> tuple[str, str]:
    """Return the style sheet and the Content-Security-Policy that admits it and nothing else."""
    style = (files(__package__) / "templates" / "block.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return style, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
