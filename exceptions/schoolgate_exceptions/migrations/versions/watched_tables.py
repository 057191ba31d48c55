"""What was watched: events, counts, alerts; sanctions that follow a device and are lifted for a lesson."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"

_TABLES = (
    "events",
    "event_devices",
    "event_holds",
    "visit_counts",
    "attempt_counts",
    "fault_counts",
    "bells",
    "alerts",
)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("last_at", sa.String(27), nullable=False),
        sa.Column("point", sa.String(10), server_default="", nullable=False),
        sa.Column("network", sa.String(64), server_default="", nullable=False),
        sa.Column("device", sa.String(32), server_default="", nullable=False),
        sa.Column("attribution", sa.String(10), server_default="", nullable=False),
        sa.Column("host", sa.String(255), server_default="", nullable=False),
        sa.Column("service", sa.String(64), server_default="", nullable=False),
        sa.Column("category", sa.String(64), server_default="", nullable=False),
        sa.Column("verdict", sa.String(10), server_default="", nullable=False),
        sa.Column("reason", sa.String(20), server_default="", nullable=False),
        sa.Column("source", sa.String(100), server_default="", nullable=False),
        sa.Column("technique", sa.String(40), server_default="", nullable=False),
        sa.Column("points", sa.Integer(), server_default="0", nullable=False),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_device", "events", ["device", "at"])
    op.create_index("ix_events_technique", "events", ["technique", "at"])
    op.create_table(
        "event_devices",
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("network", sa.String(64), server_default="", nullable=False),
        sa.Column("first_at", sa.String(27), nullable=False),
        sa.Column("last_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("device", name="pk_event_devices"),
    )
    op.create_index("ix_event_devices_last_at", "event_devices", ["last_at"])
    op.create_table(
        "event_holds",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.Column("released_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["made_by"], ["accounts.number"], name="fk_event_holds_made_by", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_event_holds"),
    )
    op.create_index("ix_event_holds_device", "event_holds", ["device"])
    op.create_table(
        "visit_counts",
        sa.Column("hour", sa.String(27), nullable=False),
        sa.Column("point", sa.String(10), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("category", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour", "point", "network", "service", "category", "verdict", "reason", name="pk_visit_counts"
        ),
    )
    op.create_table(
        "attempt_counts",
        sa.Column("hour", sa.String(27), nullable=False),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("technique", sa.String(40), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("sightings", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "network", "technique", name="pk_attempt_counts"),
    )
    op.create_table(
        "fault_counts",
        sa.Column("hour", sa.String(27), nullable=False),
        sa.Column("point", sa.String(10), nullable=False),
        sa.Column("area", sa.String(20), nullable=False),
        sa.Column("error", sa.String(60), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "point", "area", "error", name="pk_fault_counts"),
    )
    op.create_table(
        "bells",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("point", sa.String(10), server_default="", nullable=False),
        sa.Column("what", sa.String(20), server_default="", nullable=False),
        sa.Column("name", sa.String(64), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_bells"),
    )
    op.create_index("ix_bells_at", "bells", ["at"])
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("network", sa.String(64), server_default="", nullable=False),
        sa.Column("people", sa.String(10), server_default="", nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("techniques", sa.JSON(), nullable=False),
        sa.Column("supervised", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("ended_at", sa.String(27), nullable=True),
        sa.Column("acknowledged_at", sa.String(27), nullable=True),
        sa.Column("acknowledged_by", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(500), server_default="", nullable=False),
        sa.Column("escalated_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["accounts.number"], name="fk_alerts_acknowledged_by", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_alerts"),
    )
    op.create_index("ix_alerts_at", "alerts", ["at"])
    op.create_index("ix_alerts_device", "alerts", ["device"])
    with op.batch_alter_table("sanctions") as table:
        table.add_column(sa.Column("mac", sa.String(17), server_default="", nullable=False))
        table.add_column(sa.Column("paused_until", sa.String(27), nullable=True))
        table.add_column(sa.Column("paused_by", sa.Integer(), nullable=True))
        table.create_foreign_key(
            "fk_sanctions_paused_by", "accounts", ["paused_by"], ["number"], ondelete="SET NULL"
        )


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("sanctions") as table:
        table.drop_constraint("fk_sanctions_paused_by", type_="foreignkey")
        for name in ("paused_by", "paused_until", "mac"):
            table.drop_column(name)
    for name in reversed(_TABLES):
        op.drop_table(name)
