"""Lesson windows: a teacher opens a service for a class until the bell; the officer says which and how long."""

from datetime import timedelta

from schoolgate_exceptions.errors import InvalidInput, NotAllowed, NotGranted
from schoolgate_exceptions.lessons import Caps
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.visit import Visit


def lessons(counter: Counter, visit: Visit) -> Page:
    """Show what can be opened now, and what is open."""
    return _lessons(counter, visit, {})


def open_window(counter: Counter, visit: Visit) -> Page:
    """Open a window, or end one early."""
    form = visit.form
    if form.one("do") == "end":
        counter.service.ending.revoke(visit.actor, form.one("id"), "ended early")
        return counter.to("/lessons", done="ended")
    errors: dict[str, str] = {}
    minutes = form.one("minutes")
    until = None
    if minutes.isdecimal() and len(minutes) < 4:
        until = visit.t.now + timedelta(minutes=int(minutes))
    try:
        counter.service.lessons.open(
            visit.actor, form.one("target"), form.all("devices"), form.one("reason"), until
        )
    except InvalidInput as error:
        errors = dict(error.fields)
    except (NotAllowed, NotGranted) as error:
        errors["target"] = str(error)
    return _lessons(counter, visit, errors) if errors else counter.to("/lessons", done="opened")


def caps(counter: Counter, visit: Visit) -> Page:
    """Show what teachers may open by themselves."""
    return _caps(counter, visit, counter.service.lessons.caps(), {})


def set_caps(counter: Counter, visit: Visit) -> Page:
    """Set it."""
    form = visit.form
    wanted = Caps(
        form.lines("targets"),
        form.all("devices"),
        form.all("networks"),
        timedelta(minutes=_number(form.one("longest"), 60)),
        _number(form.one("a_day"), 4),
    )
    try:
        counter.service.lessons.set_caps(visit.actor, wanted)
    except (NotGranted, NotAllowed) as error:
        return _caps(counter, visit, wanted, {"targets": str(error)})
    return counter.to("/lessons/caps", done="1")


def _number(text: str, usual: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 5 else usual


def _lessons(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    offer = counter.service.lessons.offer(visit.actor)
    titles = {
        one: counter.policy.catalogue.services[one].title
        for one in offer.targets
        if one in counter.policy.catalogue.services
    }
    values = {"offer": offer, "titles": titles, "said": visit.form, "done": visit.query.one("done")}
    return counter.page(visit, "office/lessons.html.j2", 422 if errors else 200, errors=errors, **values)


def _caps(counter: Counter, visit: Visit, caps: Caps, errors: dict[str, str]) -> Page:
    values = {
        "caps": caps,
        "minutes": int(caps.longest.total_seconds() // 60),
        "done": visit.query.one("done"),
    }
    return counter.page(visit, "office/caps.html.j2", 422 if errors else 200, errors=errors, **values)
