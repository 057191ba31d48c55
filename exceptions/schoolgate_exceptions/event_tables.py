"""The tables of what was watched: events, counts, alerts. They name a device by a pseudonym only."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from schoolgate_exceptions.tables import Instant, account_column, metadata, text_column

events = Table(
    "events",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False, index=True),  # when it was first seen
    Column("last_at", Instant, nullable=False),
    text_column("point", 10),
    text_column("network", 64),
    text_column("device", 32),  # keyed hash of the address
    text_column("attribution", 10),  # how sure it is whose device this is
    text_column("host", 255),
    text_column("service", 64),
    text_column("category", 64),
    text_column("verdict", 10),
    text_column("reason", 20),
    text_column("source", 100),
    text_column("technique", 40),  # empty: a visit
    Column("points", Integer, nullable=False, server_default="0"),
    Column("times", Integer, nullable=False, server_default="1"),
    Index("ix_events_device", "device", "at"),
    Index("ix_events_technique", "technique", "at"),
)

event_devices = Table(
    "event_devices",
    metadata,
    Column("device", String(32), primary_key=True),
    Column("sealed", Text, nullable=False),  # the address, encrypted
    text_column("network", 64),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False, index=True),
)

event_holds = Table(
    "event_holds",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("device", String(32), nullable=False, index=True),
    Column("reason", String(500), nullable=False),
    Column("made_at", Instant, nullable=False),
    account_column("made_by"),
    Column("released_at", Instant),
)

visit_counts = Table(
    "visit_counts",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("point", String(10), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("service", String(64), primary_key=True),  # of the catalogue; empty: any other site
    Column("category", String(64), primary_key=True),
    Column("verdict", String(10), primary_key=True),
    Column("reason", String(20), primary_key=True),
    Column("times", BigInteger, nullable=False),
)

attempt_counts = Table(
    "attempt_counts",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("technique", String(40), primary_key=True),
    Column("attempts", BigInteger, nullable=False),  # folded
    Column("sightings", BigInteger, nullable=False),  # as they came
)

fault_counts = Table(
    "fault_counts",
    metadata,
    Column("hour", Instant, primary_key=True),
    Column("point", String(10), primary_key=True),
    Column("area", String(20), primary_key=True),
    Column("error", String(60), primary_key=True),
    Column("times", BigInteger, nullable=False),
)

bells = Table(
    "bells",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    text_column("point", 10),
    text_column("what", 20),
    text_column("name", 64),
)

alerts = Table(
    "alerts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Instant, nullable=False, index=True),
    Column("device", String(32), nullable=False, index=True),
    text_column("network", 64),
    text_column("people", 10),
    Column("points", Integer, nullable=False),
    Column("techniques", JSON, nullable=False),
    Column("supervised", Boolean, nullable=False, server_default="0"),
    Column("ended_at", Instant),  # the burst is over
    Column("acknowledged_at", Instant),
    account_column("acknowledged_by"),
    text_column("note", 500),
    Column("escalated_at", Instant),
    text_column("kind", 10),  # empty: attempts; else what the safeguarding lead is told of
)
