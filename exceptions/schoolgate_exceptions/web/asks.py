"""Asking: one question a page, at most three where the block page's link says which site it is about.

The first answers travel in the address, since nothing is changed before the last form is sent; what somebody writes
in their own words is asked last and only ever posted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from schoolgate_exceptions.errors import InvalidInput, InvalidReference, NotAllowed
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.references import Reference
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.forms import Form
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.model import People, Policy

_PUPIL = (Purpose.LESSON, Purpose.HOMEWORK, Purpose.CLUB, Purpose.OTHER)
_STAFF = (Purpose.LESSON, Purpose.WORK, Purpose.CLUB, Purpose.OFFICIAL, Purpose.RECRUITMENT, Purpose.OTHER)
_SPANS = ("day", "week", "term", "unsure")
_FRIDAY = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """The answers so far; `reference` or else `host` says which site."""

    reference: str
    host: str
    purpose: str
    span: str
    reason: str = ""

    def hidden(self) -> list[tuple[str, str]]:
        """Return the answers that the next form carries along."""
        pairs = [("about", self.reference), ("host", self.host), ("for", self.purpose), ("until", self.span)]
        return [(name, value) for name, value in pairs if value]


def draft_of(form: Form) -> Draft:
    """Read the answers so far."""
    span = form.one("until")
    return Draft(
        form.one("about"),
        form.one("host").strip()[:2_000],
        form.one("for"),
        span if span in _SPANS else "",
        form.one("reason"),
    )


def show(counter: Counter, visit: Visit) -> Page:
    """Put the next question."""
    draft = draft_of(visit.query)
    asked = visit.query.has("asked")  # the form of a question was sent, so an empty answer is a mistake
    if draft.reference:
        known = counter.service.asking.already(draft.reference)
        if known is not None:
            return counter.page(visit, "ask/already.html.j2", draft=draft, known=known)
    elif not draft.host:
        errors = {"host": visit.t("ask.which-hint")} if asked else {}
        return _question(counter, visit, "which", draft, errors)
    if draft.purpose not in offered(counter, visit, draft):
        errors = {"for": visit.t("ask.for-missing")} if asked and visit.query.has("for-asked") else {}
        return _question(counter, visit, "for", draft, errors)
    if draft.purpose == Purpose.OFFICIAL:
        return counter.to("/official", host=_site(counter, draft))
    if not draft.span:
        errors = {"until": visit.t("ask.until-missing")} if visit.query.has("until-asked") else {}
        return _question(counter, visit, "until", draft, errors)
    return _question(counter, visit, "reason", draft, {})


def send(counter: Counter, visit: Visit) -> Page:
    """Take the request in, and lead on to its code."""
    draft = draft_of(visit.form)
    if visit.form.has("also"):
        draft = Draft(draft.reference, draft.host, Purpose.OTHER, "unsure", visit.t("already.also-reason"))
    purpose = Purpose(draft.purpose) if draft.purpose in set(Purpose) else Purpose.OTHER
    ask = Ask(
        Kind.UNBLOCK,
        purpose,
        draft.reason,
        end_of(draft.span, counter.policy, visit.t.now),
        draft.host if not draft.reference else "",
        draft.reference,
    )
    try:
        asked = counter.service.asking.submit(ask, visit.actor, visit.address, visit.t.language)
    except InvalidInput as error:
        return _again(counter, visit, draft, error)
    if asked.fresh:
        return counter.to(f"/sent/{asked.request.reference}")
    return counter.to(f"/requests/{asked.request.reference}", already="1")


def stale(counter: Counter, visit: Visit, error: InvalidReference) -> Page:
    """Show how to come by a new link."""
    counter.service.asking.refused(visit.actor, visit.address, str(error))
    key = "stale" if error.stale else "forged"
    title, text = visit.t(f"ask.{key}-title"), visit.t(f"ask.{key}")
    return counter.message(visit, 410, title, text, link=("/ask", visit.t("front.ask")))


def guarded(counter: Counter, visit: Visit) -> Page:
    """Answer `/ask`, whatever its link is worth."""
    try:
        return send(counter, visit) if visit.posts else show(counter, visit)
    except InvalidReference as error:
        return stale(counter, visit, error)
    except NotAllowed:
        return counter.to("/official", host=_site(counter, draft_of(visit.form)))


def sent(counter: Counter, visit: Visit) -> Page:
    """Confirm, with the code and what happens next."""
    standing = counter.service.asking.standing(visit.parts["reference"], visit.actor)
    return counter.page(visit, "ask/sent.html.j2", standing=standing)


def offered(counter: Counter, visit: Visit, draft: Draft) -> tuple[Purpose, ...]:
    """Return what somebody may need a site for, by the network they are on or by being signed in."""
    if visit.session is not None:
        return _STAFF
    name = counter.service.office.engine.identify(visit.address).network
    if draft.reference:
        name = counter.service.asking.reference(draft.reference).network
    network = counter.policy.networks.get(name)
    return _PUPIL if network is None or network.people is People.PUPIL else _STAFF


def end_of(span: str, policy: Policy, now: datetime) -> datetime | None:
    """Return the end of an answer to `how long`; None where nobody knows."""
    zone = policy.calendar.zone
    day = now.astimezone(zone).date()
    match span:
        case "day":
            last = day
        case "week":
            last = day + timedelta(days=(_FRIDAY - day.weekday()) % 7)
        case "term":
            ends = [term.last for term in policy.calendar.terms if term.last >= day]
            if not ends:
                return None
            last = min(ends)
        case _:
            return None
    after = last + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=zone)


def _question(
    counter: Counter, visit: Visit, name: str, draft: Draft, errors: dict[str, str], status: int = 0
) -> Page:
    values = {
        "draft": draft,
        "site": _site(counter, draft),
        "offered": offered(counter, visit, draft),
        "spans": _SPANS,
        "number": {"for": 1, "until": 2, "reason": 3}.get(name, 0),
    }
    status = status or (422 if errors else 200)
    return counter.page(visit, f"ask/{name}.html.j2", status, errors=errors, **values)


def _again(counter: Counter, visit: Visit, draft: Draft, error: InvalidInput) -> Page:
    """Put the first question whose answer cannot be taken again."""
    for name, question in (("host", "which"), ("purpose", "for"), ("until", "until")):
        if name in error.fields:
            field = {"purpose": "for"}.get(name, name)
            return _question(counter, visit, question, draft, {field: error.fields[name]}, 422)
    return _question(counter, visit, "reason", draft, dict(error.fields), 422)


def _site(counter: Counter, draft: Draft) -> str:
    """Return the site as it is shown."""
    if not draft.reference:
        return draft.host[:100]
    reference: Reference = counter.service.asking.reference(draft.reference)
    return reference.host
