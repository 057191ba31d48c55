"""The request queue for programs: JSON, problem documents (RFC 9457), and a description of it (OpenAPI 3.1)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.model import AccessRequest, Grant
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.queue import Case, Filter
from schoolgate_exceptions.repository import grant_json
from schoolgate_exceptions.tables import write_instant
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.failures import problem
from schoolgate_exceptions.web.forms import Form, parse_end
from schoolgate_exceptions.web.frame import raw
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.workflow import OPEN, State

_JSON = "application/json"
_MOST = 2_000


def describe(counter: Counter, visit: Visit) -> Page:  # noqa: ARG001 - the same for everybody
    """Return the description."""
    return raw(200, _JSON, _description())


def listed(counter: Counter, visit: Visit) -> Page:
    """Return requests, oldest first."""
    query = visit.query
    states, kind = query.all("state"), query.one("kind")
    unknown = {name for name in states if name not in set(State)}
    if unknown or (kind and kind not in set(Kind)):
        allowed = ", ".join(Kind if not unknown else State)
        return problem(422, f"`{', '.join(unknown) or kind}` is not known; available: {allowed}")
    wanted = Filter(
        states=frozenset(State(name) for name in states) or OPEN,
        network=query.one("network"),
        kind=Kind(kind) if kind else None,
        host=query.one("host"),
        safeguarding=_flag(query, "safeguarding"),
        with_dsl=_flag(query, "with_dsl"),
        most=_most(query),
    )
    found = counter.service.queue.listed(visit.actor, wanted)
    count = counter.service.queue.count(visit.actor, wanted)
    return answer({"requests": [as_json(one) for one in found], "count": count})


def one(counter: Counter, visit: Visit) -> Page:
    """Return one request with its story, what could open, and what speaks against it."""
    return answer(_case(counter.service.queue.case(visit.actor, visit.parts["id"])))


def act(counter: Counter, visit: Visit) -> Page:
    """Do something with a request, as the last part of the path says."""
    name = visit.parts["action"]
    if name not in ACTS and name != HOLD:
        return problem(404, f"there is no such action; available: {', '.join((*ACTS, HOLD))}")
    body = body_of(visit)
    if isinstance(body, Page):
        return body
    if name == HOLD:  # whoever may hold a case need not see it
        held = counter.service.queue.hold(visit.actor, visit.parts["id"], text_of(body, "reason"))
        return answer({"id": held.id, "state": held.state, "hold": held.hold})
    return answer(as_json(ACTS[name](counter, visit, visit.parts["id"], body)))


def refuse_several(counter: Counter, visit: Visit) -> Page:
    """Refuse several requests with one answer: all of them or, after an error, none."""
    body = body_of(visit)
    if isinstance(body, Page):
        return body
    names = _names(body, "requests", ())
    if not names:
        raise InvalidInput(requests="name the requests")
    moved = counter.service.reviewing.refuse_all(visit.actor, names, text_of(body, "answer"))
    return answer({"requests": [as_json(one) for one in moved]})


def body_of(visit: Visit) -> Mapping[str, Any] | Page:
    """Return the object in the body, or the problem with it."""
    try:
        body = json.loads(visit.body or b"{}")
    except ValueError:
        return problem(400, "the body is no JSON")
    if not isinstance(body, dict):
        return problem(400, "the body is no JSON object")
    return body


def as_json(request: AccessRequest) -> dict[str, Any]:
    """Return a request as programs see it; instants in UTC (RFC 3339), no device and no account."""
    return {
        "id": request.id,
        "reference": request.reference,
        "kind": request.kind,
        "state": request.state,
        "version": request.version,
        "host": request.host,
        "path": request.path,
        "service": request.service,
        "purpose": request.purpose,
        "reason": request.reason,
        "network": request.requester.network,
        "askers": request.askers,
        "wanted_until": write_instant(request.wanted_until) if request.wanted_until else None,
        "created_at": write_instant(request.created_at),
        "changed_at": write_instant(request.changed_at),
        "safeguarding": request.safeguarding,
        "with_dsl": request.with_dsl,
        "grant": grant_json(request.grant),
        "problem": request.publication.problem,
        "paste": request.publication.paste,
        "unsent": request.unsent,
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        **as_json(case.request),
        "age": case.age,
        "actions": sorted(case.actions),
        "scopes": [{"breadth": s.breadth, "target": s.target, "covers": s.covers} for s in case.scopes],
        "suggestion": grant_json(case.grant),
        "preview": {
            "diff": list(case.preview.diff),
            "problem": case.preview.problem,
            "objections": [
                {"concern": o.concern, "message": o.message, "blocks": o.blocks}
                for o in case.preview.objections
            ],
        },
        "story": [
            {
                "at": write_instant(step.at),
                "action": step.action,
                "state": step.target,
                "role": step.role,
                "note": step.note,
                "answer": step.answer,
            }
            for step in case.story
        ],
    }


type _Act = Callable[[Counter, Visit, str, Mapping[str, Any]], AccessRequest]


def text_of(body: Mapping[str, Any], name: str) -> str:
    """Return a text of a body, empty where there is none."""
    value = body.get(name, "")
    if not isinstance(value, str):
        raise InvalidInput(**{name: "this has to be text"})
    return value


def _seen(body: Mapping[str, Any]) -> int | None:
    value = body.get("version")
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidInput(version="this has to be a number")
    return value


def _names(body: Mapping[str, Any], name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    value = body.get(name)
    if value is None:
        return usual
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidInput(**{name: "this has to be a list of texts"})
    return tuple(value)


def _flag(query: Form, name: str) -> bool | None:
    said = query.one(name)
    if said not in {"", "true", "false"}:
        raise InvalidInput(**{name: "write `true` or `false`"})
    return said == "true" if said else None


def _most(query: Form) -> int:
    text = query.one("most", str(Filter().most))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _MOST):
        raise InvalidInput(most=f"this goes from 1 to {_MOST}")
    return int(text)


def _grant(counter: Counter, visit: Visit, name: str, body: Mapping[str, Any]) -> Grant:
    """Return what is suggested, with whatever the body says otherwise."""
    usual = counter.service.queue.case(visit.actor, name).grant
    until = usual.until
    if "until" in body:
        until = parse_end(text_of(body, "until"), counter.service.office.zone)
        if until is None:
            raise InvalidInput(until="write a day or an instant (RFC 3339)")
    return replace(
        usual,
        targets=_names(body, "targets", usual.targets),
        whom=_names(body, "whom", usual.whom),
        during=_names(body, "during", usual.during),
        until=until,
        reason=text_of(body, "reason") or usual.reason,
    )


def _recommend(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    grant = _grant(c, v, name, body)
    return c.service.reviewing.recommend(v.actor, name, grant, text_of(body, "advice"), _seen(body))


def _refuse(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    answer, note = text_of(body, "answer"), text_of(body, "note")
    return c.service.reviewing.refuse(v.actor, name, answer, note, _seen(body))


def _approve(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.approving.approve(v.actor, name, text_of(body, "note"), _seen(body))


def _revoke(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.ending.revoke(v.actor, name, text_of(body, "note"), _seen(body))


def _take(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.reviewing.take(v.actor, name, _seen(body))


def _ask_back(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.reviewing.ask_back(v.actor, name, text_of(body, "question"), _seen(body))


def _refer(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.reviewing.refer(v.actor, name, text_of(body, "note"), _seen(body))


def _reconsider(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    return c.service.reviewing.reconsider(v.actor, name, text_of(body, "note"), _seen(body))


def _block_now(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    grant, rule = _grant(c, v, name, body), body.get("rule")
    if rule is not None:
        if not isinstance(rule, int) or isinstance(rule, bool) or rule < 0:
            raise InvalidInput(rule="this has to be the number of a rule, counted from 0")
        grant = replace(grant, rule=rule, until=None)
    return c.service.reviewing.block_now(v.actor, name, grant, text_of(body, "note"), _seen(body))


def _settle(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    answer, note = text_of(body, "answer"), text_of(body, "note")
    return c.service.reviewing.settle(v.actor, name, answer, note, _seen(body))


def _shorten(c: Counter, v: Visit, name: str, body: Mapping[str, Any]) -> AccessRequest:
    until = parse_end(text_of(body, "until"), c.service.office.zone)
    if until is None:
        raise InvalidInput(until="write a day or an instant (RFC 3339)")
    return c.service.ending.shorten(v.actor, name, until, text_of(body, "note"), _seen(body))


ACTS: dict[str, _Act] = {
    "take": _take,
    "ask-back": _ask_back,
    "refer": _refer,
    "recommend": _recommend,
    "reconsider": _reconsider,
    "refuse": _refuse,
    "approve": _approve,
    "block-now": _block_now,
    "settle": _settle,
    "shorten": _shorten,
    "revoke": _revoke,
}
HOLD = "hold"


def answer(value: object, status: int = 200) -> Page:
    """Return a value as JSON."""
    return raw(status, _JSON, json.dumps(value, ensure_ascii=False).encode())


@cache
def _description() -> bytes:
    return (files("schoolgate_exceptions") / "texts" / "openapi.json").read_bytes()
