"""Every test that takes `school` runs on SQLite and on PostgreSQL."""

import socket
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from aiosmtpd.controller import Controller
from live_portal import LivePortal
from postman import Postman
from school import School

from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.outbox import MailHost
from schoolgate_exceptions.roles import Actor, Role


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server with a migrated database to copy."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.running() as server:
        database = Database(server.database())
        database.migrate()
        database.close()
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated SQLite database to copy."""
    file = tmp_path_factory.mktemp("migrated") / "portal.db"
    database = Database(sqlite_url(file))
    database.migrate()
    database.close()
    return file.read_bytes()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, migrated database."""
    if request.param == "postgresql":
        server: postgres.Postgres = request.getfixturevalue("postgres_server")
        return server.database(template="t1")
    return request.getfixturevalue("sqlite_only")


@pytest.fixture
def sqlite_only(tmp_path: Path, migrated_file: bytes) -> str:
    """The URL of a fresh, migrated database file."""
    file = tmp_path / "portal.db"
    file.write_bytes(migrated_file)
    return sqlite_url(file)


@pytest.fixture
def school(tmp_path: Path, url: str) -> Iterator[School]:
    """A school with a request queue."""
    school = School(tmp_path, url)
    yield school
    school.service.close()


@pytest.fixture
def officer(school: School) -> Actor:
    """The e-safety officer."""
    return school.person("officer@school.example", Role.OFFICER)


@pytest.fixture
def head(school: School) -> Actor:
    """The headteacher."""
    return school.person("head@school.example", Role.HEAD)


@pytest.fixture
def live(tmp_path: Path, sqlite_only: str) -> Iterator[LivePortal]:
    """A portal that listens, with a school behind it; a bug behind any of its pages fails the test."""
    school = School(tmp_path, sqlite_only)
    portal = LivePortal(school)
    yield portal
    portal.stop()
    school.service.close()


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def postman(port):
    """A mail server on the port."""
    postman = Postman()
    controller = Controller(postman, hostname="127.0.0.1", port=port)
    controller.start()
    yield postman
    controller.stop()


@pytest.fixture
def posting(tmp_path, url, port):
    """A school that sends its letters to the port."""
    school = School(
        tmp_path, url, mail=MailHost("127.0.0.1", port, "filter@school.example", tls="none", seconds=5)
    )
    yield school
    school.service.close()
