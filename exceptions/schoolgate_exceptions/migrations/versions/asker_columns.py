"""Who asks for the same as somebody else: their account, and how often they said something."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("askers") as table:
        table.add_column(sa.Column("account", sa.Integer(), nullable=True))
        table.add_column(sa.Column("times", sa.Integer(), server_default="1", nullable=False))
        table.create_foreign_key(
            "fk_askers_account", "accounts", ["account"], ["number"], ondelete="SET NULL"
        )


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("askers") as table:
        table.drop_constraint("fk_askers_account", type_="foreignkey")
        table.drop_column("times")
        table.drop_column("account")
