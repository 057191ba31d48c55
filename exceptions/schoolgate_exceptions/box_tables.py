"""The table of boxes that one centre looks after."""

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table

from schoolgate_exceptions.tables import Instant, metadata, text_column

boxes = Table(
    "boxes",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("networks", JSON, nullable=False),  # those of the policy that lie behind it
    text_column("code", 64),  # SHA-256 of the one-time code; empty: used, or none
    Column("code_until", Instant),
    text_column("public_key", 64),  # Ed25519, hexadecimal; empty: not enrolled yet
    Column("enrolled_at", Instant),
    Column("revoked_at", Instant),
    Column("seen_at", Instant),
    Column("version", BigInteger, nullable=False, server_default="0"),  # of what is signed for it
    text_column("content", 64),  # SHA-256 of that
    Column("applied", BigInteger, nullable=False, server_default="0"),  # the version it says it has
    Column("health", JSON, nullable=False, server_default="{}"),
    Column("sequence", BigInteger, nullable=False, server_default="0"),  # of its last events that are written
)
