"""Asking by the JSON interface: a request of one's own, how it stands, an answer to a question, and taking it back."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from schoolgate_exceptions.asking import Standing
from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask, OfficialUse
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.tables import write_instant
from schoolgate_exceptions.web.api import answer, body_of, text_of
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.failures import problem
from schoolgate_exceptions.web.forms import parse_day, parse_end
from schoolgate_exceptions.web.visit import Visit

ACTS = ("answer", "withdraw")


def submit(counter: Counter, visit: Visit) -> Page:
    """Take a request in: 201, or 200 where the same was asked for already."""
    body = body_of(visit)
    if isinstance(body, Page):
        return body
    until = text_of(body, "until")
    ends = parse_end(until, counter.service.office.zone) if until else None
    if until and ends is None:
        raise InvalidInput(until="write a day or an instant (RFC 3339)")
    ask = Ask(
        _one_of(Kind, body, "kind", Kind.UNBLOCK),
        _one_of(Purpose, body, "purpose", Purpose.OTHER),
        text_of(body, "reason"),
        ends,
        text_of(body, "host"),
        official=_official(body),
    )
    asked = counter.service.asking.submit(ask, visit.actor, visit.address, visit.t.language)
    standing = counter.service.asking.standing(asked.request.reference, visit.actor)
    return answer(as_json(standing), 201 if asked.fresh else 200)


def standing(counter: Counter, visit: Visit) -> Page:
    """Return how a request stands, for who has its short reference."""
    return answer(as_json(counter.service.asking.standing(visit.parts["reference"], visit.actor)))


def act(counter: Counter, visit: Visit) -> Page:
    """Answer a question about one's own request, or take it back."""
    name, action = visit.parts["reference"], visit.parts["action"]
    if action not in ACTS:
        return problem(404, f"there is no such action; available: {', '.join(ACTS)}")
    body = body_of(visit)
    if isinstance(body, Page):
        return body
    if action == "answer":
        counter.service.asking.answer(name, visit.actor, text_of(body, "answer"))
    else:
        counter.service.asking.withdraw(name, visit.actor)
    return answer(as_json(counter.service.asking.standing(name, visit.actor)))


def as_json(one: Standing) -> dict[str, Any]:
    """Return how a request stands as programs see it."""
    return {
        "reference": one.reference,
        "kind": one.kind,
        "host": one.host,
        "state": one.state,
        "asked_at": write_instant(one.asked_at),
        "changed_at": write_instant(one.changed_at),
        "until": write_instant(one.until) if one.until else None,
        "answer": one.answer,
        "waiting_for_answer": one.waiting_for_answer,
        "mine": one.mine,
    }


def _one_of[E: StrEnum](kind: type[E], body: Mapping[str, Any], name: str, usual: E) -> E:
    said = text_of(body, name) or usual
    if said not in set(kind):
        raise InvalidInput(**{name: f"`{said[:40]}` is not known; available: {', '.join(kind)}"})
    return kind(said)


def _official(body: Mapping[str, Any]) -> OfficialUse | None:
    given = body.get("official")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InvalidInput(official="this has to be an object")
    ends = parse_day(text_of(given, "ends"))
    if ends is None:
        raise InvalidInput(ends="write a day such as 2026-12-18")
    return OfficialUse(
        text_of(given, "objectives"),
        text_of(given, "outcomes"),
        text_of(given, "risk_assessment"),
        ends,
        notice_given=given.get("notice_given") is True,
        consent_held=given.get("consent_held") is True,
    )
