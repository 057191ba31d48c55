"""Registers of official accounts and ended exceptions, sanctions, states, and asking for official use."""

from schoolgate_exceptions.errors import InvalidInput
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask, OfficialUse
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.forms import parse_day, read_end
from schoolgate_exceptions.web.visit import Visit

_DAY = "write a day such as 2026-12-18"


def register(counter: Counter, visit: Visit) -> Page:
    """Show the registers."""
    return _register(counter, visit, {})


def enter(counter: Counter, visit: Visit) -> Page:
    """Enter, change or close an official account."""
    form, keeping = visit.form, counter.service.register
    number = int(form.one("number")) if form.one("number").isdecimal() else 0
    try:
        match form.one("do"):
            case "close":
                keeping.close(visit.actor, number, counter.service.office.today())
            case "change":
                keeping.change(visit.actor, number, form.one("administrator"), form.lines("posters"))
            case _:
                _add(counter, visit)
    except InvalidInput as error:
        return _register(counter, visit, dict(error.fields))
    return counter.to("/register", done="1")


def _add(counter: Counter, visit: Visit) -> None:
    form, opened = visit.form, parse_day(visit.form.one("opened"))
    if opened is None:
        raise InvalidInput(opened=_DAY)
    counter.service.register.add(
        visit.actor,
        form.one("platform"),
        form.one("account"),
        form.one("administrator"),
        form.lines("posters"),
        opened,
        form.one("request").strip(),
    )


def official(counter: Counter, visit: Visit) -> Page:
    """Show the form for official use."""
    return counter.page(visit, "office/official.html.j2", said=visit.query)


def ask_official(counter: Counter, visit: Visit) -> Page:
    """Take a request for official use in."""
    form = visit.form
    ends = parse_day(form.one("ends"))
    errors = {} if ends else {"ends": _DAY}
    use = OfficialUse(
        form.one("objectives"),
        form.one("outcomes"),
        form.one("risk_assessment"),
        ends or counter.service.office.today(),
        notice_given=form.has("notice"),
        consent_held=form.has("consent"),
    )
    ask = Ask(Kind.OFFICIAL_USE, Purpose.OFFICIAL, form.one("reason"), host=form.one("host"), official=use)
    if not errors:
        try:
            asked = counter.service.asking.submit(ask, visit.actor, visit.address, visit.t.language)
        except InvalidInput as error:
            errors = dict(error.fields)
        else:
            return counter.to(f"/sent/{asked.request.reference}")
    return counter.again(visit, "office/official.html.j2", errors, said=form)


def sanctions(counter: Counter, visit: Visit) -> Page:
    """Show the sanctions in force."""
    return _sanctions(counter, visit, {})


def impose(counter: Counter, visit: Visit) -> Page:
    """Impose or lift a sanction."""
    form, service = visit.form, counter.service.sanctioning
    if form.one("do") == "lift":
        number = int(form.one("number")) if form.one("number").isdecimal() else 0
        service.lift(visit.actor, number, form.one("why") or "lifted")
        return counter.to("/sanctions", done="lifted")
    until = read_end(form, counter.service.office.zone)
    if until is None:
        return _sanctions(counter, visit, {"until": _DAY})
    try:
        service.impose(visit.actor, form.one("address"), until, form.one("reason"), form.lines("allow"))
    except InvalidInput as error:
        return _sanctions(counter, visit, dict(error.fields))
    return counter.to("/sanctions", done="imposed")


def states(counter: Counter, visit: Visit) -> Page:
    """Show the states that can be switched on."""
    return counter.page(
        visit,
        "office/states.html.j2",
        listed=counter.service.switching.listed(),
        done=visit.query.one("done"),
    )


def switch(counter: Counter, visit: Visit) -> Page:
    """Switch a state on or off."""
    counter.service.switching.switch(visit.actor, visit.form.one("state") or None)
    return counter.to("/states", done="1")


def _register(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    keeping = counter.service.register
    return counter.page(
        visit,
        "office/register.html.j2",
        422 if errors else 200,
        accounts=keeping.accounts(visit.actor),
        lapsed=keeping.lapsed(visit.actor),
        can_change=visit.has(Role.OFFICER, Role.HEAD),
        said=visit.form,
        errors=errors,
        done=visit.query.one("done"),
    )


def _sanctions(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    past = visit.query.has("past")
    return counter.page(
        visit,
        "office/sanctions.html.j2",
        422 if errors else 200,
        listed=counter.service.sanctioning.listed(visit.actor, past=past),
        past=past,
        can_change=visit.has(Role.OFFICER, Role.HEAD, Role.DEPUTY),
        said=visit.form,
        errors=errors,
        done=visit.query.one("done"),
    )
