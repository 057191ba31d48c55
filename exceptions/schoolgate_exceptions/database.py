"""The database: SQLite in the state folder, or PostgreSQL by URL. One writer at a time in both.

A writing transaction takes its lock at the start (SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so what it
reads cannot change before it writes: two heads pressing at once are one after the other. Nothing is retried here
but the waiting for that lock.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from schoolgate_exceptions.errors import Unavailable

_BUSY_MS = 5_000
_LOCK = 0x5C4001  # any number, the same in every process
_WRITES = "schoolgate_writes"


class Database:
    """Where requests, accounts and the audit are kept; safe to use from several threads and processes."""

    def __init__(self, url: str, *, busy_ms: int = _BUSY_MS) -> None:
        """Open a database by its URL, such as `sqlite:////var/lib/schoolgate/portal.db`; see `sqlite_url`."""
        self._engine = _open(url, busy_ms)
        self._busy_ms = busy_ms

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of ours."""
        return self._engine.dialect.name == "sqlite"

    def migrate(self, revision: str = "head") -> None:
        """Bring the tables to a revision; several processes may do it at once.

        Raises:
            Unavailable: the database cannot be written.

        """
        config = Config()
        config.set_main_option("script_location", "schoolgate_exceptions:migrations")
        with self.write() as connection:
            config.attributes["connection"] = connection
            if revision == "base":
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Look at one moment of the database.

        Raises:
            Unavailable: the database does not answer.

        """
        with _plainly(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Change the database: everything until the block ends is there together, or after an error not at all.

        Raises:
            Unavailable: it stayed locked, its disk is full, or it does not answer; nothing was recorded.

        """
        with _plainly(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(sa.text(f"SET LOCAL lock_timeout = {self._busy_ms}"))
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
                yield connection

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()


def sqlite_url(file: Path) -> str:
    """Return the URL of a database file."""
    return sa.URL.create("sqlite", database=str(file)).render_as_string()


def _open(url: str, busy_ms: int) -> Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite":
        raise ValueError(
            f"`{parsed.get_backend_name()}` is no database for the portal; use sqlite or postgresql"
        )
    engine = sa.create_engine(parsed, connect_args={"timeout": busy_ms / 1000, "isolation_level": None})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(raw: sa.PoolProxiedConnection, _record: object) -> None:
    cursor = raw.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Turn what a database says about itself into one line; a mistake in our statements stays what it is."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise Unavailable(
            f"the database cannot be used now ({_reason(error)}); nothing was recorded"
        ) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the database went away; nothing was recorded") from error
        raise


def _reason(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].lower() if error.orig else "unknown"
