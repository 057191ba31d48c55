"""What the parts of the box told about themselves."""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "health_samples",
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("readings", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("at", name="pk_health_samples"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("health_samples")
