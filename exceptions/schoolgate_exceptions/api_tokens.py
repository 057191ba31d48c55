"""Tokens for programs: made in the terminal for an account, shown once, kept as a hash, ended at any time.

Who has a token acts as its account, in the account's roles of that day; the audit names account and token.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.accounts import Accounts
from schoolgate_exceptions.errors import InvalidInput, NotFound
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import ANYBODY, Actor
from schoolgate_exceptions.sessions import Session
from schoolgate_exceptions.tables import api_tokens

MOST_DAYS = 400
_START = "sg_"  # so that a scanner for secrets finds one that was left lying about
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_NOTE_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as it is listed: never the secret."""

    name: str
    email: str
    made_at: datetime
    ends: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class ApiTokens:
    """Makes, finds, lists and ends tokens."""

    def __init__(self, office: Office, accounts: Accounts) -> None:
        self._office = office
        self._accounts = accounts

    def make(self, actor: Actor, email: str, name: str, days: int = 365) -> tuple[ApiToken, str]:
        """Make a token; return it with its secret, which nobody can look up afterwards.

        Raises:
            NotAllowed: who acts does not look after accounts.
            NotFound: there is no such account.
            InvalidInput: the name is none, or taken; the days are too many.

        """
        self._accounts.require(actor)
        if not _NAME.fullmatch(name):
            raise InvalidInput(name="write lower-case letters, digits, `-` and `_`, at most 40")
        if not 1 <= days <= MOST_DAYS:
            raise InvalidInput(days=f"it goes from 1 to {MOST_DAYS}")
        secret, now = _START + self._office.token(), self._office.now()
        with self._office.write() as connection:
            account = self._accounts.by_email(connection, email)
            if account.closed_at is not None:
                raise InvalidInput(email=f"{account.email} is closed")
            if self._live(connection, account.number, name) is not None:
                raise InvalidInput(name=f"{account.email} has a token `{name}` already; end that one first")
            ends = now + timedelta(days=days)
            connection.execute(
                api_tokens.insert().values(
                    key=digest(secret), account=account.number, name=name, made_at=now, ends=ends
                )
            )
            self._office.audit.add(
                connection, now, actor, "api-token.made", account.email, token=name, ends=ends
            )
            return ApiToken(name, account.email, now, ends), secret

    def revoke(self, actor: Actor, email: str, name: str) -> None:
        """End a token at once.

        Raises:
            NotFound: the account has no such token in use.

        """
        self._accounts.require(actor)
        with self._office.write() as connection:
            account, now = self._accounts.by_email(connection, email), self._office.now()
            row = self._live(connection, account.number, name)
            if row is None:
                raise NotFound(f"{account.email} has no token `{name}` in use")
            connection.execute(api_tokens.update().where(api_tokens.c.key == row.key).values(revoked_at=now))
            self._office.audit.add(connection, now, actor, "api-token.ended", account.email, token=name)

    def listed(self, email: str = "") -> list[ApiToken]:
        """Return the tokens of an account, or of all, the newest first; also those that have ended."""
        with self._office.read() as connection:
            query = sa.select(api_tokens).order_by(api_tokens.c.made_at.desc(), api_tokens.c.name)
            if email:
                number = self._accounts.by_email(connection, email).number
                query = query.where(api_tokens.c.account == number)
            return [
                ApiToken(
                    row.name,
                    self._accounts.get(connection, row.account).email,
                    row.made_at,
                    row.ends,
                    row.used_at,
                    row.revoked_at,
                )
                for row in connection.execute(query)
            ]

    def find(self, secret: str, device: str) -> Session | None:
        """Return whom a token stands for, as one who is signed in; None where it is not good, which is noted.

        `device` is the keyed hash of the address that it came from.
        """
        now = self._office.now()
        with self._office.read() as connection:
            query = sa.select(api_tokens).where(api_tokens.c.key == digest(secret))
            row = connection.execute(query).one_or_none()
            good = row is not None and row.revoked_at is None and now < row.ends
            account = self._accounts.get(connection, row.account) if row is not None and good else None
        if row is None or account is None or account.closed_at is not None:
            self._refused(device)
            return None
        if row.used_at is None or now - row.used_at > _NOTE_EVERY:
            with self._office.write() as connection:
                connection.execute(api_tokens.update().where(api_tokens.c.key == row.key).values(used_at=now))
        actor = account.actor(self._office.today())
        actor = replace(actor, email=f"{account.email} (token {row.name})")
        return Session("", "", account, actor, row.made_at, now, second_factor=True, incomplete=False)

    def purge(self, connection: Connection) -> int:
        """Remove the tokens that cannot be used any more; return how many."""
        over = sa.or_(api_tokens.c.revoked_at.is_not(None), api_tokens.c.ends <= self._office.now())
        return connection.execute(api_tokens.delete().where(over)).rowcount

    def _refused(self, device: str) -> None:
        with self._office.write() as connection:
            anybody = replace(ANYBODY, device=device)
            self._office.note_once(connection, anybody, "api-token.refused", device, _NOTE_EVERY)

    def _live(self, connection: Connection, account: int, name: str) -> Row[Any] | None:
        query = sa.select(api_tokens).where(
            api_tokens.c.account == account,
            api_tokens.c.name == name,
            api_tokens.c.revoked_at.is_(None),
            api_tokens.c.ends > self._office.now(),
        )
        return connection.execute(query).one_or_none()
