"""The queue, one case in full, and what officer, DSL and head do with it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from schoolgate_exceptions.errors import InvalidInput, NotGranted
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.model import AccessRequest, Grant
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.queue import Case, Filter
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.forms import Form, read_end, write_end
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.workflow import GRANTED, OPEN, Action, State
from schoolgate_policy.decision import Verdict

SHOWN: dict[str, frozenset[State]] = {  # their names are `queue.show-` in the texts
    "open": OPEN,
    "review": frozenset({State.SUBMITTED, State.UNDER_REVIEW}),
    "recommended": frozenset({State.RECOMMENDED}),
    "granted": GRANTED,
    "over": frozenset(state for state in State if state.is_over),
    "all": frozenset(State),
}
_ASIDE = frozenset(
    {Action.TAKE, Action.ASK_BACK, Action.REFER, Action.SETTLE, Action.RECONSIDER, Action.REFUSE}
)


def queue(counter: Counter, visit: Visit) -> Page:
    """Show what waits, oldest first, grouped by host."""
    return _queue(counter, visit, {})


def refuse_several(counter: Counter, visit: Visit) -> Page:
    """Refuse the ticked requests with one answer."""
    names = visit.form.all("request")
    errors = {} if names else {"request": "tick the requests that you want to refuse"}
    if not errors:
        try:
            counter.service.reviewing.refuse_all(visit.actor, names, visit.form.one("answer"))
        except InvalidInput as error:
            errors = dict(error.fields)
        else:
            return counter.to("/queue", done="refused")
    return _queue(counter, visit, errors)


def case(counter: Counter, visit: Visit) -> Page:
    """Show one request in full."""
    found = counter.service.queue.case(visit.actor, visit.parts["id"])
    return show(counter, visit, found, found.grant, {})


def decide(counter: Counter, visit: Visit) -> Page:
    """Do what the pressed button says."""
    name, form = visit.parts["id"], visit.form
    found = counter.service.queue.case(visit.actor, name)
    grant, errors = grant_of(form, found, counter.service.office.zone)
    done = _MOVES.get(form.one("do"))
    if done is None or (errors and form.one("do") in {"preview", "recommend", "block"}):
        return show(counter, visit, found, grant, errors)
    try:
        result, what = done(counter, visit, found.request, grant)
    except InvalidInput as error:
        return show(counter, visit, _with(counter, visit, found, grant), grant, dict(error.fields))
    except NotGranted as error:
        shown = _with(counter, visit, found, grant)
        return show(counter, visit, shown, grant, {"targets": "; ".join(error.reasons)})
    if result is None:
        return show(counter, visit, _with(counter, visit, found, grant), grant, {}, previewed=True)
    return counter.to(f"/queue/{name}", done=what)


def grant_of(form: Form, case: Case, zone: ZoneInfo) -> tuple[Grant, dict[str, str]]:
    """Read a grant from a form; what cannot be read stays as it was, and is told."""
    if not form.has("target"):
        return case.grant, {}
    errors: dict[str, str] = {}
    until = read_end(form, zone)
    rule = form.one("rule")
    if until is None and not rule.isdecimal():
        errors["until"] = "write a day such as 2026-12-18, and if you want a time such as 15:30"
    target = form.one("target")
    targets = form.lines("target_other") if target == "other" else (target,)
    if not targets:
        errors["targets"] = "name what it is about"
    grant = replace(
        case.grant,
        targets=targets or case.grant.targets,
        whom=form.all("whom"),
        until=None if rule.isdecimal() else (until or case.grant.until),
        during=form.all("during"),
        reason=form.one("reason"),
        rule=int(rule) if rule.isdecimal() and len(rule) < 5 else None,
    )
    if not grant.whom and case.request.kind.opens and not form.has("everybody"):
        errors["whom"] = "pick at least one network or device, or say that it is for everybody"
    return grant, errors


def show(
    counter: Counter,
    visit: Visit,
    found: Case,
    grant: Grant,
    errors: dict[str, str],
    *,
    previewed: bool = False,
) -> Page:
    """Show a case with a grant in its form."""
    zone = counter.service.office.zone
    day, time = write_end(grant.until, zone) if grant.until else ("", "")
    values = {
        **facts(visit, found),
        "grant": grant,
        "until": day,
        "until_time": time,
        "errors": errors,
        "previewed": previewed,
        "done": _done(visit),
        "rules": [rule for rule in counter.policy.rules if rule.verdict is Verdict.BLOCK],
        "said": visit.form,
        "aside": found.actions & _ASIDE,
        "can_hold": visit.has(Role.HEAD, Role.DSL, Role.DPO),
    }
    return counter.page(visit, "office/case.html.j2", 422 if errors else 200, **values)


def facts(visit: Visit, found: Case) -> dict[str, Any]:
    """Return what both the officer's and the head's page show of a case."""
    advice = next((step for step in reversed(found.story) if step.action is Action.RECOMMEND), None)
    grant = found.request.grant or found.grant
    return {
        "case": found,
        "request": found.request,
        "Action": Action,
        "advice": advice,
        "granted_until": visit.t.until(grant.until) if grant.until else "",
        "blocking": [one for one in found.preview.objections if one.blocks],
        "warnings": [one for one in found.preview.objections if not one.blocks],
        "covers": {scope.target: scope.covers for scope in found.scopes},
        "opens": found.request.kind.opens,
        "lesson": found.request.kind is Kind.LESSON_WINDOW,
    }


def _queue(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    query = visit.query
    chosen = query.one("show") if query.one("show") in SHOWN else "open"
    kind = query.one("kind")
    wanted = Filter(
        states=SHOWN[chosen],
        network=query.one("network"),
        kind=Kind(kind) if kind in set(Kind) else None,
        host=query.one("host").strip()[:253],
        safeguarding=True if query.has("concern") else None,
    )
    groups = counter.service.queue.groups(visit.actor, wanted)
    values = {
        "groups": groups,
        "total": sum(len(group.entries) for group in groups),
        "shown": list(SHOWN),
        "chosen": chosen,
        "wanted": wanted,
        "kinds": list(Kind),
        "errors": errors,
        "said": visit.form,
        "done": _done(visit),
        "can_refuse": visit.has(Role.OFFICER),
        "filtered": any(query.one(name) for name in ("network", "kind", "host", "concern")),
    }
    values["listed"] = values["total"]
    values["total"] = counter.service.queue.count(visit.actor, wanted)  # a list shows so many at most
    return counter.page(visit, "office/queue.html.j2", 422 if errors else 200, **values)


def _done(visit: Visit) -> str:
    """Return what to say of the step that led here."""
    key = f"done.{visit.query.one('done')}"
    return visit.t(key) if visit.t.has(key) else ""


def _with(counter: Counter, visit: Visit, found: Case, grant: Grant) -> Case:
    """Return a case with the preview of another grant."""
    return replace(
        found, grant=grant, preview=counter.service.queue.preview(visit.actor, found.request.id, grant)
    )


type _Done = tuple[AccessRequest | None, str]
type _Move = Callable[[Counter, Visit, AccessRequest, Grant], _Done]


def _seen(visit: Visit) -> int | None:
    text = visit.form.one("seen")
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _preview(_c: Counter, _v: Visit, _r: AccessRequest, _g: Grant) -> _Done:
    return None, ""


def _recommend(c: Counter, v: Visit, r: AccessRequest, g: Grant) -> _Done:
    return c.service.reviewing.recommend(v.actor, r.id, g, v.form.one("advice"), _seen(v)), "recommended"


def _refuse(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    moved = c.service.reviewing.refuse(v.actor, r.id, v.form.one("answer"), v.form.one("note"), _seen(v))
    return moved, "refused"


def _ask_back(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.reviewing.ask_back(v.actor, r.id, v.form.one("question"), _seen(v)), "asked"


def _refer(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.reviewing.refer(v.actor, r.id, v.form.one("note"), _seen(v)), "referred"


def _take(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.reviewing.take(v.actor, r.id), "taken"


def _reconsider(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.reviewing.reconsider(v.actor, r.id, v.form.one("note"), _seen(v)), "back"


def _block(c: Counter, v: Visit, r: AccessRequest, g: Grant) -> _Done:
    return c.service.reviewing.block_now(v.actor, r.id, g, v.form.one("note"), _seen(v)), "blocked"


def _settle(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.reviewing.settle(v.actor, r.id, v.form.one("answer"), v.form.one("note")), "settled"


def _approve(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.approving.approve(v.actor, r.id, v.form.one("answer"), _seen(v)), "approved"


def _disapprove(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.approving.refuse(v.actor, r.id, v.form.one("answer"), "", _seen(v)), "refused"


def _revoke(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    return c.service.ending.revoke(v.actor, r.id, v.form.one("note"), _seen(v)), "revoked"


def _shorten(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    until = read_end(v.form, c.service.office.zone, "earlier", "earlier_time")
    if until is None:
        raise InvalidInput(earlier="write a day such as 2026-12-18, and if you want a time such as 15:30")
    try:
        return c.service.ending.shorten(v.actor, r.id, until, v.form.one("note"), _seen(v)), "shortened"
    except InvalidInput as error:
        raise InvalidInput(**{"earlier" if k == "until" else k: t for k, t in error.fields.items()}) from None


def _hold(c: Counter, v: Visit, r: AccessRequest, _g: Grant) -> _Done:
    why = v.form.one("hold")
    return c.service.queue.hold(v.actor, r.id, why), "held" if why else "let-go"


_MOVES: dict[str, _Move] = {
    "preview": _preview,
    "recommend": _recommend,
    "refuse": _refuse,
    "ask-back": _ask_back,
    "refer": _refer,
    "take": _take,
    "reconsider": _reconsider,
    "block": _block,
    "settle": _settle,
    "approve": _approve,
    "disapprove": _disapprove,
    "revoke": _revoke,
    "shorten": _shorten,
    "hold": _hold,
}
