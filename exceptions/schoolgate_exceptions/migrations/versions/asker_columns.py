"""Who asks for the same as somebody else, and how often they said something; how many codes a link was sent; lost letters.

Where a column is added to a table that others hang on it is added in place: to copy such a table, as SQLite does for
other changes, would take what hangs on it along.
"""

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
    op.add_column("requests", sa.Column("unsent", sa.String(500), server_default="", nullable=False))
    op.add_column("tokens", sa.Column("codes", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("tokens", "codes")
    op.drop_column("requests", "unsent")
    with op.batch_alter_table("askers") as table:
        table.drop_constraint("fk_askers_account", type_="foreignkey")
        table.drop_column("times")
        table.drop_column("account")
