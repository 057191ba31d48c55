"""Who can sign in, in which roles and on which days; and who may both review and approve."""

from schoolgate_exceptions.accounts import Account, Holding
from schoolgate_exceptions.errors import InvalidInput, NotAllowed
from schoolgate_exceptions.links import link
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.forms import Form, parse_day
from schoolgate_exceptions.web.visit import Visit
from schoolgate_exceptions.web.words import LANGUAGES

_ASSIGNABLE = tuple(role for role in Role if role.is_assignable)
KEEPERS = (Role.OFFICER, Role.HEAD, Role.TECHNICIAN)


def people(counter: Counter, visit: Visit) -> Page:
    """Show every account."""
    return _page(counter, visit, {})


def add(counter: Counter, visit: Visit) -> Page:
    """Make an account, and an invitation for it."""
    form = visit.form
    try:
        account = counter.service.accounts.add(
            visit.actor,
            form.one("email"),
            form.one("name"),
            _holdings(form),
            language=form.one("language", "en"),
        )
        token = counter.service.accounts.invite(visit.actor, account.email)
    except InvalidInput as error:
        return _page(counter, visit, dict(error.fields))
    return _invited(counter, visit, account.email, token)


def person(counter: Counter, visit: Visit) -> Page:
    """Show one account."""
    account = _find(counter, visit)
    if account.number != visit.actor.account:
        counter.service.audit.looked(visit.actor, "person.seen", account.email)
    return _person(counter, visit, account, {})


def change(counter: Counter, visit: Visit) -> Page:
    """Change one account as the pressed button says."""
    account, form, service = _find(counter, visit), visit.form, counter.service
    try:
        match form.one("do"):
            case "roles":
                service.accounts.set_roles(visit.actor, account.email, _holdings(form))
            case "invite":
                token = service.accounts.invite(visit.actor, account.email)
                return _invited(counter, visit, account.email, token)
            case "telephone":
                service.accounts.remove_second_factor(visit.actor, account.email)
            case "sessions":
                service.sessions.end_all(visit.actor, account.email)
            case "close":
                service.accounts.close(visit.actor, account.email)
            case "waive":
                service.people.waive(visit.actor, account.email, form.one("reason"))
            case "end-waiver":
                service.people.end_waiver(visit.actor, account.email)
    except InvalidInput as error:
        return _person(counter, visit, account, dict(error.fields))
    except NotAllowed as error:
        return _person(counter, visit, account, {"roles": str(error)})
    return counter.to(f"/people/{account.number}", done="1")


def _holdings(form: Form) -> tuple[Holding, ...]:
    wanted = form.all("roles")
    found = []
    for role in _ASSIGNABLE:
        if role in wanted:
            key = role.replace(" ", "-")
            first, last = form.one(f"{key}-first").strip(), form.one(f"{key}-last").strip()
            days = parse_day(first) if first else None, parse_day(last) if last else None
            if (first and days[0] is None) or (last and days[1] is None):
                raise InvalidInput(roles="write days such as 2026-12-18")
            found.append(Holding(role, *days))
    return tuple(found)


def _find(counter: Counter, visit: Visit) -> Account:
    number = visit.parts["number"]
    with counter.service.office.read() as connection:
        return counter.service.accounts.get(
            connection, int(number) if number.isdecimal() and len(number) < 10 else 0
        )


def _page(counter: Counter, visit: Visit, errors: dict[str, str]) -> Page:
    return counter.page(
        visit,
        "people/people.html.j2",
        422 if errors else 200,
        listed=counter.service.accounts.listed(),
        waivers=counter.service.people.waivers(),
        assignable=_ASSIGNABLE,
        languages=list(LANGUAGES.items()),
        today=counter.service.office.today(),
        can_change=visit.has(*KEEPERS),
        said=visit.form,
        errors=errors,
    )


def _person(counter: Counter, visit: Visit, account: Account, errors: dict[str, str]) -> Page:
    waivers = counter.service.people.waivers()
    return counter.page(
        visit,
        "people/person.html.j2",
        422 if errors else 200,
        account=account,
        held={holding.role: holding for holding in account.holdings},
        waiver=next((one for one in waivers if one.account == account.number), None),
        assignable=_ASSIGNABLE,
        can_change=visit.has(*KEEPERS) and account.number != visit.actor.account,
        can_waive=visit.has(Role.GOVERNOR, Role.HEAD, Role.TECHNICIAN)
        and account.number != visit.actor.account,
        errors=errors,
        done=visit.query.one("done"),
    )


def _invited(counter: Counter, visit: Visit, email: str, token: str) -> Page:
    """Show the invitation once; it is kept only as a hash."""
    base = counter.service.office.url or f"http://{visit.headers.get('host', '')}"
    there = link(base, "invitation", token=token)
    return counter.page(visit, "people/invited.html.j2", email=email, link=there)
