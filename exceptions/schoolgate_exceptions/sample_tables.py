"""The table of what the parts of the box told about themselves, every few minutes."""

from sqlalchemy import JSON, Column, Table

from schoolgate_exceptions.tables import Instant, metadata

health_samples = Table(
    "health_samples",
    metadata,
    Column("at", Instant, primary_key=True),
    Column("readings", JSON, nullable=False),  # numbers by series, and by what each is of
)
