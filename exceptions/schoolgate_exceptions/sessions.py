"""Sessions: the cookie holds a random id, the row is here, so any of them can be ended at once."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import Connection

from schoolgate_exceptions.accounts import Account, Accounts
from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import NEEDS_SECOND_FACTOR, Actor
from schoolgate_exceptions.tables import sessions

_NOTE_EVERY = timedelta(minutes=1)  # a busy reader does not write at each page


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. `actor` has only the roles that this session may use.

    `incomplete`: a role of the account asks for a second factor, which this session has not shown; until then those
    roles are not among the actor's.
    """

    key: str
    form_key: str
    account: Account
    actor: Actor
    made_at: datetime
    seen_at: datetime
    second_factor: bool
    incomplete: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """A new session, and what the cookie is to hold."""

    session: Session
    cookie: str


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, office: Office, accounts: Accounts) -> None:
        self._office = office
        self._accounts = accounts
        self._signer = URLSafeSerializer(office.keys.derive("session"), salt="cookie")

    def open(self, connection: Connection, account: Account, *, second_factor: bool) -> Signed:
        """Open a session, in the transaction of the sign-in."""
        secret, now = self._office.token(), self._office.now()
        form_key = self._office.token()
        connection.execute(
            sessions.insert().values(
                key=digest(secret),
                account=account.number,
                form_key=form_key,
                second_factor=second_factor,
                made_at=now,
                seen_at=now,
            )
        )
        session = self._session(digest(secret), form_key, account, now, now, second_factor=second_factor)
        return Signed(session, str(self._signer.dumps(secret)))

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None where it was forged, ended, or not used for too long."""
        key = self._key(cookie)
        if key is None:
            return None
        now = self._office.now()
        idle, longest = self._office.limits.idle, self._office.policy.privacy.keep_sessions
        with self._office.read() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.key == key)).one_or_none()
            if row is None or row.revoked_at is not None:
                return None
            if now - row.seen_at > idle or now - row.made_at > longest:
                return None
            account = self._accounts.get(connection, row.account)
        if account.closed_at is not None:
            return None
        if now - row.seen_at > _NOTE_EVERY:
            with self._office.write() as connection:
                connection.execute(sessions.update().where(sessions.c.key == key).values(seen_at=now))
        return self._session(key, row.form_key, account, row.made_at, now, second_factor=row.second_factor)

    def complete(self, session: Session, code: str) -> Session | None:
        """Add the second factor to a session; None where the code is wrong."""
        with self._office.write() as connection:
            if not self._accounts.use_code(connection, session.account.number, code):
                return None
            connection.execute(
                sessions.update().where(sessions.c.key == session.key).values(second_factor=True)
            )
            self._office.audit.add(
                connection, self._office.now(), session.actor, "sign-in.completed", session.account.email
            )
        whole = session.account.actor(self._office.today())
        return replace(session, actor=whole, second_factor=True, incomplete=False)

    def enrol(self, session: Session, key: bytes, code: str) -> Session:
        """Give an account its authenticator app, and complete the session by its first code.

        Raises:
            SignInFailed: the code is not the key's.
            NotAllowed: the account has one, and this session has not shown it.

        """
        with self._office.write() as connection:
            account = self._accounts.get(connection, session.account.number)
            if account.has_second_factor and not session.second_factor:
                raise NotAllowed("this account has an authenticator app already; sign in with its code")
            self._accounts.keep_second_factor(connection, account, key, code)
            connection.execute(
                sessions.update().where(sessions.c.key == session.key).values(second_factor=True)
            )
            account = self._accounts.get(connection, account.number)
        whole = account.actor(self._office.today())
        return replace(session, account=account, actor=whole, second_factor=True, incomplete=False)

    def end(self, session: Session) -> None:
        """Sign out."""
        with self._office.write() as connection:
            now = self._office.now()
            connection.execute(sessions.update().where(sessions.c.key == session.key).values(revoked_at=now))
            self._office.audit.add(connection, now, session.actor, "sign-out", session.account.email)

    def end_all(self, actor: Actor, email: str) -> int:
        """End every session of an account, one's own or (who looks after accounts) anybody's; return how many."""
        with self._office.write() as connection:
            account, now = self._accounts.by_email(connection, email), self._office.now()
            if account.number != actor.account:
                self._accounts.require(actor)
            live = sa.and_(sessions.c.account == account.number, sessions.c.revoked_at.is_(None))
            count = connection.execute(sessions.update().where(live).values(revoked_at=now)).rowcount
            self._office.audit.add(connection, now, actor, "sessions.ended", account.email, count=count)
            return count

    def purge(self, connection: Connection) -> int:
        """Remove the sessions that ended or can no longer be used; return how many."""
        now, limits = self._office.now(), self._office.limits
        longest = self._office.policy.privacy.keep_sessions
        dead = sa.or_(
            sessions.c.revoked_at.is_not(None),
            sessions.c.seen_at < now - limits.idle,
            sessions.c.made_at < now - longest,
        )
        return connection.execute(sessions.delete().where(dead)).rowcount

    def _key(self, cookie: str) -> str | None:
        try:
            secret = self._signer.loads(cookie)
        except BadData:
            return None
        return digest(secret) if isinstance(secret, str) else None

    def _session(
        self,
        key: str,
        form_key: str,
        account: Account,
        made_at: datetime,
        seen_at: datetime,
        *,
        second_factor: bool,
    ) -> Session:
        actor = account.actor(self._office.today())
        missing = bool(actor.roles & NEEDS_SECOND_FACTOR) and not second_factor
        if missing:
            actor = replace(actor, roles=actor.roles - NEEDS_SECOND_FACTOR)
        return Session(key, form_key, account, actor, made_at, seen_at, second_factor, missing)
