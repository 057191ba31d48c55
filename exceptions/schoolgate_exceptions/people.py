"""Settings about people: who may both review and approve, since a small school has nobody else."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions.accounts import Accounts
from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tables import settings, write_instant

_WAIVERS = "waivers"


@dataclass(frozen=True, slots=True)
class Waiver:
    """Somebody may review and approve the same request, for a reason; set by somebody else."""

    account: int
    name: str
    reason: str
    made_by: str
    made_at: datetime


class People:
    """Waivers of the separation of duties."""

    def __init__(self, office: Office, accounts: Accounts) -> None:
        self._office = office
        self._accounts = accounts

    def waivers(self) -> list[Waiver]:
        """Return every waiver in force."""
        with self._office.read() as connection:
            return list(self._read(connection).values())

    def waiver(self, connection: Connection, account: int | None) -> Waiver | None:
        """Return the waiver for an account, None where there is none."""
        return self._read(connection).get(account) if account is not None else None

    def waive(self, actor: Actor, email: str, reason: str) -> Waiver:
        """Let somebody with both roles review and approve the same request.

        Raises:
            NotAllowed: only governor, head and technician do so, and nobody for themselves.

        """
        actor.require(Role.GOVERNOR, Role.HEAD, Role.TECHNICIAN)
        why = words("reason", reason, 300, least=1)
        with self._office.write() as connection:
            account, now = self._accounts.by_email(connection, email), self._office.now()
            if account.number == actor.account:
                raise NotAllowed("nobody waives the separation of duties for themselves")
            held = account.roles(self._office.today())
            if Role.OFFICER not in held or not held & {Role.HEAD, Role.DEPUTY}:
                raise NotAllowed(f"{account.name} does not have both roles")
            waiver = Waiver(account.number, account.name, why, actor.name, now)
            self._write(connection, {**self._read(connection), account.number: waiver})
            self._office.audit.add(connection, now, actor, "waiver.made", account.email, reason=why)
            return waiver

    def end_waiver(self, actor: Actor, email: str) -> None:
        """Take a waiver back."""
        actor.require(Role.GOVERNOR, Role.HEAD, Role.TECHNICIAN)
        with self._office.write() as connection:
            account = self._accounts.by_email(connection, email)
            left = self._read(connection)
            left.pop(account.number, None)
            self._write(connection, left)
            self._office.audit.add(connection, self._office.now(), actor, "waiver.ended", account.email)

    def _read(self, connection: Connection) -> dict[int, Waiver]:
        found = [
            Waiver(**{**entry, "made_at": datetime.fromisoformat(entry["made_at"])})
            for entry in read_setting(connection, _WAIVERS) or []
        ]
        return {waiver.account: waiver for waiver in found}

    def _write(self, connection: Connection, waivers: dict[int, Waiver]) -> None:
        entries = [{**asdict(one), "made_at": write_instant(one.made_at)} for one in waivers.values()]
        write_setting(connection, _WAIVERS, entries)


def read_setting(connection: Connection, name: str) -> Any:
    """Return a setting of the portal, None where it was never set."""
    return connection.execute(sa.select(settings.c.value).where(settings.c.name == name)).scalar()


def write_setting(connection: Connection, name: str, value: Any) -> None:
    """Set a setting of the portal."""
    connection.execute(settings.delete().where(settings.c.name == name))
    connection.execute(settings.insert().values(name=name, value=value))
