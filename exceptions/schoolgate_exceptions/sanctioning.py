"""Sanctions: a device that for a time reaches only what a closely supervised pupil may reach.

The table is the truth, `sanctions.json` is written from it after each change and whenever the two differ.
"""

import json
from dataclasses import dataclass
from datetime import datetime
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
_LOOKERS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL)


@dataclass(frozen=True, slots=True)
class Imposed:
    """A sanction; in force until `until`, unless it was lifted."""

    number: int
    address: str
    until: datetime
    reason: str
    allow: tuple[str, ...]
    made_at: datetime
    lifted_at: datetime | None = None


class Sanctioning:
    """Imposes and lifts sanctions."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def listed(self, actor: Actor, *, past: bool = False) -> list[Imposed]:
        """Return the sanctions in force, with `past` all of them; newest first. A look is noted in the audit."""
        actor.require(*_LOOKERS)
        query = sa.select(sanctions).order_by(sanctions.c.number.desc())
        with self._office.write() as connection:
            now = self._office.now()
            found = [_imposed(row) for row in connection.execute(query)]
            self._office.audit.add(connection, now, actor, "sanctions.seen", past=past)
        return [one for one in found if past or _in_force(one, now)]

    def impose(
        self, actor: Actor, address: str, until: datetime, reason: str, allow: tuple[str, ...] = ()
    ) -> Imposed:
        """Restrict a device by its address; in force within two seconds.

        Raises:
            InvalidInput: a field cannot be taken.

        """
        actor.require(Role.OFFICER, Role.HEAD, Role.DEPUTY)
        now = self._office.now()
        try:
            device = str(parse_address(address.strip()))
        except ValueError:
            raise InvalidInput(address="write the address of the device, such as 10.20.4.7") from None
        if until <= now:
            raise InvalidInput(until="this time has passed; choose a later one")
        why = words("reason", reason, 300, least=1)
        with self._office.write() as connection:
            values = {"address": device, "until": until, "reason": why, "allow": list(allow), "made_at": now}
            made = connection.execute(
                sanctions.insert().values(**values, made_by=actor.account).returning(sanctions.c.number)
            )
            number = made.scalar_one()
            self._check(connection)
            self._office.audit.add(
                connection, now, actor, "sanction.imposed", device, until=until, reason=why, allow=allow
            )
        self.write_file()
        return Imposed(number, device, until, why, allow, now)

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

    def _check(self, connection: Connection) -> None:
        try:
            parse_sanctions(self._render(connection), FILE, self._office.policy.catalogue)
        except PolicyError as error:
            raise InvalidInput(allow=error.issues[0].message) from None

    def _render(self, connection: Connection) -> bytes:
        now = self._office.now()
        rows = connection.execute(sa.select(sanctions).order_by(sanctions.c.number))
        entries = [
            {
                "address": one.address,
                "until": one.until.isoformat(),
                "reason": one.reason,
                "allow": list(one.allow),
            }
            for one in map(_imposed, rows)
            if _in_force(one, now)
        ]
        return json.dumps({"sanctions": entries}, ensure_ascii=False, indent=2).encode()


def _in_force(one: Imposed, now: datetime) -> bool:
    return one.lifted_at is None and one.until > now


def _imposed(row: Row[Any]) -> Imposed:
    return Imposed(
        row.number, row.address, row.until, row.reason, tuple(row.allow), row.made_at, row.lifted_at
    )
