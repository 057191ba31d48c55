"""One moment of the database as a file, and back: SQLite by its backup interface, PostgreSQL by its own tools."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

_SECONDS = 1800


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others may be writing to, as of one moment (sqlite3_backup).

    Raises:
        ValueError: it cannot be read, or what was read is damaged.

    """
    try:
        with closing(sqlite3.connect(source, timeout=30)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        raise ValueError(f"{source}: {error}") from error
    if found != "ok":
        raise ValueError(f"{source}: the database is damaged: {found}")


def dump_postgresql(url: str, target: Path) -> None:
    """Write PostgreSQL's own archive of a database.

    Raises:
        ValueError: pg_dump is missing, or failed.

    """
    _run("pg_dump", "--format=custom", "--no-owner", f"--file={target}", f"--dbname={_plain(url)}")


def load_postgresql(url: str, source: Path) -> None:
    """Put an archive into a database, in one transaction; what it has of the same names is replaced.

    Raises:
        ValueError: pg_restore is missing, or failed, and then nothing has changed.

    """
    _run(
        "pg_restore",
        *(
            "--clean",
            "--if-exists",
            "--no-owner",
            "--single-transaction",
            f"--dbname={_plain(url)}",
            str(source),
        ),
    )


def is_postgresql(url: str) -> bool:
    """Whether the portal's database is PostgreSQL; else it is a file."""
    return urlsplit(url).scheme.startswith("postgresql")


def _plain(url: str) -> str:
    """Return the URL without the name of a Python driver, as libpq takes it."""
    scheme, rest = url.split(":", 1)
    return f"{scheme.partition('+')[0]}:{rest}"


def _run(tool: str, *arguments: str) -> None:
    path = shutil.which(tool)
    if path is None:
        raise ValueError(f"{tool}: not installed; on Debian: apt-get install postgresql-client")
    done = subprocess.run(  # noqa: S603 - a fixed command, no shell
        [path, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        first = (done.stderr.strip().splitlines() or ["failed"])[0]
        raise ValueError(f"{tool}: {first}")
