"""Boxes that one centre looks after."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "boxes",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("networks", sa.JSON(), nullable=False),
        sa.Column("code", sa.String(64), server_default="", nullable=False),
        sa.Column("code_until", sa.String(27), nullable=True),
        sa.Column("public_key", sa.String(64), server_default="", nullable=False),
        sa.Column("enrolled_at", sa.String(27), nullable=True),
        sa.Column("revoked_at", sa.String(27), nullable=True),
        sa.Column("seen_at", sa.String(27), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("content", sa.String(64), server_default="", nullable=False),
        sa.Column("applied", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("health", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_boxes"),
        sa.UniqueConstraint("name", name="uq_boxes_name"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("boxes")
