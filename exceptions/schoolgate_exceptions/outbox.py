"""Mail goes through a table: what is to be sent is written with the change that causes it, and sent afterwards.

So nothing is lost while the mail host is down, and nothing is sent about what did not happen. A link to approve by
is made when the letter is sent, so the database never holds one that could be used. A letter may arrive twice after
a power cut, with the same Message-ID.
"""

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from schoolgate_exceptions.errors import MailFailed
from schoolgate_exceptions.mails import Letter, Mail
from schoolgate_exceptions.office import Office
from schoolgate_exceptions.roles import SYSTEM
from schoolgate_exceptions.tables import outbox, requests

_FIRST_WAIT = timedelta(minutes=1)
_LONGEST_WAIT = timedelta(hours=4)
_GIVE_UP = timedelta(days=30)  # longer than any holiday in which nobody looks after the mail host
_LEASE = timedelta(minutes=5)  # how long one letter may take; after that another process may try
_AT_ONCE = 50
_NOTHING = "there was nothing left to say"


@dataclass(frozen=True, slots=True)
class MailHost:
    """Where mail is handed over. `tls`: `starttls`, `tls` (from the first byte) or `none`."""

    host: str
    port: int = 587
    sender: str = ""
    user: str = ""
    password: str = ""
    tls: str = "starttls"
    seconds: float = 20.0
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a letter, in which language."""

    email: str
    language: str = "en"
    account: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A letter that is due, as `Render` is handed it."""

    number: int
    letter: Letter
    recipient: Recipient
    request: int | None
    values: dict[str, Any]


type Render = Callable[[Connection, Due], Mail | None]
"""Make a letter, in the transaction that may add a link's token; None: there is nothing left to say."""


class Outbox:
    """Takes letters in and sends those that are due."""

    def __init__(self, office: Office, host: MailHost | None) -> None:
        self._office = office
        self._host = host

    @property
    def sends(self) -> bool:
        """Whether there is a mail host; without one letters wait until there is."""
        return self._host is not None

    def post(
        self,
        connection: Connection,
        letter: Letter,
        recipient: Recipient,
        request: int | None = None,
        **values: Any,
    ) -> None:
        """Put a letter in, in the transaction of what it tells of."""
        now = self._office.now()
        connection.execute(
            outbox.insert().values(
                recipient=recipient.email,
                account=recipient.account,
                language=recipient.language,
                letter=letter,
                request=request,
                values=values,
                made_at=now,
                next_at=now,
            )
        )

    def deliver(self, render: Render) -> int:
        """Send what is due; return how many letters went out. A failure is noted, and tried again later.

        Raises:
            MailFailed: some could not be handed over; says why of the last, once all were tried.

        """
        if self._host is None:
            return 0
        sent, failure = 0, ""
        for number in self._due():
            leased = self._lease(number, render)
            if leased is None:
                continue
            due, mail = leased
            error = self._send(due, mail, self._host)
            self._settle(number, f"{type(error).__name__}: {error}" if error else "")
            failure = _without_names(error) if error else failure
            sent += error is None
        if failure:
            raise MailFailed(f"letters wait, {self._host.host}:{self._host.port} did not take one: {failure}")
        return sent

    def waiting(self) -> int:
        """Return how many letters have still to go out."""
        with self._office.read() as connection:
            query = sa.select(sa.func.count()).where(_PENDING)
            return connection.execute(query).scalar_one()

    def given_up(self) -> int:
        """Return how many letters could not be handed over in time; each counts until it is purged."""
        with self._office.read() as connection:
            lost = sa.and_(outbox.c.given_up_at.is_not(None), outbox.c.problem != _NOTHING)
            return connection.execute(sa.select(sa.func.count()).where(lost)).scalar_one()

    def _note_lost(self, connection: Connection, row: Row[Any], problem: str) -> None:
        """Say in the audit, and on the request it was about, that a letter never went out."""
        now = self._office.now()
        name = f"letter {row.number}"
        if row.request is not None:
            lost = f"the letter `{row.letter}` to {row.recipient} could not be sent"
            here = requests.c.number == row.request
            query = requests.update().where(here).values(unsent=lost[:500]).returning(requests.c.id)
            name = connection.execute(query).scalar() or name
        self._office.audit.add(
            connection,
            now,
            SYSTEM,
            "letter.given-up",
            name,
            letter=row.letter,
            recipient=row.recipient,
            tries=row.tries + 1,
            why=problem[:200],
        )

    def waits(self, connection: Connection, letter: Letter, **values: Any) -> bool:
        """Whether a letter with some values has not gone out yet."""
        query = sa.select(outbox.c["values"]).where(_PENDING, outbox.c.letter == letter)
        return any(values.items() <= (known or {}).items() for known in connection.execute(query).scalars())

    def purge(self, connection: Connection, keep: timedelta) -> int:
        """Remove letters that are dealt with and older than `keep`; return how many."""
        before = self._office.now() - keep
        done = sa.and_(settled_at < before, sa.not_(_PENDING))
        return connection.execute(outbox.delete().where(done)).rowcount

    def _due(self) -> list[int]:
        with self._office.read() as connection:
            query = (
                sa.select(outbox.c.number)
                .where(_PENDING, outbox.c.next_at <= self._office.now())
                .order_by(outbox.c.next_at, outbox.c.number)
                .limit(_AT_ONCE)
            )
            return list(connection.execute(query).scalars())

    def _lease(self, number: int, render: Render) -> tuple[Due, Mail] | None:
        """Take a letter for a while, so that no other process sends it too, and write it."""
        with self._office.write() as connection:
            now = self._office.now()
            row = connection.execute(
                sa.select(outbox).where(outbox.c.number == number, _PENDING, outbox.c.next_at <= now)
            ).one_or_none()
            if row is None:
                return None
            due = _due(row)
            mail = render(connection, due)
            here = outbox.update().where(outbox.c.number == number)
            if mail is None:
                connection.execute(here.values(given_up_at=now, problem=_NOTHING))
                return None
            connection.execute(here.values(next_at=now + _LEASE))
            return due, mail

    def _send(self, due: Due, mail: Mail, host: MailHost) -> Exception | None:
        """Hand a letter over; return what went wrong, or None."""
        message = EmailMessage()
        message["From"] = host.sender
        message["To"] = due.recipient.email
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._office.now())
        key = self._office.keys.pseudonym("letter", str(due.number))
        message["Message-ID"] = f"<{key}@{host.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        try:
            with _connect(host) as smtp:
                smtp.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            return error
        return None

    def _settle(self, number: int, problem: str) -> None:
        with self._office.write() as connection:
            now = self._office.now()
            row = connection.execute(sa.select(outbox).where(outbox.c.number == number)).one_or_none()
            if row is None:
                return  # its request was purged meanwhile
            here = outbox.update().where(outbox.c.number == number)
            if not problem:
                connection.execute(here.values(sent_at=now, problem="", values={}))
                return
            wait = min(_FIRST_WAIT * 2 ** min(row.tries, 10), _LONGEST_WAIT)
            given_up = now if now - row.made_at > _GIVE_UP else None
            if given_up:
                self._note_lost(connection, row, problem)
            connection.execute(
                here.values(
                    tries=row.tries + 1, next_at=now + wait, problem=problem[:500], given_up_at=given_up
                )
            )


settled_at = sa.func.coalesce(outbox.c.sent_at, outbox.c.given_up_at)
_PENDING = sa.and_(outbox.c.sent_at.is_(None), outbox.c.given_up_at.is_(None))


def _due(row: Row[Any]) -> Due:
    recipient = Recipient(row.recipient, row.language, row.account)
    # Not `row.values`: that is a method of rows.
    return Due(row.number, Letter(row.letter), recipient, row.request, dict(row._mapping["values"] or {}))  # noqa: SLF001


def _without_names(error: Exception) -> str:
    """Say what went wrong without what a mail host says of addresses, for logs."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {error.smtp_code}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__


def _connect(host: MailHost) -> smtplib.SMTP:
    context = host.context or ssl.create_default_context()
    if host.tls == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(host.host, host.port, timeout=host.seconds, context=context)
    else:
        smtp = smtplib.SMTP(host.host, host.port, timeout=host.seconds)
    try:
        if host.tls == "starttls":
            smtp.starttls(context=context)
        if host.user:
            smtp.login(host.user, host.password)
    except BaseException:
        smtp.close()
        raise
    return smtp
