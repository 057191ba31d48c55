"""The tables of the portal's database. A change here needs a new file in `migrations/versions`; a test compares them."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware instant as text in UTC, to the microsecond: the same in every database, and sorts as it reads."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write an instant."""
        return None if value is None else write_instant(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read an instant."""
        return None if value is None else datetime.fromisoformat(value)


class Day(TypeDecorator[date]):
    """A date as text."""

    impl = String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write a date."""
        return None if value is None else value.isoformat()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> date | None:  # noqa: ARG002
        """Read a date."""
        return None if value is None else date.fromisoformat(value)


def write_instant(value: datetime) -> str:
    """Return the text of an aware instant."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def text_column(name: str, length: int = 200, **more: Any) -> Column[str]:
    """Return a column of text that is empty by default."""
    return Column(name, String(length), nullable=False, **({"server_default": ""} | more))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="0")


def account_column(name: str = "account", *, on_delete: str = "SET NULL") -> Column[int]:
    """Return a column that names an account, and outlives it unless `on_delete` says otherwise."""
    return Column(name, Integer, ForeignKey("accounts.number", ondelete=on_delete))


accounts = Table(
    "accounts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    text_column("name"),
    Column("password", Text),  # Argon2id; none: signs in through the school's own provider only
    Column("second_factor", Text),  # the TOTP key, encrypted
    Column("second_factor_step", Integer, nullable=False, server_default="0"),  # the last step that was used
    text_column("language", 2, server_default="en"),
    Column("made_at", Instant, nullable=False),
    Column("closed_at", Instant),
)

roles = Table(
    "roles",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("account", Integer, ForeignKey("accounts.number", ondelete="CASCADE"), nullable=False),
    Column("role", String(20), nullable=False),
    Column("first", Day),  # a deputy's dates, both days included
    Column("last", Day),
    UniqueConstraint("account", "role"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("key", String(64), primary_key=True),  # SHA-256 of what the cookie holds
    Column("account", Integer, ForeignKey("accounts.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("form_key", String(64), nullable=False),
    _flag("second_factor"),
    Column("made_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False, index=True),
    Column("revoked_at", Instant),
)

invitations = Table(
    "invitations",
    metadata,
    Column("key", String(64), primary_key=True),  # SHA-256 of the token
    account_column(on_delete="CASCADE"),  # whose password it sets; none: the first account of all
    Column("ends", Instant, nullable=False),
    Column("used_at", Instant),
)

sign_ins = Table(
    "sign_ins",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    text_column("name_key", 64),  # keyed hash of the name that was typed
    text_column("address_key", 64),
    _flag("worked"),
)

requests = Table(
    "requests",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(20), nullable=False, unique=True),
    Column("reference", String(10), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("state", String(20), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("host", String(255), nullable=False, index=True),
    text_column("path", 500),
    text_column("service", 64),
    Column("purpose", String(20), nullable=False),
    text_column("reason", 1000),
    Column("wanted_until", Instant),
    Column("network", String(64), nullable=False),
    text_column("device", 64),
    Column("devices", JSON, nullable=False),
    account_column(),
    text_column("name"),
    text_column("language", 2, server_default="en"),
    text_column("rule_source", 100),
    text_column("rule_reason", 500),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    _flag("safeguarding"),
    _flag("with_dsl"),
    _flag("waiting_for_answer"),
    text_column("hold", 500),
    Column("official", JSON),
    Column("grant_given", JSON),
    Column("grant_until", Instant, index=True),
    account_column("reviewer"),
    account_column("approver"),
    text_column("waiver", 500),
    Column("written_at", Instant),
    Column("removed_at", Instant),
    text_column("problem", 500),
    Column("paste", Text, nullable=False, server_default=""),
    text_column("unsent", 500),  # a letter about it that could not be sent
    Column("reminded_at", Instant),
    Column("ending_told_at", Instant),
)
Index("ix_requests_same", requests.c.host, requests.c.network, requests.c.kind, requests.c.state)

askers = Table(
    "askers",
    metadata,
    Column("request", Integer, ForeignKey("requests.number", ondelete="CASCADE"), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("at", Instant, nullable=False),
    account_column(),
    Column("times", Integer, nullable=False, server_default="1"),  # how often it said something of its own
    Index("ix_askers_device", "device", "at"),
)

steps = Table(
    "steps",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("request", Integer, ForeignKey("requests.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("action", String(30)),
    Column("source", String(20)),
    Column("target", String(20), nullable=False),
    Column("role", String(20), nullable=False),
    account_column(),
    text_column("name"),
    text_column("note", 2000),
    text_column("answer", 1000),
)

tokens = Table(
    "tokens",
    metadata,
    Column("key", String(64), primary_key=True),  # SHA-256 of the token
    Column("request", Integer, ForeignKey("requests.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("account", Integer, ForeignKey("accounts.number", ondelete="CASCADE"), nullable=False),
    Column("role", String(20), nullable=False),
    Column("ends", Instant, nullable=False),
    Column("used_at", Instant),
    Column("code", String(64)),  # SHA-256 of token and one-time code
    Column("code_ends", Instant),
    Column("code_tries", Integer, nullable=False, server_default="0"),
    Column("codes", Integer, nullable=False, server_default="0"),  # how many were sent
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("key", String(64), primary_key=True),  # SHA-256 of the token
    Column("account", Integer, ForeignKey("accounts.number", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(40), nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("ends", Instant, nullable=False),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
)

outbox = Table(
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("recipient", String(254), nullable=False),
    account_column(on_delete="CASCADE"),
    text_column("language", 2, server_default="en"),
    Column("letter", String(30), nullable=False),
    Column("request", Integer, ForeignKey("requests.number", ondelete="CASCADE")),
    Column("values", JSON, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("next_at", Instant, nullable=False, index=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("sent_at", Instant),
    Column("given_up_at", Instant),
    text_column("problem", 500),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("body", Text),  # JSON: who, in which role, and the details; none once it was purged
    Column("digest", String(64), nullable=False),  # SHA-256 of the body
    Column("chain", String(64), nullable=False),  # SHA-256 of this row and the chain of the row before
    Index("ix_audit_subject", "subject", "action", "at"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("chain", String(64), nullable=False),
    Column("seal", String(64), nullable=False),  # keyed hash of both, so that the end cannot be cut off
)

settings = Table(
    "settings",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", JSON, nullable=False),
)

official_accounts = Table(
    "official_accounts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("platform", String(100), nullable=False),
    Column("account", String(200), nullable=False),
    text_column("administrator"),
    Column("posters", JSON, nullable=False),
    Column("opened", Day, nullable=False),
    Column("closed", Day),
    text_column("request", 20),  # REQ-2026-0012: text, since requests are purged earlier
)

sanctions = Table(
    "sanctions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("address", String(45), nullable=False),
    Column("until", Instant, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("allow", JSON, nullable=False),
    Column("made_at", Instant, nullable=False),
    account_column("made_by"),  # none: by the threshold in policy.yaml
    Column("lifted_at", Instant),
    text_column("mac", 17),  # where it is known: the sanction follows the device to another address
    Column("paused_until", Instant),  # lifted for a lesson
    account_column("paused_by"),
)

lapsed = Table(
    "lapsed",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(64), nullable=False, index=True),  # as it stood in policy.yaml
    Column("lines", Text, nullable=False),  # what stood there
    Column("ended_at", Instant, nullable=False),
    Column("removed_at", Instant, nullable=False, index=True),
    Column("why", String(20), nullable=False),  # expired, revoked
)
