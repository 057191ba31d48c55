"""The first tables."""

import sqlalchemy as sa
from alembic import op

from schoolgate_exceptions.migrations.audit_triggers import audit_only_grows, drop_function

revision: str = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "accounts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(200), server_default="", nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("second_factor", sa.Text(), nullable=True),
        sa.Column("second_factor_step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("language", sa.String(2), server_default="en", nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("closed_at", sa.String(27), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_accounts"),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
    )
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "action", "at"])
    op.create_table(
        "audit_head",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("one", name="pk_audit_head"),
    )
    op.create_table(
        "lapsed",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.String(27), nullable=False),
        sa.Column("removed_at", sa.String(27), nullable=False),
        sa.Column("why", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_lapsed"),
    )
    op.create_index("ix_lapsed_id", "lapsed", ["id"])
    op.create_index("ix_lapsed_removed_at", "lapsed", ["removed_at"])
    op.create_table(
        "official_accounts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(100), nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("administrator", sa.String(200), server_default="", nullable=False),
        sa.Column("posters", sa.JSON(), nullable=False),
        sa.Column("opened", sa.String(10), nullable=False),
        sa.Column("closed", sa.String(10), nullable=True),
        sa.Column("request", sa.String(20), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_official_accounts"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_settings"),
    )
    op.create_table(
        "sign_ins",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("name_key", sa.String(64), server_default="", nullable=False),
        sa.Column("address_key", sa.String(64), server_default="", nullable=False),
        sa.Column("worked", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_sign_ins"),
    )
    op.create_index("ix_sign_ins_at", "sign_ins", ["at"])
    op.create_table(
        "invitations",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("account", sa.Integer(), nullable=True),
        sa.Column("ends", sa.String(27), nullable=False),
        sa.Column("used_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_invitations_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_invitations"),
    )
    op.create_table(
        "requests",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("reference", sa.String(10), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("path", sa.String(500), server_default="", nullable=False),
        sa.Column("service", sa.String(64), server_default="", nullable=False),
        sa.Column("purpose", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(1000), server_default="", nullable=False),
        sa.Column("wanted_until", sa.String(27), nullable=True),
        sa.Column("network", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), server_default="", nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(200), server_default="", nullable=False),
        sa.Column("language", sa.String(2), server_default="en", nullable=False),
        sa.Column("rule_source", sa.String(100), server_default="", nullable=False),
        sa.Column("rule_reason", sa.String(500), server_default="", nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("changed_at", sa.String(27), nullable=False),
        sa.Column("safeguarding", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("with_dsl", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("waiting_for_answer", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("hold", sa.String(500), server_default="", nullable=False),
        sa.Column("official", sa.JSON(), nullable=True),
        sa.Column("grant_given", sa.JSON(), nullable=True),
        sa.Column("grant_until", sa.String(27), nullable=True),
        sa.Column("reviewer", sa.Integer(), nullable=True),
        sa.Column("approver", sa.Integer(), nullable=True),
        sa.Column("waiver", sa.String(500), server_default="", nullable=False),
        sa.Column("written_at", sa.String(27), nullable=True),
        sa.Column("removed_at", sa.String(27), nullable=True),
        sa.Column("problem", sa.String(500), server_default="", nullable=False),
        sa.Column("paste", sa.Text(), server_default="", nullable=False),
        sa.Column("reminded_at", sa.String(27), nullable=True),
        sa.Column("ending_told_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_requests_account", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["approver"], ["accounts.number"], name="fk_requests_approver", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["reviewer"], ["accounts.number"], name="fk_requests_reviewer", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_requests"),
        sa.UniqueConstraint("id", name="uq_requests_id"),
        sa.UniqueConstraint("reference", name="uq_requests_reference"),
    )
    op.create_index("ix_requests_grant_until", "requests", ["grant_until"])
    op.create_index("ix_requests_host", "requests", ["host"])
    op.create_index("ix_requests_same", "requests", ["host", "network", "kind", "state"])
    op.create_index("ix_requests_state", "requests", ["state"])
    op.create_table(
        "roles",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("first", sa.String(10), nullable=True),
        sa.Column("last", sa.String(10), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_roles_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_roles"),
        sa.UniqueConstraint("account", "role", name="uq_roles_account"),
    )
    op.create_table(
        "sanctions",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("until", sa.String(27), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("allow", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("made_by", sa.Integer(), nullable=True),
        sa.Column("lifted_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["made_by"], ["accounts.number"], name="fk_sanctions_made_by", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_sanctions"),
    )
    op.create_table(
        "sessions",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("form_key", sa.String(64), nullable=False),
        sa.Column("second_factor", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("seen_at", sa.String(27), nullable=False),
        sa.Column("revoked_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_sessions_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_sessions"),
    )
    op.create_index("ix_sessions_account", "sessions", ["account"])
    op.create_index("ix_sessions_seen_at", "sessions", ["seen_at"])
    op.create_table(
        "askers",
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.ForeignKeyConstraint(
            ["request"], ["requests.number"], name="fk_askers_request", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request", "device", name="pk_askers"),
    )
    op.create_index("ix_askers_device", "askers", ["device", "at"])
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("account", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(2), server_default="en", nullable=False),
        sa.Column("letter", sa.String(30), nullable=False),
        sa.Column("request", sa.Integer(), nullable=True),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("next_at", sa.String(27), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sent_at", sa.String(27), nullable=True),
        sa.Column("given_up_at", sa.String(27), nullable=True),
        sa.Column("problem", sa.String(500), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_outbox_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["request"], ["requests.number"], name="fk_outbox_request", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_outbox"),
    )
    op.create_index("ix_outbox_next_at", "outbox", ["next_at"])
    op.create_table(
        "steps",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("action", sa.String(30), nullable=True),
        sa.Column("source", sa.String(20), nullable=True),
        sa.Column("target", sa.String(20), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("account", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(200), server_default="", nullable=False),
        sa.Column("note", sa.String(2000), server_default="", nullable=False),
        sa.Column("answer", sa.String(1000), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_steps_account", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["request"], ["requests.number"], name="fk_steps_request", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_steps"),
    )
    op.create_index("ix_steps_request", "steps", ["request"])
    op.create_table(
        "tokens",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("request", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("ends", sa.String(27), nullable=False),
        sa.Column("used_at", sa.String(27), nullable=True),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("code_ends", sa.String(27), nullable=True),
        sa.Column("code_tries", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.number"], name="fk_tokens_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["request"], ["requests.number"], name="fk_tokens_request", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name="pk_tokens"),
    )
    op.create_index("ix_tokens_request", "tokens", ["request"])
    audit_only_grows()


def downgrade() -> None:
    """Take all of it away."""
    for name in (
        "tokens",
        "steps",
        "outbox",
        "askers",
        "sessions",
        "sanctions",
        "roles",
        "requests",
        "invitations",
        "sign_ins",
        "settings",
        "official_accounts",
        "lapsed",
        "audit_head",
        "audit",
        "accounts",
    ):
        op.drop_table(name)
    drop_function()
