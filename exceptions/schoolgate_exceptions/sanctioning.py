"""Sanctions: a device that for a time reaches only what a closely supervised pupil may reach.

The table is the truth, `sanctions.json` is written from it after each change and whenever the two differ. Where the
device's MAC address is known the sanction follows it to another IP address: the file then names every address that
the machine has now. A pause for a lesson stands in the file as the instant at which the sanction is in force again,
so nobody has to be there to end it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.control_files import write_whole
from schoolgate_exceptions.errors import InvalidInput, NotFound
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tables import sanctions
from schoolgate_policy.errors import PolicyError
from schoolgate_policy.names import parse_address
from schoolgate_policy.sanctions import parse_sanctions

FILE = "sanctions.json"
LOOKERS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)
_PAUSERS = (Role.TEACHER, Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)
_LONGEST_PAUSE = timedelta(minutes=90)
_IMPOSERS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.SYSTEM)

type Neighbours = Callable[[], Mapping[str, str]]
"""Return the MAC address (lower case, colons) of every IP address the box has spoken with lately."""


@dataclass(frozen=True, slots=True)
class Imposed:
    """A sanction; in force until `until`, unless it was lifted. `by_score`: nobody imposed it."""

    number: int
    address: str
    until: datetime
    reason: str
    allow: tuple[str, ...]
    made_at: datetime
    lifted_at: datetime | None = None
    mac: str = ""
    paused_until: datetime | None = None
    by_score: bool = False


class Sanctioning:
    """Imposes, pauses and lifts sanctions."""

    def __init__(self, office: Office, neighbours: Neighbours = dict) -> None:
        self._office = office
        self.neighbours = neighbours

    def listed(self, actor: Actor, *, past: bool = False) -> list[Imposed]:
        """Return the sanctions in force, with `past` all of them; newest first. A look is noted in the audit."""
        actor.require(*LOOKERS)
        query = sa.select(sanctions).order_by(sanctions.c.number.desc())
        with self._office.write() as connection:
            now = self._office.now()
            found = [_imposed(row) for row in connection.execute(query)]
            self._office.audit.add(connection, now, actor, "sanctions.seen", past=past)
        return [one for one in found if past or _in_force(one, now)]

    def supervised(self, actor: Actor) -> list[Imposed]:
        """Return which devices are under supervision now, without the reasons; for who may pause that."""
        actor.require(*_PAUSERS)
        now = self._office.now()
        with self._office.read() as connection:
            rows = connection.execute(sa.select(sanctions).order_by(sanctions.c.address))
            return [replace(one, reason="", allow=()) for one in map(_imposed, rows) if _in_force(one, now)]

    def impose(
        self, actor: Actor, address: str, until: datetime, reason: str, allow: tuple[str, ...] = ()
    ) -> Imposed:
        """Restrict a device by its address; in force within two seconds.

        Raises:
            InvalidInput: a field cannot be taken.

        """
        role = actor.require(*_IMPOSERS)
        now = self._office.now()
        try:
            device = str(parse_address(address.strip()))
        except ValueError:
            raise InvalidInput(address="write the address of the device, such as 10.20.4.7") from None
        if until <= now:
            raise InvalidInput(until="this time has passed; choose a later one")
        why = words("reason", reason, 300, least=1)
        mac = self.neighbours().get(device, "")
        with self._office.write() as connection:
            self._refuse_second(connection, device, mac)
            values = {"address": device, "until": until, "reason": why, "allow": list(allow), "made_at": now}
            made = connection.execute(
                sanctions.insert()
                .values(**values, mac=mac, made_by=actor.account)
                .returning(sanctions.c.number)
            )
            number = made.scalar_one()
            self._check(connection)
            self._office.audit.add(
                connection,
                now,
                actor,
                "sanction.imposed",
                device,
                role=role,
                until=until,
                reason=why,
                allow=allow,
            )
        self.write_file()
        return Imposed(number, device, until, why, allow, now, mac=mac, by_score=actor.account is None)

    def lift(self, actor: Actor, number: int, reason: str) -> None:
        """End a sanction before its time."""
        actor.require(Role.OFFICER, Role.HEAD, Role.DEPUTY)
        why = words("note", reason, 300)
        with self._office.write() as connection:
            now = self._office.now()
            here = sa.and_(sanctions.c.number == number, sanctions.c.lifted_at.is_(None))
            row = connection.execute(sa.select(sanctions.c.address).where(here)).one_or_none()
            if row is None:
                raise NotFound("there is no such sanction in force")
            connection.execute(sanctions.update().where(here).values(lifted_at=now))
            self._office.audit.add(connection, now, actor, "sanction.lifted", row.address, reason=why)
        self.write_file()

    def pause(self, actor: Actor, address: str, reason: str) -> Imposed:
        """Lift the sanction on a device for this lesson: until the bell, or for 90 minutes where that is earlier.

        Raises:
            InvalidInput: there is no reason.
            NotFound: the device is under no sanction.

        """
        role = actor.require(*_PAUSERS)
        why = words("reason", reason, 300, least=1)
        now = self._office.now()
        spans = [schedule.span(now) for schedule in self._office.policy.schedules.values()]
        bells = [span.end for span in spans if span.active and span.end is not None]
        ends = min([now + _LONGEST_PAUSE, *bells]).replace(microsecond=0)
        with self._office.write() as connection:
            found = self._of(connection, address, now)
            values = {"paused_until": ends, "paused_by": actor.account}
            connection.execute(sanctions.update().where(sanctions.c.number == found.number).values(values))
            self._office.audit.add(
                connection, now, actor, "sanction.paused", found.address, role=role, until=ends, reason=why
            )
            paused = self._of(connection, address, now)
        self.write_file()
        return paused

    def resume(self, actor: Actor, address: str) -> None:
        """End a pause before the bell."""
        role = actor.require(*_PAUSERS)
        with self._office.write() as connection:
            now = self._office.now()
            found = self._of(connection, address, now)
            here = sanctions.update().where(sanctions.c.number == found.number)
            connection.execute(here.values(paused_until=None))
            self._office.audit.add(connection, now, actor, "sanction.resumed", found.address, role=role)
        self.write_file()

    def write_file(self) -> bool:
        """Bring `sanctions.json` up to date; return whether it was not.

        Raises:
            OSError: the state folder cannot be written; it is tried again.

        """
        with self._office.read() as connection:
            data = self._render(connection)
        path = self._office.state / FILE
        if not path.exists() and json.loads(data) == {"sanctions": []}:
            return False
        return write_whole(path, data)

    def _of(self, connection: Connection, address: str, now: datetime) -> Imposed:
        """Return the sanction in force on a device."""
        try:
            device = str(parse_address(address.strip()))
        except ValueError:
            raise InvalidInput(address="write the address of the device, such as 10.20.4.7") from None
        mac = self.neighbours().get(device, "")
        for row in connection.execute(sa.select(sanctions).order_by(sanctions.c.number.desc())):
            one = _imposed(row)
            if _in_force(one, now) and (one.address == device or (mac and one.mac == mac)):
                return one
        raise NotFound(f"{device} is under no sanction")

    def _refuse_second(self, connection: Connection, device: str, mac: str) -> None:
        """Let one device have one sanction: of two the engine could only know one."""
        now = self._office.now()
        for row in connection.execute(sa.select(sanctions)):
            one = _imposed(row)
            if _in_force(one, now) and (one.address == device or (mac and one.mac == mac)):
                raise InvalidInput(address="this device is under a sanction already; lift that one first")

    def _check(self, connection: Connection) -> None:
        try:
            parse_sanctions(self._render(connection), FILE, self._office.policy.catalogue)
        except PolicyError as error:
            raise InvalidInput(allow=error.issues[0].message) from None

    def _render(self, connection: Connection) -> bytes:
        now = self._office.now()
        rows = connection.execute(sa.select(sanctions).order_by(sanctions.c.number))
        neighbours = self.neighbours()
        entries: dict[str, dict[str, Any]] = {}
        for one in map(_imposed, rows):
            if not _in_force(one, now):
                continue
            for address in _addresses(one, neighbours):
                entries[address] = _entry(one, address, now)
        return json.dumps({"sanctions": list(entries.values())}, ensure_ascii=False, indent=2).encode()


def _addresses(one: Imposed, neighbours: Mapping[str, str]) -> list[str]:
    """Return where the device of a sanction is now: by its MAC address where that is seen, else where it was.

    An address that another machine has by now is that machine's.
    """
    if not one.mac:
        return [one.address]
    now = sorted(address for address, mac in neighbours.items() if mac == one.mac)
    if now or neighbours.get(one.address, one.mac) != one.mac:
        return now
    return [one.address]


def _entry(one: Imposed, address: str, now: datetime) -> dict[str, Any]:
    entry: dict[str, Any] = {"address": address}
    if one.paused_until is not None and one.paused_until > now:
        entry["from"] = one.paused_until.isoformat()
    return {**entry, "until": one.until.isoformat(), "reason": one.reason, "allow": list(one.allow)}


def _in_force(one: Imposed, now: datetime) -> bool:
    return one.lifted_at is None and one.until > now


def _imposed(row: Row[Any]) -> Imposed:
    return Imposed(
        row.number, row.address, row.until, row.reason, tuple(row.allow), row.made_at, row.lifted_at,
        row.mac, row.paused_until, row.made_by is None,
    )  # fmt: skip
