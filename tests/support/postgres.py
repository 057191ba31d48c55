"""A PostgreSQL server of the test run's own: a folder, a unix socket, no port. Stopped and removed at the end."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg


def programs() -> Path | None:
    """Return the folder of Debian's newest server, or of whatever is on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return folders[-1] if folders else Path(found).resolve().parent if found else None


def why_not() -> str:
    """Return why there can be no server here, or nothing."""
    if programs() is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "PostgreSQL refuses to run as root, and there is no user `postgres`"
    return ""


class Postgres:
    """A running server; `database` makes a database in it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._made = 0

    def database(self, template: str = "template1") -> str:
        """Make a database and return its URL."""
        self._made += 1
        name = f"t{self._made}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return f"postgresql://schoolgate@/{name}?host={self._socket}"

    def dsn(self, name: str) -> str:
        """Return how psycopg connects to a database."""
        return f"dbname={name} user=schoolgate host={self._socket}"


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Start a server and stop it again."""
    binaries = programs()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="schoolgate-pg-"))
    who: dict[str, object] = {}
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    data = folder / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c full_page_writes=off"

    def call(*words: str) -> None:
        done = subprocess.run(
            words, capture_output=True, text=True, cwd=folder, timeout=60, check=False, **who
        )
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        call(
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "schoolgate",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        )
        call(
            str(binaries / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start"
        )
        try:
            yield Postgres(folder)
        finally:
            call(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
