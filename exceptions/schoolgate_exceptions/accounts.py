"""The accounts of those who decide: who they are, which roles they have, and on which days."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy import Connection

from schoolgate_exceptions import passwords, totp
from schoolgate_exceptions.errors import InvalidInput, InvalidToken, NotAllowed, NotFound, SignInFailed
from schoolgate_exceptions.keys import digest
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.roles import NEEDS_SECOND_FACTOR, SYSTEM, Actor, Role
from schoolgate_exceptions.tables import accounts, invitations, roles, sessions

_EMAIL = re.compile(r"[^@\s\x00-\x1f,;:<>()\[\]\"\\]{1,64}@[a-z0-9.-]{1,180}\.[a-z]{2,}")
LANGUAGES = ("en", "cy")


@dataclass(frozen=True, slots=True)
class Holding:
    """A role that an account has, on which days (both included; None: without an end)."""

    role: Role
    first: date | None = None
    last: date | None = None

    def is_in_force(self, day: date) -> bool:
        """Whether the role counts on a day."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in."""

    number: int
    email: str
    name: str
    language: str
    holdings: tuple[Holding, ...]
    made_at: datetime
    closed_at: datetime | None = None
    has_password: bool = False
    has_second_factor: bool = False

    def roles(self, day: date) -> frozenset[Role]:
        """Return the roles in force on a day; none once the account is closed."""
        if self.closed_at is not None:
            return frozenset()
        return frozenset(holding.role for holding in self.holdings if holding.is_in_force(day))

    def actor(self, day: date) -> Actor:
        """Return the person as one who acts on a day; anybody who is signed in may ask as well."""
        return Actor(self.roles(day) | {Role.REQUESTER}, self.number, self.name, self.email)

    @property
    def needs_second_factor(self) -> bool:
        """Whether one of the roles, in force now or later, asks for a second factor."""
        return any(holding.role in NEEDS_SECOND_FACTOR for holding in self.holdings)


class Accounts:
    """Makes, changes and closes accounts."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._cipher = Fernet(office.keys.fernet("second factor"))

    def first_invitation(self) -> str | None:
        """Return a token that makes the first account, whole; None once there is an account. Older ones end."""
        with self._office.write() as connection:
            if connection.execute(sa.select(accounts.c.number).limit(1)).one_or_none() is not None:
                return None
            connection.execute(invitations.delete().where(invitations.c.account.is_(None)))
            return self._invite(connection, None)

    def set_up(self, token: str, email: str, name: str, password: str) -> Account:
        """Make the first account by the token of `first_invitation`; it is the officer's and the technician's.

        Raises:
            InvalidToken: the token is not the one, or there is an account already.
            InvalidInput: a field cannot be taken.

        """
        with self._office.write() as connection:
            if connection.execute(sa.select(accounts.c.number).limit(1)).one_or_none() is not None:
                raise InvalidToken("there is an account already; sign in with it")
            self._use(connection, token, None)
            wanted = (Holding(Role.OFFICER), Holding(Role.TECHNICIAN))
            made = self._add(connection, email, name, wanted, password=password)
            self._note(connection, SYSTEM, "account.set-up", made)
            return made

    def add(
        self,
        actor: Actor,
        email: str,
        name: str,
        holdings: Iterable[Holding],
        *,
        password: str | None = None,
        language: str = "en",
    ) -> Account:
        """Make an account; without a password it can sign in by an invitation, or by the school's own provider.

        Raises:
            NotAllowed: only officer, head and technician make accounts.
            InvalidInput: a field cannot be taken, or the name is taken.

        """
        self.require(actor)
        with self._office.write() as connection:
            made = self._add(connection, email, name, holdings, password=password, language=language)
            self._note(connection, actor, "account.made", made)
            return made

    def invite(self, actor: Actor, email: str) -> str:
        """Return a token with which the owner of an account sets a password; earlier ones end."""
        self.require(actor)
        with self._office.write() as connection:
            account = self.by_email(connection, email)
            connection.execute(invitations.delete().where(invitations.c.account == account.number))
            self._note(connection, actor, "account.invited", account)
            return self._invite(connection, account.number)

    def accept(self, token: str, password: str) -> Account:
        """Set a password by an invitation.

        Raises:
            InvalidToken: the token is forged, used or too old.
            InvalidInput: the password cannot be taken.

        """
        with self._office.write() as connection:
            query = sa.select(invitations.c.account).where(invitations.c.key == digest(token))
            number = connection.execute(query).scalar()
            if number is None:
                raise InvalidToken("this invitation is not valid; ask for a new one")
            self._use(connection, token, number)
            account = self.get(connection, number)
            self._set_password(connection, account, password)
            self._note(connection, account.actor(self._office.today()), "account.password-set", account)
            return self.get(connection, number)

    def change_password(self, actor: Actor, old: str, new: str) -> None:
        """Change one's own password; every session of the account ends.

        Raises:
            SignInFailed: the old one is wrong.
            InvalidInput: the new one cannot be taken.

        """
        with self._office.write() as connection:
            account = self.get(connection, actor.account)
            if not passwords.is_right(self._password(connection, account.number), old):
                raise SignInFailed("the present password is wrong")
            self._set_password(connection, account, new)
            self._note(connection, actor, "account.password-set", account)

    def set_language(self, actor: Actor, email: str, language: str) -> Account:
        """Write letters to an account in another language: its owner's choice, or of those who look after accounts.

        Raises:
            InvalidInput: there are no letters in this language.

        """
        _check_language(language)
        with self._office.write() as connection:
            account = self.by_email(connection, email)
            if account.number != actor.account:
                self.require(actor)
            connection.execute(
                accounts.update().where(accounts.c.number == account.number).values(language=language)
            )
            self._office.audit.add(
                connection, self._office.now(), actor, "account.language", account.email, language=language
            )
            return self.get(connection, account.number)

    def set_roles(self, actor: Actor, email: str, holdings: Iterable[Holding]) -> Account:
        """Give an account these roles and no others; nobody changes their own."""
        self.require(actor)
        wanted = tuple(holdings)
        with self._office.write() as connection:
            account = self.by_email(connection, email)
            if account.number == actor.account:
                raise NotAllowed("nobody changes their own roles; ask a colleague")
            self._set_roles(connection, account.number, wanted)
            changed = self.get(connection, account.number)
            self._note(connection, actor, "account.roles", changed)
            return changed

    def follow_groups(
        self, connection: Connection, email: str, name: str, wanted: frozenset[Role]
    ) -> Account | None:
        """Give an account the roles of its groups, and make it where there is none; None for nobody's, and closed ones.

        `requester` alone makes an account without roles: staff who are known when they ask.
        """
        try:
            account: Account | None = self.by_email(connection, email)
        except NotFound:
            account = None
        holdings = tuple(
            Holding(role) for role in sorted(wanted) if role.is_assignable and role is not Role.DEPUTY
        )
        if account is None:
            if not holdings and Role.REQUESTER not in wanted:
                return None
            account = self._add(connection, email, name or email, holdings)
            self._note(connection, SYSTEM, "account.made", account)
            return account
        if account.closed_at is not None:
            return None
        kept = tuple(holding for holding in account.holdings if holding.role is Role.DEPUTY)
        if set(account.holdings) != {*holdings, *kept}:
            self._set_roles(connection, account.number, (*holdings, *kept))
            account = self.get(connection, account.number)
            self._note(connection, SYSTEM, "account.roles", account)
        return account

    def close(self, actor: Actor, email: str) -> None:
        """Close an account: its sessions end, what it did stays."""
        self.require(actor)
        with self._office.write() as connection:
            account = self.by_email(connection, email)
            now = self._office.now()
            gone = {"closed_at": now, "password": None, "second_factor": None}
            connection.execute(accounts.update().where(accounts.c.number == account.number).values(gone))
            self._end_sessions(connection, account.number)
            self._note(connection, actor, "account.closed", account)

    def begin_second_factor(self, actor: Actor) -> tuple[bytes, str]:
        """Return a new key and the address for an authenticator app; it counts once `Sessions.enrol` saw a code."""
        key = self._office.random.bytes(totp.KEY_BYTES)
        return key, totp.uri(key, actor.email, self._office.policy.school.name)

    def keep_second_factor(self, connection: Connection, account: Account, key: bytes, code: str) -> None:
        """Keep the key of an authenticator app after it has shown that it works; see `Sessions.enrol`.

        Raises:
            SignInFailed: the code is not the key's.

        """
        step = totp.matching_step(key, code, self._office.now(), 0)
        if step is None:
            raise SignInFailed("this code is not right; check the clock of the telephone")
        kept = {"second_factor": self._cipher.encrypt(key).decode(), "second_factor_step": step}
        connection.execute(accounts.update().where(accounts.c.number == account.number).values(kept))
        self._note(connection, account.actor(self._office.today()), "account.second-factor", account)

    def remove_second_factor(self, actor: Actor, email: str) -> None:
        """Let somebody whose telephone is lost set up a new one; done by somebody else who looks after accounts."""
        self.require(actor)
        with self._office.write() as connection:
            account = self.by_email(connection, email)
            values = {"second_factor": None, "second_factor_step": 0}
            connection.execute(accounts.update().where(accounts.c.number == account.number).values(values))
            self._end_sessions(connection, account.number)
            self._note(connection, actor, "account.second-factor-removed", account)

    def use_code(self, connection: Connection, number: int, code: str) -> bool:
        """Whether a code of an authenticator app is right; it is used up by that."""
        row = connection.execute(
            sa.select(accounts.c.second_factor, accounts.c.second_factor_step).where(
                accounts.c.number == number
            )
        ).one()
        if row.second_factor is None:
            return False
        key = self._cipher.decrypt(row.second_factor.encode())
        step = totp.matching_step(key, code, self._office.now(), row.second_factor_step)
        if step is None:
            return False
        connection.execute(
            accounts.update().where(accounts.c.number == number).values(second_factor_step=step)
        )
        return True

    def listed(self) -> list[Account]:
        """Return every account, closed ones last."""
        with self._office.read() as connection:
            rows = connection.execute(
                sa.select(accounts).order_by(accounts.c.closed_at.is_not(None), accounts.c.email)
            )
            return [self._account(connection, row) for row in rows.all()]

    def get(self, connection: Connection, number: int | None) -> Account:
        """Return the account of a number.

        Raises:
            NotFound: there is none.

        """
        row = connection.execute(sa.select(accounts).where(accounts.c.number == number)).one_or_none()
        if row is None:
            raise NotFound("there is no such account")
        return self._account(connection, row)

    def by_email(self, connection: Connection, email: str) -> Account:
        """Return the account of an address, in any case.

        Raises:
            NotFound: there is none.

        """
        row = connection.execute(
            sa.select(accounts).where(accounts.c.email == email.strip().casefold())
        ).one_or_none()
        if row is None:
            raise NotFound(f"there is no account `{email}`")
        return self._account(connection, row)

    def holders(self, connection: Connection, *wanted: Role) -> list[Account]:
        """Return the accounts with one of some roles in force today."""
        rows = connection.execute(sa.select(accounts).where(accounts.c.closed_at.is_(None)))
        found = [self._account(connection, row) for row in rows.all()]
        return [account for account in found if account.roles(self._office.today()) & set(wanted)]

    def _add(
        self,
        connection: Connection,
        email: str,
        name: str,
        holdings: Iterable[Holding],
        *,
        password: str | None = None,
        language: str = "en",
    ) -> Account:
        address = check_email(email)
        if connection.execute(sa.select(accounts.c.number).where(accounts.c.email == address)).one_or_none():
            raise InvalidInput(email="there is an account of this name already")
        _check_language(language)
        if password is not None:
            passwords.check_new(password, address)
        made = accounts.insert().values(
            email=address,
            name=words("name", name, 100, least=1),
            password=passwords.hash_password(password) if password is not None else None,
            language=language,
            made_at=self._office.now(),
        )
        number = connection.execute(made.returning(accounts.c.number)).scalar_one()
        self._set_roles(connection, number, tuple(holdings))
        return self.get(connection, number)

    def _set_roles(self, connection: Connection, number: int, wanted: tuple[Holding, ...]) -> None:
        for holding in wanted:
            if not holding.role.is_assignable:
                raise InvalidInput(roles=f"`{holding.role}` is nobody's role")
            if holding.role is Role.DEPUTY and holding.last is None:
                raise InvalidInput(roles="a deputy needs a last day")
            if holding.first and holding.last and holding.last < holding.first:
                raise InvalidInput(roles=f"`{holding.role}` ends before it begins")
        connection.execute(roles.delete().where(roles.c.account == number))
        for holding in {one.role: one for one in wanted}.values():
            connection.execute(
                roles.insert().values(
                    account=number, role=holding.role, first=holding.first, last=holding.last
                )
            )

    def _set_password(self, connection: Connection, account: Account, password: str) -> None:
        passwords.check_new(password, account.email)
        kept = passwords.hash_password(password)
        connection.execute(accounts.update().where(accounts.c.number == account.number).values(password=kept))
        self._end_sessions(connection, account.number)

    def _end_sessions(self, connection: Connection, number: int) -> None:
        live = sa.and_(sessions.c.account == number, sessions.c.revoked_at.is_(None))
        connection.execute(sessions.update().where(live).values(revoked_at=self._office.now()))

    def _password(self, connection: Connection, number: int) -> str | None:
        query = sa.select(accounts.c.password).where(accounts.c.number == number)
        return connection.execute(query).scalar()

    def _invite(self, connection: Connection, number: int | None) -> str:
        token = self._office.token()
        ends = self._office.now() + self._office.limits.invitation
        connection.execute(invitations.insert().values(key=digest(token), account=number, ends=ends))
        return token

    def _use(self, connection: Connection, token: str, number: int | None) -> None:
        now = self._office.now()
        whose = invitations.c.account.is_(None) if number is None else invitations.c.account == number
        used = connection.execute(
            invitations.update()
            .where(invitations.c.key == digest(token), whose, invitations.c.used_at.is_(None))
            .where(invitations.c.ends > now)
            .values(used_at=now)
        )
        if used.rowcount != 1:
            raise InvalidToken("this invitation is not valid; ask for a new one")

    def _account(self, connection: Connection, row: sa.Row[tuple[object, ...]]) -> Account:
        held = connection.execute(
            sa.select(roles).where(roles.c.account == row.number).order_by(roles.c.number)
        )
        return Account(
            row.number,
            row.email,
            row.name,
            row.language,
            tuple(Holding(Role(one.role), one.first, one.last) for one in held),
            row.made_at,
            row.closed_at,
            row.password is not None,
            row.second_factor is not None,
        )

    def _note(self, connection: Connection, actor: Actor, action: str, account: Account) -> None:
        held = [{"role": held.role, "first": held.first, "last": held.last} for held in account.holdings]
        self._office.audit.add(connection, self._office.now(), actor, action, account.email, roles=held)

    def require(self, actor: Actor) -> None:
        """See that somebody may look after accounts.

        Raises:
            NotAllowed: the role is missing.

        """
        actor.require(Role.OFFICER, Role.HEAD, Role.TECHNICIAN, Role.SYSTEM)


def _check_language(language: str) -> None:
    if language not in LANGUAGES:
        raise InvalidInput(language=f"use one of {', '.join(LANGUAGES)}")


def check_email(text: str) -> str:
    """Bring an address into its one spelling.

    Raises:
        InvalidInput: it is none.

    """
    address = text.strip().casefold()
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise InvalidInput(email="write an address such as name@school.example")
    return address
