"""Alerts that are no attempts: visits that the safeguarding lead is told of."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add what an alert is about."""
    op.add_column("alerts", sa.Column("kind", sa.String(10), server_default="", nullable=False))


def downgrade() -> None:
    """Drop it; what is no attempt has no place then."""
    op.execute("DELETE FROM alerts WHERE kind <> ''")
    with op.batch_alter_table("alerts") as table:
        table.drop_column("kind")
