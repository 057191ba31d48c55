"""How a request stands, for whoever has its code; and the same form the other way round: report a page."""

from schoolgate_exceptions.asking import Standing
from schoolgate_exceptions.errors import InvalidInput, NotFound
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.references import parse_short_reference
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.web.wording import worded
from schoolgate_exceptions.workflow import State

_WRONG = {"block": Kind.BLOCK, "report": Kind.REPORT, "other": Kind.REPORT}
_TONES = {State.APPLIED: "good", State.APPROVED: "good", State.REFUSED: "warn", State.REVOKED: "warn"}


def find(counter: Counter, visit: Visit) -> Page:
    """Ask for a code, and go to its page."""
    typed = visit.query.one("code")
    if not visit.query.has("code"):
        return counter.page(visit, "status/find.html.j2", typed="")
    reference = parse_short_reference(typed)
    try:
        counter.service.asking.standing(reference, visit.actor)
    except NotFound:
        return counter.again(visit, "status/find.html.j2", {"code": visit.t("status.missing")}, typed=typed)
    return counter.to(f"/requests/{reference}")


def show(counter: Counter, visit: Visit) -> Page:
    """Show how a request stands."""
    try:
        standing = counter.service.asking.standing(visit.parts["reference"], visit.actor)
    except NotFound:
        errors = {"code": visit.t("status.missing")}
        page = {"typed": visit.parts["reference"][:20]}
        return counter.page(visit, "status/find.html.j2", 404, errors=errors, **page)
    return _page(counter, visit, standing, {})


def act(counter: Counter, visit: Visit) -> Page:
    """Answer a question, or take the request back."""
    name, asking = visit.parts["reference"], counter.service.asking
    if visit.form.has("withdraw"):
        asking.withdraw(name, visit.actor)
    else:
        try:
            asking.answer(name, visit.actor, visit.form.one("answer"))
        except InvalidInput as error:
            return _page(counter, visit, asking.standing(name, visit.actor), dict(error.fields))
    return counter.to(f"/requests/{name}")


def report(counter: Counter, visit: Visit) -> Page:
    """Show the form for a page that is not good for school."""
    host = visit.query.one("host")[:300]
    return counter.page(visit, "status/report.html.j2", host=host, what="", more="")


def send_report(counter: Counter, visit: Visit) -> Page:
    """Take a report in."""
    host, what, more = (visit.form.one(name) for name in ("host", "what", "more"))
    errors: dict[str, str] = {} if what in _WRONG else {"what": visit.t("report.what-missing")}
    if not host.strip():
        errors = {"host": visit.t("report.which-hint"), **errors}
    if not errors:
        ask = Ask(_WRONG[what], Purpose.OTHER, more, host=host)
        try:
            asked = counter.service.asking.submit(ask, visit.actor, visit.address, visit.t.language)
        except InvalidInput as error:
            errors = {"more" if name == "reason" else name: text for name, text in error.fields.items()}
        else:
            return counter.to(f"/sent/{asked.request.reference}")
    return counter.again(visit, "status/report.html.j2", errors, host=host, what=what, more=more)


def help_page(counter: Counter, visit: Visit) -> Page:
    """Show whom to talk to."""
    return counter.page(visit, "status/help.html.j2")


def _page(counter: Counter, visit: Visit, standing: Standing, errors: dict[str, str]) -> Page:
    key = _key(standing)
    values = {
        "standing": standing,
        "answer": worded(standing.answer, visit.t),
        "key": key,
        "tone": _TONES.get(standing.state, ""),
        "done": _done(standing),
        "opens": standing.kind.opens,
        "is_open": standing.state.is_open,
        "can_go": standing.kind.opens and standing.state is State.APPLIED,
        "joined": visit.query.has("already"),
        "errors": errors,
    }
    return counter.page(visit, "status/show.html.j2", 422 if errors else 200, **values)


def _key(standing: Standing) -> str:
    """Return which words fit."""
    if standing.state is State.APPLIED and standing.kind is Kind.BLOCK:
        return "blocked"
    if standing.state is State.APPLIED and standing.kind is Kind.REPORT:
        return "blocked" if standing.until else "settled"
    return str(standing.state).replace(" ", "-")


def _done(standing: Standing) -> int:
    """Return how many of the four steps are done."""
    return {
        State.SUBMITTED: 1,
        State.UNDER_REVIEW: 1,
        State.RECOMMENDED: 2,
        State.APPROVED: 3,
        State.APPLIED: 4,
    }.get(standing.state, 0)
