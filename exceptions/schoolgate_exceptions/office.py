"""What every use case shares: the database, the policy in force, the clock, randomness, the audit and the settings."""

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from schoolgate_exceptions.audit import Audit
from schoolgate_exceptions.database import Database
from schoolgate_exceptions.keys import Keys
from schoolgate_exceptions.roles import Actor
from schoolgate_policy.engine import Engine
from schoolgate_policy.model import Policy
from schoolgate_policy.ports import Clock, PolicySource


class Randomness(Protocol):
    """Where ids and secrets come from."""

    def below(self, end: int) -> int:
        """Return a number in `[0, end)`."""
        ...

    def bytes(self, count: int) -> bytes:
        """Return some random bytes."""
        ...


class SystemRandomness:
    """The operating system's randomness."""

    def below(self, end: int) -> int:
        """Return a number in `[0, end)`."""
        return secrets.randbelow(end)

    def bytes(self, count: int) -> bytes:
        """Return some random bytes."""
        return secrets.token_bytes(count)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often something may be done before somebody has to wait; generous to people, not to scripts."""

    device_open: int = 5  # undecided requests of one device
    device_day: int = 20  # requests made or joined by one device in 24 hours
    device_words: int = 10  # things one device says about one request
    device_urgent: int = (
        20  # reports, and words that worry, of one device in 24 hours; no other limit holds for them
    )
    open_in_all: int = 2_000  # undecided requests of the whole school, and as many reports beside them
    undecided: timedelta = timedelta(days=30)  # after that a request nobody decided expires
    sign_in_failures: int = 5  # of one name within `sign_in_window`
    address_failures: int = 30  # of one address
    sign_in_window: timedelta = timedelta(minutes=15)
    idle: timedelta = timedelta(minutes=30)  # a session nobody uses
    token: timedelta = timedelta(hours=72)
    code: timedelta = timedelta(minutes=10)
    code_tries: int = 5
    codes: int = 5  # codes that are sent for one link
    invitation: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Office:
    """The surroundings of the use cases."""

    database: Database
    source: PolicySource
    clock: Clock
    keys: Keys
    policy_file: Path
    state: Path
    url: str  # how people reach the portal, without a slash at its end
    random: Randomness
    limits: Limits
    audit: Audit

    @property
    def engine(self) -> Engine:
        """The engine of the policy in force."""
        return self.source.engine

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.source.engine.policy

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the school's clocks."""
        return self.policy.calendar.zone

    def now(self) -> datetime:
        """Return the present instant."""
        return self.clock()

    def today(self) -> date:
        """Return the day it is at the school."""
        return self.clock().astimezone(self.zone).date()

    def token(self) -> str:
        """Return a new secret of 256 bits, safe in a link."""
        return base64.urlsafe_b64encode(self.random.bytes(32)).rstrip(b"=").decode()

    def note_once(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        subject: str,
        every: timedelta,
        *,
        per_person: bool = False,
        **details: Any,
    ) -> None:
        """Add an audit row unless the same was noted lately, so that a flood does not flood the audit."""
        now, by = self.now(), actor if per_person else None
        if not self.audit.was_noted(connection, action, subject, now - every, by):
            self.audit.add(connection, now, actor, action, subject, **details)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Change the database in one transaction."""
        with self.database.write() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Look at the database."""
        with self.database.read() as connection:
            yield connection
