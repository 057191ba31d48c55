"""Tokens for programs that use the interface of the queue."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "api_tokens",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("ends", sa.String(27), nullable=False),
        sa.Column("used_at", sa.String(27), nullable=True),
        sa.Column("revoked_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_api_tokens_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_api_tokens"),
    )
    op.create_index("ix_api_tokens_account", "api_tokens", ["account"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("api_tokens")
