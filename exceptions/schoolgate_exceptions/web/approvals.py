"""The headteacher's page, from the link in a letter: the case in a minute, and two equal buttons.

Opening it changes nothing, since mail scanners open links too; deciding needs a session of the owner or a code.
"""

from schoolgate_exceptions.approving import LinkedCase
from schoolgate_exceptions.errors import InvalidInput, InvalidToken, NotAllowed, NotGranted
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import APPROVERS
from schoolgate_exceptions.web.cases import facts
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.failures import lines_of
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.workflow import State


def show(counter: Counter, visit: Visit) -> Page:
    """Show the case of a link."""
    try:
        linked = counter.service.approving.open_link(visit.parts["token"])
    except InvalidToken as error:
        return _dead(counter, visit, error)
    return _page(counter, visit, linked, {})


def decide(counter: Counter, visit: Visit) -> Page:
    """Send a code, or decide."""
    token, approving = visit.parts["token"], counter.service.approving
    try:
        if visit.form.one("do") == "code":
            approving.send_code(token)
            return counter.to(f"/approve/{token}", code="sent")
        linked = approving.open_link(token)
    except InvalidToken as error:
        return _dead(counter, visit, error)
    errors = _missing(visit, linked)
    if errors or visit.form.one("do") not in {"approve", "refuse"}:
        return _page(counter, visit, linked, errors)
    return _try(counter, visit, linked)


def _try(counter: Counter, visit: Visit, linked: LinkedCase) -> Page:
    try:
        return _decided(counter, visit, linked)
    except InvalidToken as error:
        return _page(counter, visit, linked, {"code": str(error)})
    except InvalidInput as error:
        return _page(counter, visit, linked, {"answer": "; ".join(error.fields.values())})
    except (NotGranted, NotAllowed) as error:
        title = visit.t("errors.forbidden-title")
        return counter.message(
            visit, 403, title, *lines_of(error, visit.t), link=("/queue", visit.t("sign-in.go"))
        )


def _missing(visit: Visit, linked: LinkedCase) -> dict[str, str]:
    """Return what has to be filled in before a code is used up."""
    form, errors = visit.form, {}
    if not _is_owner(visit, linked) and not form.one("code").strip():
        errors["code"] = visit.t("approval.code-hint")
    if form.one("do") == "refuse" and not form.one("answer").strip():
        errors["answer"] = visit.t("approval.note-hint")
    return errors


def _decided(counter: Counter, visit: Visit, linked: LinkedCase) -> Page:
    form, seen = visit.form, visit.form.one("seen")
    approve = form.one("do") == "approve"
    decided = counter.service.approving.decide_by_link(
        visit.parts["token"],
        approve=approve,
        code=form.one("code"),
        actor=visit.actor if _is_owner(visit, linked) else None,
        text=form.one("answer"),
        seen=int(seen) if seen.isdecimal() and len(seen) < 9 else None,
    )
    return counter.page(
        visit,
        "approve/done.html.j2",
        decided=decided,
        approved=approve,
        problem=decided.state is State.APPROVED and decided.publication.problem,
    )


def _is_owner(visit: Visit, linked: LinkedCase) -> bool:
    return visit.has(*APPROVERS) and visit.actor.account == linked.actor.account


def _page(counter: Counter, visit: Visit, linked: LinkedCase, errors: dict[str, str]) -> Page:
    request = linked.case.request
    count = request.askers
    devices = visit.t("approval.devices-one") if count == 1 else visit.t("approval.devices", count=count)
    values = {
        **facts(visit, linked.case),
        "link": visit.parts["token"],
        "mine": _is_owner(visit, linked),
        "devices": devices,
        "code_sent": visit.query.one("code") == "sent" or bool(visit.form.one("code")),
        "said": visit.form,
        "errors": errors,
    }
    return counter.page(visit, "approve/case.html.j2", 422 if errors else 200, **values)


def _dead(counter: Counter, visit: Visit, error: InvalidToken) -> Page:
    counter.service.approving.note_refused(visit.actor, str(error))
    title, text = visit.t("approval.dead-title"), visit.t("approval.dead")
    return counter.message(visit, 410, title, text, link=("/sign-in?next=/queue", visit.t("sign-in.go")))
