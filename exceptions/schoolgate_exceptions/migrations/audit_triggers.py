"""The database itself refuses to change the audit: rows are added, and lose nothing but a body that was purged."""

from alembic import op

_MESSAGE = "the audit only grows"
_SAME = " AND ".join(
    f"NEW.{name} = OLD.{name}" for name in ("number", "at", "action", "subject", "digest", "chain")
)
_ERASES = f"NEW.body IS NULL AND {_SAME}"

_SQLITE = (
    f"CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END",
    f"""CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit WHEN NOT ({_ERASES})
        BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END""",
)
_POSTGRESQL = (
    f"""CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'UPDATE' THEN IF {_ERASES} THEN RETURN NEW; END IF; END IF;
        RAISE EXCEPTION '{_MESSAGE}'; END $$""",
    """CREATE TRIGGER audit_fixed BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_only_grows()""",
    "CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_only_grows()",
)


def audit_only_grows() -> None:
    """Put the guards on the table."""
    for statement in _SQLITE if _is_sqlite() else _POSTGRESQL:
        op.execute(statement)


def drop_function() -> None:
    """Take away what does not go with the table."""
    if not _is_sqlite():
        op.execute("DROP FUNCTION audit_only_grows()")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
