"""The queue: what waits for whom, oldest first, and one case in full."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk, is_personal
from schoolgate_exceptions.kinds import Kind
from schoolgate_exceptions.model import AccessRequest, Grant, Scope, Step
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.preview import Preview, preview
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.scopes import choices, suggestion
from schoolgate_exceptions.tables import requests
from schoolgate_exceptions.workflow import OPEN, Action, State, actions_for
from schoolgate_policy.model import Policy

_LIST_EVERY = timedelta(days=1)  # a look at the list by the same person is noted this often
KEEPERS = (Role.HEAD, Role.DSL, Role.DPO)  # who keeps a case from being purged
READERS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)


class Age(StrEnum):
    """How long a request has waited, in school days."""

    NEW = "new"  # since the last school day
    WAITING = "waiting"  # one or two school days
    LATE = "late"  # three or more


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests are wanted; an empty field means any."""

    states: frozenset[State] = OPEN
    network: str = ""
    kind: Kind | None = None
    host: str = ""
    safeguarding: bool | None = None
    with_dsl: bool | None = None
    most: int = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A request in the queue."""

    request: AccessRequest
    age: Age


@dataclass(frozen=True, slots=True)
class Group:
    """The requests for one host, oldest first; groups are in the order of their oldest. `askers` counts devices."""

    host: str
    entries: tuple[Entry, ...]
    askers: int
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything somebody needs to decide on one request."""

    request: AccessRequest
    age: Age
    story: tuple[Step, ...]
    scopes: tuple[Scope, ...]  # the narrowest first: preselect it
    grant: Grant  # what was recommended, or the narrowest that would do
    preview: Preview
    actions: frozenset[Action]  # what this actor can do now
    same_host: tuple[AccessRequest, ...]  # earlier requests for the same host, newest first


@dataclass(frozen=True, slots=True)
class Held:
    """A case that is kept from being purged, and why."""

    id: str
    state: State
    reason: str
    asked_at: datetime


class Queue:
    """Shows requests to those who decide."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._office: Office = desk.office

    def groups(self, actor: Actor, wanted: Filter = Filter()) -> tuple[Group, ...]:
        """Return the requests that a filter lets through, grouped by host, oldest first.

        Raises:
            NotAllowed: only officer, head, deputy and DSL see the queue.

        """
        by_host: dict[str, list[Entry]] = {}
        for request in self.listed(actor, wanted):
            entry = Entry(request, age_of(request, self._office.policy, self._office.now()))
            by_host.setdefault(request.host, []).append(entry)
        return tuple(
            Group(
                host,
                tuple(entries),
                sum(entry.request.askers for entry in entries),
                tuple(sorted({entry.request.requester.network for entry in entries})),
            )
            for host, entries in by_host.items()
        )

    def listed(self, actor: Actor, wanted: Filter = Filter()) -> list[AccessRequest]:
        """Return the requests that a filter lets through, oldest first and at most `Filter.most`.

        That somebody has seen a list with requests about people is noted in the audit once a day; `count` says how
        many there are in all.
        """
        conditions = self._conditions(actor, wanted)
        with self._office.read() as connection:
            found = repository.select(connection, *conditions, most=wanted.most)
            since = self._office.now() - _LIST_EVERY
            noted = self._office.audit.was_noted(connection, "queue.seen", "queue", since, actor)
        personal = [one.id for one in found if is_personal(one)]
        if personal and not noted:
            with self._office.write() as connection:
                self._office.note_once(
                    connection,
                    actor,
                    "queue.seen",
                    "queue",
                    _LIST_EVERY,
                    per_person=True,
                    about=len(personal),
                    requests=personal[:20],
                )
        return found

    def count(self, actor: Actor, wanted: Filter = Filter()) -> int:
        """Return how many requests a filter lets through, however many of them a list shows."""
        with self._office.read() as connection:
            return repository.count(connection, *self._conditions(actor, wanted))

    def _conditions(self, actor: Actor, wanted: Filter) -> list[ColumnElement[bool]]:
        actor.require(*READERS)
        conditions: list[ColumnElement[bool]] = [requests.c.state.in_(wanted.states)]
        if wanted.network:
            conditions.append(requests.c.network == wanted.network)
        if wanted.kind is not None:
            conditions.append(requests.c.kind == wanted.kind)
        if wanted.host:
            conditions.append(requests.c.host.contains(wanted.host.lower(), autoescape=True))
        if wanted.safeguarding is not None:
            conditions.append(requests.c.safeguarding.is_(wanted.safeguarding))
        if wanted.with_dsl is not None:
            conditions.append(requests.c.with_dsl.is_(wanted.with_dsl))
        if not actor.has(Role.OFFICER, Role.HEAD, Role.DEPUTY):  # the DSL sees what concerns the DSL
            conditions.append(requests.c.safeguarding.is_(True) | requests.c.with_dsl.is_(True))
        return conditions

    def case(self, actor: Actor, name: str) -> Case:
        """Return a request in full; a look at a named person's request is noted in the audit.

        Raises:
            NotFound: there is none.
            NotAllowed: it is not for this role.

        """
        actor.require(*READERS)
        with self._office.read() as connection:
            request = repository.get(connection, name)
            story = repository.story(connection, request.number)
            here = (requests.c.host == request.host, requests.c.number != request.number)
            same_host = repository.select(connection, *here)[:-11:-1]
        check_reader(actor, request)
        if is_personal(request):
            with self._office.write() as connection:
                self._desk.note_look(connection, actor, request)
        return self.build_case(actor, request, story, tuple(same_host))

    def build_case(
        self,
        actor: Actor,
        request: AccessRequest,
        story: tuple[Step, ...],
        same_host: tuple[AccessRequest, ...] = (),
    ) -> Case:
        """Put a case together for somebody who may see it."""
        policy, now = self._office.policy, self._office.now()
        scopes = choices(request, policy)
        grant = request.grant or suggestion(request, policy, now)
        shown = preview(self._office, request, grant)
        actions = actions_for(request.state, actor.roles - {Role.REQUESTER}, request.kind)
        return Case(request, age_of(request, policy, now), story, scopes, grant, shown, actions, same_host)

    def preview(self, actor: Actor, name: str, grant: Grant) -> Preview:
        """Return what another grant would do."""
        actor.require(*READERS)
        with self._office.read() as connection:
            request = repository.get(connection, name)
        check_reader(actor, request)
        return preview(self._office, request, grant)

    def hold(self, actor: Actor, name: str, reason: str) -> AccessRequest:
        """Keep a case from being purged, or with an empty reason let it go again.

        Raises:
            NotAllowed: only head, DSL and DPO decide that.
            InvalidInput: the reason is too long.

        """
        actor.require(*KEEPERS)
        why = words("hold", reason, 500)
        with self._office.write() as connection:
            request, now = repository.get(connection, name), self._office.now()
            repository.mark(connection, request.number, hold=why)
            action = "request.held" if why else "request.let-go"
            self._office.audit.add(connection, now, actor, action, request.id, reason=why)
            return replace(request, hold=why)

    def holds(self, actor: Actor) -> list[Held]:
        """Return what is held, oldest first, by number and reason: nothing of what was asked.

        Raises:
            NotAllowed: only who may hold a case sees the holds.

        """
        actor.require(*KEEPERS)
        with self._office.read() as connection:
            found = repository.select(connection, requests.c.hold != "")
        return [Held(one.id, one.state, one.hold, one.created_at) for one in found]


def check_reader(actor: Actor, request: AccessRequest) -> None:
    """See that somebody may look at a request: the DSL at what concerns the DSL, the others at all.

    Raises:
        NotAllowed: they may not.

    """
    if not (request.safeguarding or request.with_dsl):
        actor.require(Role.OFFICER, Role.HEAD, Role.DEPUTY)


def school_days(policy: Policy, since: datetime, now: datetime) -> int:
    """Return how many school days have begun after an instant."""
    zone = policy.calendar.zone
    first, last = since.astimezone(zone).date(), now.astimezone(zone).date()
    days = (first + timedelta(days=step) for step in range(1, min((last - first).days, 400) + 1))
    return sum(is_school_day(policy, day) for day in days)


def is_school_day(policy: Policy, day: date) -> bool:
    """Whether the school is open on a day; without term dates every weekday but bank holidays counts."""
    if day.weekday() >= 5:
        return False
    calendar = policy.calendar
    if calendar.terms:
        return calendar.is_term(day)
    return day not in calendar.bank_holidays and not any(day in closed for closed in calendar.closed)


def age_of(request: AccessRequest, policy: Policy, now: datetime) -> Age:
    """Return how long a request has waited."""
    days = school_days(policy, request.created_at, now)
    return Age.NEW if days == 0 else Age.WAITING if days < 3 else Age.LATE


def oldest(found: Iterable[AccessRequest]) -> AccessRequest | None:
    """Return the request that has waited longest."""
    return min(found, key=lambda request: request.created_at, default=None)
