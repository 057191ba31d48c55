"""Alerts: a device whose score reached a threshold. One letter for a burst, acknowledged here, escalated if not.

Of pupils and guests the designated safeguarding lead is told, of staff the headteacher; where nobody is in that role,
or nobody has acknowledged the alert after `escalate_after` of school hours, the next in the chain. No letter names a
device. Of blocked visits to what is on a locked list, or to a subject that the policy offers help about, nobody but the
safeguarding lead is told, once a day for a device, in words that accuse nobody. No device of staff comes under supervision by its score: that is for a person to decide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.desk import Desk
from schoolgate_exceptions.errors import InvalidInput, NotFound
from schoolgate_exceptions.event_tables import alerts
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.outbox import Recipient
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.sanctioning import Sanctioning
from schoolgate_exceptions.school_hours import hours_between, is_in_hours
from schoolgate_exceptions.watch.devices import SEES_PUPILS, SEES_STAFF
from schoolgate_exceptions.watch.scoring import Reached
from schoolgate_policy.model import People

# Who is told, one after the other, by whether it is about staff. Only who may see such an alert.
_CHAIN = {
    True: (Role.HEAD, Role.DEPUTY, Role.OFFICER),
    False: (Role.DSL, Role.HEAD, Role.DEPUTY, Role.OFFICER),
}


class Concern(StrEnum):
    """What a safeguarding lead, and nobody else, is told of."""

    LOCKED = "locked"  # a list of illegal content: extremism, abuse of children
    SUPPORT = "support"  # a subject about which the policy offers help: self-harm, eating disorders


@dataclass(frozen=True, slots=True)
class Alert:
    """A burst of attempts of one device, or with `kind` a `Concern`. `acknowledged_by` is the number of an account."""

    number: int
    at: datetime
    device: str
    network: str
    people: str
    points: int
    techniques: dict[str, int]
    supervised: bool = False
    ended_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: int | None = None
    note: str = ""
    escalated_at: datetime | None = None
    kind: str = ""

    @property
    def is_staff(self) -> bool:
        """Whether it is about a device of staff."""
        return self.people == People.STAFF


class Alerting:
    """Raises, shows, acknowledges and escalates alerts."""

    def __init__(self, desk: Desk, sanctioning: Sanctioning) -> None:
        self._desk = desk
        self._office = desk.office
        self._sanctioning = sanctioning
        self.acknowledged: Callable[[float], None] = lambda _seconds: None

    def raised(self, connection: Connection, reached: Reached, network: str) -> None:
        """Write an alert and its letters, in the transaction of the events that caused it."""
        known = self._office.policy.networks.get(network)
        people = known.people if known else People.PUPIL
        open_one = sa.and_(alerts.c.device == reached.device, alerts.c.ended_at.is_(None))
        values = {"points": reached.points, "techniques": reached.techniques}
        if connection.execute(alerts.update().where(open_one).values(values)).rowcount:
            return  # the same burst, which has gone on: nobody is told twice
        at = datetime.fromtimestamp(reached.at, UTC)
        more = {"at": at, "device": reached.device, "network": network, "people": people}
        made = connection.execute(alerts.insert().values(**values, **more).returning(alerts.c.number))
        number = int(made.scalar_one())
        first = next(iter(self._steps(connection, is_staff=people is People.STAFF)), ())
        self._post(connection, Letter.ALERT, first, number)
        self._office.audit.add(
            connection, self._office.now(), SYSTEM, "alert.raised", str(number),
            network=network, points=reached.points, techniques=reached.techniques,
        )  # fmt: skip

    def concern(self, connection: Connection, kind: Concern, at: float, device: str, network: str) -> None:
        """Tell the safeguarding lead of a blocked visit, unless they were told of this device today."""
        seen = datetime.fromtimestamp(at, UTC)
        begin = seen.astimezone(self._office.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        told = sa.select(alerts.c.number).where(
            alerts.c.device == device, alerts.c.kind != "", alerts.c.at >= begin
        )
        if connection.execute(told.limit(1)).first() is not None:
            return
        known = self._office.policy.networks.get(network)
        values = {
            "at": seen, "ended_at": seen, "device": device, "network": network, "kind": kind, "points": 0,
            "people": known.people if known else People.PUPIL, "techniques": {},
        }  # fmt: skip
        made = connection.execute(alerts.insert().values(values).returning(alerts.c.number))
        number = int(made.scalar_one())
        self._post(connection, Letter.CONCERN, self._desk.recipients(connection, Role.DSL), number)
        self._office.audit.add(
            connection, self._office.now(), SYSTEM, "concern.raised", str(number), network=network
        )

    def ended(self, connection: Connection, devices: list[str]) -> None:
        """Note that the bursts of some devices are over."""
        if devices:
            here = sa.and_(alerts.c.device.in_(devices), alerts.c.ended_at.is_(None))
            connection.execute(alerts.update().where(here).values(ended_at=self._office.now()))

    def supervise(self, reached: Reached, address: str) -> bool:
        """Put a device under supervision since its score says so; return whether it was."""
        engine, now = self._office.engine, self._office.now()
        network = engine.policy.networks[engine.identify(address).network]
        if network.people is People.STAFF:
            return False
        until = now + engine.policy.circumvention.supervise_for
        try:
            self._sanctioning.impose(SYSTEM, address, until, f"{reached.points} points for attempts to get round the filter")  # fmt: skip
        except InvalidInput:
            return False  # it is under supervision already
        with self._office.write() as connection:
            here = sa.and_(alerts.c.device == reached.device, alerts.c.ended_at.is_(None))
            marked = alerts.update().where(here).values(supervised=True).returning(alerts.c.number)
            for number in list(connection.execute(marked).scalars()):
                self._tell_supervised(connection, number)
        return True

    def listed(self, actor: Actor, *, open_only: bool = False, most: int = 100) -> list[Alert]:
        """Return the alerts an actor may see, newest first; with `open_only` those nobody has acknowledged."""
        actor.require(*SEES_PUPILS)
        query = sa.select(alerts).order_by(alerts.c.at.desc(), alerts.c.number.desc()).limit(most)
        if open_only:
            query = query.where(alerts.c.acknowledged_at.is_(None))
        if not actor.has(*SEES_STAFF):
            query = query.where(sa.or_(alerts.c.people != People.STAFF, alerts.c.kind != ""))
        if not actor.has(Role.DSL):
            query = query.where(alerts.c.kind == "")
        with self._office.read() as connection:
            return [_alert(row) for row in connection.execute(query)]

    def get(self, connection: Connection, number: int) -> Alert:
        """Return an alert."""
        row = connection.execute(sa.select(alerts).where(alerts.c.number == number)).one_or_none()
        if row is None:
            raise NotFound("there is no such alert")
        return _alert(row)

    def acknowledge(self, actor: Actor, number: int, note: str = "") -> Alert:
        """Note that somebody has seen an alert and sees to it; the first who does so counts."""
        actor.require(*SEES_PUPILS)
        said = words("note", note, 500)
        with self._office.write() as connection:
            found = self.get(connection, number)
            role = actor.require(*_seen_by(found))
            if found.acknowledged_at is None:
                now = self._office.now()
                values = {"acknowledged_at": now, "acknowledged_by": actor.account, "note": said}
                connection.execute(alerts.update().where(alerts.c.number == number).values(values))
                self._office.audit.add(
                    connection, now, actor, "alert.acknowledged", str(number), role=role, note=said
                )
                self.acknowledged(max(0.0, (now - found.at).total_seconds()))  # a part's clock may be ahead
            return self.get(connection, number)

    def escalate_due(self) -> int:
        """Tell the next person of alerts that nobody has acknowledged in time; once for each, in school hours."""
        now, policy = self._office.now(), self._office.policy
        wait = policy.circumvention.escalate_after
        if not is_in_hours(policy, now):
            return 0
        told = 0
        with self._office.write() as connection:
            query = sa.select(alerts).where(
                alerts.c.acknowledged_at.is_(None), alerts.c.escalated_at.is_(None), alerts.c.at <= now - wait
            )
            for one in [_alert(row) for row in connection.execute(query)]:
                if hours_between(policy, one.at, now) < wait:
                    continue
                here = alerts.update().where(alerts.c.number == one.number)
                connection.execute(here.values(escalated_at=now))
                if one.kind:  # nobody else is told: the lead once more
                    leads = self._desk.recipients(connection, Role.DSL)
                    told += self._post(connection, Letter.CONCERN, leads, one.number)
                    continue
                steps = self._steps(connection, is_staff=one.is_staff)
                told += self._post(
                    connection,
                    Letter.ALERT_AGAIN,
                    steps[1] if steps[1:] else steps[0] if steps else (),
                    one.number,
                )
        return told

    def _tell_supervised(self, connection: Connection, number: int) -> None:
        """Tell those who know of an alert that its device is restricted; a letter not sent yet says so itself."""
        found = self.get(connection, number)
        if found.acknowledged_at is None and self._desk.outbox.waits(connection, Letter.ALERT, alert=number):
            return
        steps = self._steps(connection, is_staff=found.is_staff)
        for step in steps[: 1 if found.escalated_at is None else 2]:
            self._post(connection, Letter.SUPERVISED, step, number)

    def _steps(self, connection: Connection, *, is_staff: bool) -> list[tuple[Recipient, ...]]:
        """Return who is told first, who then, and so on: nobody twice, and no step without anybody."""
        told: set[str] = set()
        found = []
        for role in _CHAIN[is_staff]:
            fresh = tuple(
                one for one in self._desk.recipients(connection, role) if one.email.casefold() not in told
            )
            told |= {one.email.casefold() for one in fresh}
            if fresh:
                found.append(fresh)
        return found

    def _post(
        self, connection: Connection, letter: Letter, recipients: tuple[Recipient, ...], number: int
    ) -> int:
        for one in recipients:
            self._desk.outbox.post(connection, letter, one, alert=number)
        return len(recipients)


def _seen_by(one: Alert) -> tuple[Role, ...]:
    if one.kind:
        return (Role.DSL,)
    return SEES_STAFF if one.is_staff else SEES_PUPILS


def _alert(row: Row[Any]) -> Alert:
    return Alert(**dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's own name for its public view
