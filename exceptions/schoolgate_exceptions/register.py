"""The registers: the school's official accounts, and the exceptions that have ended."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from schoolgate_exceptions.ending import Ending
from schoolgate_exceptions.errors import InvalidInput, NotFound, WorkflowError
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tables import lapsed, official_accounts

LOOKERS = (Role.OFFICER, Role.HEAD, Role.DEPUTY, Role.DSL, Role.DPO, Role.GOVERNOR)


@dataclass(frozen=True, slots=True)
class OfficialAccount:
    """An account by which the school speaks on a platform. `request` is the request that opened it, where one did."""

    number: int
    platform: str
    account: str
    administrator: str
    posters: tuple[str, ...]
    opened: date
    closed: date | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Lapsed:
    """An exception that has ended: what stood in policy.yaml, until when, and whether it `expired` or was `revoked`."""

    id: str
    lines: str
    ended_at: datetime
    removed_at: datetime
    why: str


class Register:
    """Keeps and shows the registers."""

    def __init__(self, office: Office, ending: Ending) -> None:
        self._office = office
        self._ending = ending

    def accounts(self, actor: Actor) -> list[OfficialAccount]:
        """Return every official account, open ones first."""
        actor.require(*LOOKERS)
        order = (
            official_accounts.c.closed.is_not(None),
            official_accounts.c.platform,
            official_accounts.c.number,
        )
        with self._office.read() as connection:
            return [
                _account(row) for row in connection.execute(sa.select(official_accounts).order_by(*order))
            ]

    def add(
        self,
        actor: Actor,
        platform: str,
        account: str,
        administrator: str,
        posters: Iterable[str],
        opened: date,
        request: str = "",
    ) -> OfficialAccount:
        """Enter an official account."""
        actor.require(Role.OFFICER, Role.HEAD)
        entry = OfficialAccount(
            0,
            words("platform", platform, 100, least=1),
            words("account", account, 200, least=1),
            words("administrator", administrator, 200, least=1),
            tuple(words("posters", name, 100, least=1) for name in posters if name.strip()),
            opened,
            None,
            request,
        )
        if not entry.posters:
            raise InvalidInput(posters="name at least one person who may post")
        with self._office.write() as connection:
            values = {**_values(entry)}
            made = connection.execute(
                official_accounts.insert().values(values).returning(official_accounts.c.number)
            )
            entry = replace(entry, number=made.scalar_one())
            self._office.audit.add(
                connection, self._office.now(), actor, "official-account.opened", str(entry.number), **values
            )
            return entry

    def change(
        self, actor: Actor, number: int, administrator: str, posters: Iterable[str]
    ) -> OfficialAccount:
        """Change who looks after an account and who may post."""
        actor.require(Role.OFFICER, Role.HEAD)
        names = [words("posters", name, 100, least=1) for name in posters if name.strip()]
        who = words("administrator", administrator, 200, least=1)
        return self._update(actor, number, "official-account.changed", administrator=who, posters=names)

    def close(self, actor: Actor, number: int, closed: date) -> OfficialAccount:
        """Close an account; the exception that its request opened ends with it."""
        actor.require(Role.OFFICER, Role.HEAD)
        entry = self._update(actor, number, "official-account.closed", closed=closed)
        if entry.request:
            try:
                self._ending.revoke(actor, entry.request, "the official account was closed")
            except (WorkflowError, NotFound):
                return entry  # it has ended already, or its time to be kept is over
        return entry

    def lapsed(self, actor: Actor, most: int = 200) -> list[Lapsed]:
        """Return the exceptions that have ended, newest first."""
        actor.require(*LOOKERS)
        query = sa.select(lapsed).order_by(lapsed.c.removed_at.desc(), lapsed.c.number.desc()).limit(most)
        with self._office.read() as connection:
            return [
                Lapsed(row.id, row.lines, row.ended_at, row.removed_at, row.why)
                for row in connection.execute(query)
            ]

    def _update(self, actor: Actor, number: int, action: str, **values: Any) -> OfficialAccount:
        with self._office.write() as connection:
            here = official_accounts.c.number == number
            if connection.execute(official_accounts.update().where(here).values(values)).rowcount != 1:
                raise NotFound("there is no such official account")
            self._office.audit.add(connection, self._office.now(), actor, action, str(number), **values)
            return _account(connection.execute(sa.select(official_accounts).where(here)).one())


def _values(entry: OfficialAccount) -> dict[str, Any]:
    values = {**asdict(entry), "posters": list(entry.posters)}
    del values["number"]
    return values


def _account(row: Row[Any]) -> OfficialAccount:
    return OfficialAccount(
        row.number,
        row.platform,
        row.account,
        row.administrator,
        tuple(row.posters),
        row.opened,
        row.closed,
        row.request,
    )
