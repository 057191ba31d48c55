"""Probes: whether the filter did what was promised, when somebody looked."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "probe_runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("started_at", sa.String(27), nullable=False),
        sa.Column("ended_at", sa.String(27), nullable=False),
        sa.Column("who", sa.String(64), server_default="", nullable=False),
        sa.Column("machine", sa.String(64), server_default="", nullable=False),
        sa.Column("vantage", sa.String(10), server_default="", nullable=False),
        sa.Column("policy", sa.String(12), server_default="", nullable=False),
        sa.Column("outcome", sa.String(10), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_probe_runs"),
    )
    op.create_index("ix_probe_runs_started_at", "probe_runs", ["started_at"])
    op.create_table(
        "probe_groups",
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(64), server_default="", nullable=False),
        sa.Column("kind", sa.String(20), server_default="", nullable=False),
        sa.Column("point", sa.String(10), server_default="", nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("others", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["probe_runs.id"], name="fk_probe_groups_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "number", name="pk_probe_groups"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("probe_groups")
    op.drop_table("probe_runs")
