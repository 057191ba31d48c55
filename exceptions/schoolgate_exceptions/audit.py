"""The audit: who did what and when, in a table that only grows and whose rows are chained by their hashes.

A row's chain is the SHA-256 of the row and of the chain before it, so a changed byte or a missing row breaks every
chain after it; the newest chain is sealed with the portal's key, so that the end cannot be cut off. When its time
to be kept is over a row loses its body (who, and the details), not its place: the digest of the body stays.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions.errors import AuditBroken
from schoolgate_exceptions.keys import Keys
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.tables import audit, audit_head, write_instant

PURGED = "audit.purged"
_START = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the audit. `who`, `role` and `details` are empty where the body was purged."""

    number: int
    at: datetime
    action: str
    subject: str
    who: str = ""
    account: int | None = None
    role: str = ""
    details: Mapping[str, Any] | None = None
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: how many rows there are, and how many of them have lost their bodies to time."""

    rows: int
    purged: int
    last: str  # the newest chain; write it down elsewhere, and a forged database is found out too


class Audit:
    """Writes, reads and checks the audit; every method works on the connection of its caller's transaction."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.derive("audit")

    def add(
        self,
        connection: Connection,
        at: datetime,
        actor: Actor,
        action: str,
        subject: str = "",
        *,
        role: Role | None = None,
        **details: Any,
    ) -> int:
        """Add a row, in the transaction of what it tells of; return its number."""
        body = json.dumps(
            {
                "who": actor.email
                or actor.name
                or (f"device {actor.device}" if actor.device else "somebody"),
                "account": actor.account,
                "role": str(role or actor.foremost or ""),
                "details": details,
            },
            ensure_ascii=False,
            sort_keys=True,
            default=str,
        )
        number, chain = self._newest(connection)
        number += 1
        digest = _sha(body)
        chain = _chain(chain, number, at, action, subject, digest)
        connection.execute(
            audit.insert().values(
                number=number, at=at, action=action, subject=subject, body=body, digest=digest, chain=chain
            )
        )
        self._seal(connection, number, chain)
        return number

    def entries(
        self, connection: Connection, *, subject: str = "", after: int = 0, most: int | None = None
    ) -> Iterator[Entry]:
        """Yield rows, oldest first; of one subject (a request's id, an account's name) where it is given."""
        query = sa.select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(most)
        if subject:
            query = query.where(audit.c.subject == subject)
        for row in connection.execute(query):
            yield _entry(row)

    def newest(self, connection: Connection, most: int, *, action: str = "") -> list[Entry]:
        """Return the newest rows first; those of an action and what lies below it (`request`) where it is given."""
        query = sa.select(audit).order_by(audit.c.number.desc()).limit(most)
        if action:
            query = query.where(audit.c.action.startswith(action, autoescape=True))
        return [_entry(row) for row in connection.execute(query)]

    def was_noted(
        self, connection: Connection, action: str, subject: str, since: datetime, by: Actor | None = None
    ) -> bool:
        """Whether there is a row of an action and a subject after an instant; with `by` one of that account."""
        query = sa.select(audit.c.number).where(
            audit.c.subject == subject, audit.c.action == action, audit.c.at > since
        )
        if by is not None:  # the keys of a body are sorted, so this is how it begins
            query = query.where(audit.c.body.startswith(f'{{"account": {json.dumps(by.account)}, '))
        return connection.execute(query.limit(1)).one_or_none() is not None

    def verify(self, connection: Connection) -> Verified:
        """Check every row.

        Raises:
            AuditBroken: a row was changed, is missing, or the end was cut off; names the first.

        """
        number, chain, purged, last_purged, told = 0, _START, 0, 0, 0
        for row in connection.execute(sa.select(audit).order_by(audit.c.number)):
            if row.number != number + 1:
                raise AuditBroken(f"row {number + 1} of the audit is missing")
            number = row.number
            if row.body is None:
                purged, last_purged = purged + 1, number
            elif _sha(row.body) != row.digest:
                raise AuditBroken(f"row {number} of the audit was changed")
            elif row.action == PURGED:
                told = max(told, json.loads(row.body)["details"]["through"])
            chain = _chain(chain, number, row.at, row.action, row.subject, row.digest)
            if chain != row.chain:
                raise AuditBroken(f"row {number} of the audit was changed, or one before it replaced")
        if last_purged > told:
            raise AuditBroken(f"row {last_purged} of the audit was emptied, and no purge tells of it")
        self._check_head(connection, number, chain)
        return Verified(number, purged, chain)

    def purge(self, connection: Connection, before: datetime, kept: frozenset[str]) -> int:
        """Empty the rows that are older than an instant, except those of some subjects; return how many."""
        old = sa.and_(audit.c.at < before, audit.c.body.is_not(None), audit.c.action != PURGED)
        if kept:
            old = sa.and_(old, audit.c.subject.not_in(kept))
        return connection.execute(audit.update().where(old).values(body=None)).rowcount

    def last_before(self, connection: Connection, before: datetime) -> int:
        """Return the number of the newest row that is older than an instant, 0 where there is none."""
        query = sa.select(sa.func.max(audit.c.number)).where(audit.c.at < before)
        return connection.execute(query).scalar() or 0

    def _newest(self, connection: Connection) -> tuple[int, str]:
        row = connection.execute(sa.select(audit_head)).one_or_none()
        return (0, _START) if row is None else (row.number, row.chain)

    def _seal(self, connection: Connection, number: int, chain: str) -> None:
        values = {"number": number, "chain": chain, "seal": self._sealed(number, chain)}
        if number == 1:
            connection.execute(audit_head.insert().values(one=1, **values))
        else:
            connection.execute(audit_head.update().values(values))

    def _sealed(self, number: int, chain: str) -> str:
        return hmac.digest(self._key, f"{number} {chain}".encode(), "sha256").hex()

    def _check_head(self, connection: Connection, number: int, chain: str) -> None:
        row = connection.execute(sa.select(audit_head)).one_or_none()
        if row is None:
            if number:
                raise AuditBroken("the seal of the audit is missing")
            return
        if not hmac.compare_digest(row.seal, self._sealed(row.number, row.chain)):
            raise AuditBroken("the seal of the audit was changed")
        if (row.number, row.chain) != (number, chain):
            raise AuditBroken(
                f"row {number + 1} of the audit is missing: it was sealed with {row.number} rows"
            )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _chain(before: str, number: int, at: datetime, action: str, subject: str, digest: str) -> str:
    return _sha(json.dumps([before, number, write_instant(at), action, subject, digest], ensure_ascii=False))


def _entry(row: Any) -> Entry:
    if row.body is None:
        return Entry(row.number, row.at, row.action, row.subject, purged=True)
    body = json.loads(row.body)
    return Entry(
        row.number,
        row.at,
        row.action,
        row.subject,
        body["who"],
        body["account"],
        body["role"],
        body["details"],
    )
