"""The officer's first page: what is open now, what changes next and when, what waits, what went wrong."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from schoolgate_exceptions import repository
from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.outbox import Outbox
from schoolgate_exceptions.policy_editing import PolicyEditing
from schoolgate_exceptions.publisher import Publisher
from schoolgate_exceptions.queue import oldest
from schoolgate_exceptions.tables import requests
from schoolgate_exceptions.workflow import GRANTED, OPEN, State
from schoolgate_policy.errors import HistoryError
from schoolgate_policy.history import Version
from schoolgate_policy.model import PolicyException


@dataclass(frozen=True, slots=True)
class Change:
    """Something that will change by itself: `what` is `schedule`, `exception`; `begins` or else ends."""

    at: datetime
    what: str
    name: str
    begins: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """How things are now."""

    at: datetime
    policy_version: str
    state: str | None  # the policy's state that is switched on
    schedules: tuple[str, ...]  # in force now
    open_now: tuple[PolicyException, ...]  # exceptions in force now
    changes: tuple[Change, ...]  # the next first
    waiting: dict[State, int]
    oldest: AccessRequest | None
    with_problems: tuple[AccessRequest, ...]  # approved, but policy.yaml could not be written
    letters_waiting: int
    last_change: Version | None


class Overviews:
    """Makes the overview."""

    def __init__(self, office: Office, outbox: Outbox, policy: PolicyEditing, publisher: Publisher) -> None:
        self._office = office
        self._outbox = outbox
        self._policy = policy
        self._publisher = publisher

    def now(self) -> Overview:
        """Return how things are now."""
        at, policy = self._office.now(), self._office.policy
        with self._office.read() as connection:
            counted = sa.select(requests.c.state, sa.func.count()).where(requests.c.state.in_(OPEN))
            waiting = {
                State(name): count for name, count in connection.execute(counted.group_by(requests.c.state))
            }
            first = oldest(repository.select(connection, requests.c.state.in_(OPEN), most=1))
            broken = repository.select(
                connection, requests.c.problem != "", requests.c.state.in_({*GRANTED, State.REVOKED})
            )
        return Overview(
            at,
            policy.version,
            self._office.engine.state,
            tuple(name for name, schedule in policy.schedules.items() if schedule.is_active(at)),
            tuple(
                one for one in policy.exceptions if one.starts <= at < one.ends and one.during.span(at).active
            ),
            self._changes(at),
            {state: waiting.get(state, 0) for state in sorted(OPEN)},
            first,
            tuple(broken),
            self._outbox.waiting(),
            self._last_change(),
        )

    def _changes(self, at: datetime, most: int = 5) -> tuple[Change, ...]:
        policy, found = self._office.policy, []
        for name, schedule in policy.schedules.items():
            span = schedule.span(at)
            if span.end is not None:
                found.append(Change(span.end, "schedule", name, begins=not span.active))
        for one in policy.exceptions:
            if one.starts > at:
                found.append(Change(one.starts, "exception", one.id, begins=True))
            elif one.ends > at:
                found.append(Change(one.ends, "exception", one.id, begins=False))
        return tuple(sorted(found, key=lambda change: change.at)[:most])

    def _last_change(self) -> Version | None:
        try:
            return self._policy.last_change()
        except (HistoryError, OSError):
            return None  # `schoolgate policy history` says what is wrong with it
