"""Signing in: by name, password and code. Failures are counted in the database, so a restart forgives nobody."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from schoolgate_exceptions import passwords
from schoolgate_exceptions.accounts import Account, Accounts
from schoolgate_exceptions.errors import NotFound, SignInFailed, TooMany
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import ANYBODY, Actor, Role
from schoolgate_exceptions.sessions import Sessions, Signed
from schoolgate_exceptions.tables import accounts, sign_ins

_WRONG = "the name or the password is wrong"


class SigningIn:
    """Opens sessions for those who can show who they are."""

    def __init__(self, office: Office, people: Accounts, sessions: Sessions) -> None:
        self._office = office
        self._people = people
        self._sessions = sessions

    def by_password(self, email: str, password: str, address: str) -> Signed:
        """Sign in by name and password; `Session.incomplete` says whether a code is still needed.

        Raises:
            SignInFailed: the name or the password is wrong.
            TooMany: too many failures of this name or from this address; also the right password has to wait.

        """
        account = self.check(email, password, address)
        with self._office.write() as connection:
            now = self._office.now()
            signed = self._sessions.open(connection, account, second_factor=False)
            self._office.audit.add(
                connection, now, signed.session.actor, "sign-in", account.email, by="password"
            )
            return signed

    def by_provider(
        self, email: str, provider: str, name: str = "", roles: frozenset[Role] | None = None
    ) -> Signed:
        """Sign in whom the school's own provider vouches for; its second factor is the provider's business.

        `roles` are those of the provider's groups: where there are any an account is made on the first sign-in, and
        each sign-in sets them anew, deputies with their dates aside. None: roles are given in the portal.

        Raises:
            SignInFailed: there is no open account of this address.

        """
        with self._office.write() as connection:
            account = self._find(connection, email)
            if roles is not None:
                account = self._people.follow_groups(connection, email, name, roles)
            if account is None:
                raise SignInFailed(f"there is no account for {email}; ask the e-safety officer for one")
            signed = self._sessions.open(connection, account, second_factor=True)
            now = self._office.now()
            self._office.audit.add(
                connection, now, signed.session.actor, "sign-in", account.email, by=provider
            )
            return signed

    def check(self, email: str, password: str, address: str) -> Account:
        """Check a password without opening a session; counts as a sign-in.

        Raises:
            SignInFailed: the name or the password is wrong.
            TooMany: too many failures.

        """
        name_key = self._office.keys.pseudonym("sign-in name", email.strip().casefold())
        address_key = self._office.keys.pseudonym("sign-in address", address)
        with self._office.write() as connection:  # counted first, so that many at once are counted too
            self._slow_down(connection, name_key, address_key)
            number = self._count(connection, name_key, address_key)
            account = self._find(connection, email)
            kept = self._kept(connection, account)
        right = passwords.is_right(kept, password)
        with self._office.write() as connection:
            if account is None or not right:
                self._office.audit.add(
                    connection,
                    self._office.now(),
                    ANYBODY,
                    "sign-in.failed",
                    account.email if account else "",
                )
            else:
                connection.execute(sign_ins.update().where(sign_ins.c.number == number).values(worked=True))
                self._renew(connection, account, kept, password)
        if account is None or not right:
            raise SignInFailed(_WRONG)
        return account

    def code_failed(self, account: Account, address: str) -> None:
        """Count a wrong code like a wrong password.

        Raises:
            TooMany: too many failures.

        """
        name_key = self._office.keys.pseudonym("sign-in name", account.email)
        address_key = self._office.keys.pseudonym("sign-in address", address)
        with self._office.write() as connection:
            self._slow_down(connection, name_key, address_key)
            self._count(connection, name_key, address_key)
            now = self._office.now()
            self._office.audit.add(connection, now, ANYBODY, "sign-in.wrong-code", account.email)

    def _slow_down(self, connection: Connection, name_key: str, address_key: str) -> None:
        limits = self._office.limits
        since = self._office.now() - limits.sign_in_window
        failed = sa.and_(sign_ins.c.at > since, sign_ins.c.worked.is_(False))
        for column, key, most in (
            (sign_ins.c.name_key, name_key, limits.sign_in_failures),
            (sign_ins.c.address_key, address_key, limits.address_failures),
        ):
            # A success forgives the name, never the address: one right guess must not buy thirty more.
            query = sa.select(sa.func.count()).where(failed, column == key)
            if column is sign_ins.c.name_key and (last := self._last_success(connection, key)):
                query = query.where(sign_ins.c.at > last)
            if connection.execute(query).scalar_one() >= most:
                seconds = int(limits.sign_in_window.total_seconds())
                raise TooMany(f"too many failed attempts; try again in {seconds // 60} minutes", seconds)

    def _last_success(self, connection: Connection, name_key: str) -> datetime | None:
        query = sa.select(sa.func.max(sign_ins.c.at)).where(
            sign_ins.c.name_key == name_key, sign_ins.c.worked.is_(True)
        )
        return connection.execute(query).scalar()

    def _count(self, connection: Connection, name_key: str, address_key: str) -> int:
        values = {"at": self._office.now(), "name_key": name_key, "address_key": address_key, "worked": False}
        result = connection.execute(sign_ins.insert().values(values).returning(sign_ins.c.number))
        return int(result.scalar_one())

    def _find(self, connection: Connection, email: str) -> Account | None:
        try:
            account = self._people.by_email(connection, email)
        except NotFound:
            return None
        return account if account.closed_at is None else None

    def _kept(self, connection: Connection, account: Account | None) -> str | None:
        if account is None:
            return None
        query = sa.select(accounts.c.password).where(accounts.c.number == account.number)
        return connection.execute(query).scalar()

    def _renew(self, connection: Connection, account: Account, kept: str | None, password: str) -> None:
        if kept is not None and passwords.is_outdated(kept):
            values = {"password": passwords.hash_password(password)}
            connection.execute(accounts.update().where(accounts.c.number == account.number).values(values))

    def actor(self, email: str, password: str, code: str, address: str) -> Actor:
        """Check everything at once, for the command line: a name, a password, and a code where one is needed.

        Raises:
            SignInFailed: something of it is wrong, or the account has no second factor and its role needs one.
            TooMany: too many failures.

        """
        account = self.check(email, password, address)
        if account.needs_second_factor:
            with self._office.write() as connection:
                right = self._people.use_code(connection, account.number, code)
            if not right:
                self.code_failed(account, address)
                raise SignInFailed(
                    "this role needs the code of an authenticator app, and this is not the one"
                )
        return account.actor(self._office.today())
