"""The page that people see instead of a blocked one; pure, and independent of any proxy or web framework.

Refused as 403 Forbidden (RFC 9110 15.5.4), never cached, with nothing loaded from anywhere. The page is written for
a seven-year-old, an older pupil or an adult, in English or Welsh (`wording.py`); a block that ends looks different from
one that does not, and who looked for something that hurts is offered help instead of a rule. Programs get a problem document (RFC 9457), images and scripts an empty body.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import NotRequired, TypedDict

from jinja2 import Environment, StrictUndefined, Template

from schoolgate_policy.decision import Decision, Reason
from schoolgate_policy.model import People, Policy
from schoolgate_policy.support import is_welfare
from schoolgate_proxy.wording import LanguageWords, Reader, ReaderWords, opening_words, preferred, words_in

_PAGES = frozenset({"document", "iframe", "frame", "embed", "object"})
_CHILD_BELOW = 12  # years: primary school


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

    kind: str  # `time`, `content`, `support` or `fault`: which picture is shown
    title: str
    lead: str
    calm: str = ""
    rule: str = ""
    rule_label: str = ""
    own: str = ""  # the school's own words for somebody who may need help
    helpline: str = ""
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
    accept_language: str = "",
) -> BlockResponse:
    """Return the response for an attempt that is blocked `now`.

    `opens_at` is the first instant at which the same attempt is allowed, None where it is not in sight. `ask_url`
    leads to the request form; without it the page says whom to ask. `accept`, `sec_fetch_dest` and `accept_language`
    are the request's header fields, empty where it had none.
    """
    language = language_for(policy, decision.network, accept_language)
    kind = _body_kind(accept, sec_fetch_dest)
    if decision.reason is Reason.ERROR:
        return _fault(policy.school.name, kind, language)
    words = words_for(decision, policy, now=now, opens_at=opens_at, ask_url=ask_url, language=language)
    problem: Problem = {
        "title": words.title,
        "status": 403,
        "detail": decision.message,
        "host": decision.host,
        "reason": str(decision.reason),
    }
    if opens_at is not None:
        problem["opens_at"] = opens_at.isoformat()
    return _respond(words, problem, policy.school.name, kind, language)


def render_fault(
    school: str, *, accept: str = "", sec_fetch_dest: str = "", accept_language: str = ""
) -> BlockResponse:
    """Return the response for a page that could not be judged: 503, and no blame on anybody."""
    return _fault(school, _body_kind(accept, sec_fetch_dest), preferred(accept_language))


def _fault(school: str, kind: str, language: str) -> BlockResponse:
    said = words_in(language).fault
    words = Words(kind="fault", title=said.title, lead=said.lead, calm=said.calm, ask=said.ask)
    problem: Problem = {"title": words.title, "status": 503, "detail": words.lead}
    return _respond(words, problem, school, kind, language)


def render_notice(
    status: int, title: str, lead: str, school: str, *, accept: str = "", sec_fetch_dest: str = ""
) -> BlockResponse:
    """Return the response for something that no policy decided: a malformed request, a name without an address."""
    words = Words(kind="fault", title=title, lead=lead)
    problem: Problem = {"title": title, "status": status, "detail": lead}
    return _respond(words, problem, school, _body_kind(accept, sec_fetch_dest), "en")


def language_for(policy: Policy, network: str, accept_language: str) -> str:
    """Return the language of the page: the network's, else the school's, else what the browser likes best."""
    of_network = policy.networks[network].language if network in policy.networks else None
    return of_network or policy.school.language or preferred(accept_language)


def reader_of(decision: Decision, policy: Policy) -> Reader:
    """Return who reads the page: a pupil below twelve or of no known age, an older one, or an adult."""
    network = policy.networks.get(decision.network)
    if network is not None and network.people is not People.PUPIL:
        return "adult"
    device = policy.devices.get(decision.device or "")
    age = device.age if device is not None and device.age is not None else network.age if network else None
    return "child" if age is None or age < _CHILD_BELOW else "older"


def words_for(
    decision: Decision,
    policy: Policy,
    *,
    now: datetime,
    opens_at: datetime | None = None,
    ask_url: str | None = None,
    language: str = "en",
) -> Words:
    """Return what the page says about a decision."""
    said = words_in(language)
    reader = reader_of(decision, policy)
    words = said.reader(reader)
    askable = decision.reason is not Reason.LOCKED
    who = policy.school.contacts.get("e_safety_officer", "") if askable else ""
    if is_welfare(policy, decision):
        return _support(policy, words, language, who)
    when = opening_words(now, opens_at, policy.school.timezone, language) if opens_at is not None else ""
    rule = decision.message.rstrip(".")
    if decision.reason is Reason.SANCTION:
        return _supervised(rule, said, words, when, who)
    thing = _thing(decision, policy, said)
    url = ask_url if askable and ask_url and ask_url.startswith(("https://", "http://", "/")) else ""
    heading = words.time if when else words.content
    page = Words(
        kind="time" if when else "content",
        title=heading.title.format(thing=thing),
        lead=heading.lead.format(when=when),
        calm=words.calm,
        rule=rule,
        rule_label=said.rule,
        ask_url=url,
        ask_label=words.ask_label,
        contact=who,
        contact_label=words.contact_label,
    )
    if reader != "adult":
        return replace(page, ask="" if url or not askable else words.ask)
    mail = f"mailto:{who}" if who else ""
    return replace(
        page,
        ask=words.ask if who or url else "",
        ask_url=url or mail,
        ask_label=words.ask_label if url else words.mail_label,
    )


def _support(policy: Policy, words: ReaderWords, language: str, who: str) -> Words:
    """Return the page for somebody who looked for something that hurts: no rule, no picture of a closed door."""
    said, school = words.support, policy.support
    own = (school.welsh or school.text) if language == "cy" else school.text
    return Words(
        kind="support",
        title=said.title,
        lead=said.lead,
        calm=said.calm,
        own=own,
        helpline=said.helpline,
        contact=who,
        contact_label=words.contact_label,
    )


def _supervised(rule: str, said: LanguageWords, words: ReaderWords, when: str, who: str) -> Words:
    """Return the page for somebody whose device is under close supervision for a time."""
    page = words.supervised
    return Words(
        kind="time",
        title=page.title,
        lead=f"{page.lead} {page.until.format(when=when)}" if when else page.lead,
        rule=rule,
        rule_label=said.rule,
        ask=page.ask,
        contact=who,
        contact_label=words.contact_label,
    )


def _thing(decision: Decision, policy: Policy, said: LanguageWords) -> str:
    """Name what is blocked: the service where the catalogue knows it, else the host."""
    service = policy.catalogue.services.get(decision.service or "")
    if service is not None:
        return service.title
    return decision.host if len(decision.host) <= 40 else said.this_page


def _respond(words: Words, problem: Problem, school: str, kind: str, language: str) -> BlockResponse:
    if kind == "page":
        style, csp = _style()
        code = words_in(language).code
        body = _template().render(words=words, school=school, style=style, language=code).encode()
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Language", code),
            ("Vary", "Accept-Language"),
        ]
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
