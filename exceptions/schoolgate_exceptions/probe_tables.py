"""The tables of probes: when somebody looked whether the filter does what was promised, and what was found."""

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table

from schoolgate_exceptions.tables import Instant, metadata, text_column

probe_runs = Table(
    "probe_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("started_at", Instant, nullable=False, index=True),
    Column("ended_at", Instant, nullable=False),
    text_column("who", 64),  # an account of the box, or the timer
    text_column("machine", 64),
    text_column("vantage", 10),  # from the box, or from a machine in a network
    text_column("policy", 12),  # the version that said what to expect
    text_column("outcome", 10),
)

probe_groups = Table(
    "probe_groups",
    metadata,
    Column("run", String(32), ForeignKey("probe_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    text_column("network", 64),
    text_column("kind", 20),
    text_column("point", 10),
    Column("kept", JSON, nullable=False),  # what was tried and found as promised
    Column("others", JSON, nullable=False),  # everything else, with what was expected and seen
)
