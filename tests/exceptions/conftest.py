"""Every test that takes `school` runs on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres
import pytest
from aiosmtpd.controller import Controller
from live_portal import LivePortal
from ports import free_port
from postman import Postman
from school import School
from screenshots import sign_in
from showcase import Showcase, open_showcase

from schoolgate_exceptions.database import Database, sqlite_url
from schoolgate_exceptions.outbox import MailHost
from schoolgate_exceptions.roles import Actor, Role

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
_SIZES = {"telephone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 860}}


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
    """A port where nothing listens."""
    return free_port()


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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright, whose loop must not outlive the module: others have theirs."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showcase]:
    """A school in the middle of a week."""
    shown = open_showcase(tmp_path_factory.mktemp("school"))
    yield shown
    shown.portal.stop()
    shown.school.service.close()


@pytest.fixture
def opened(chromium: Any, show: Showcase) -> Iterator[Any]:
    """Opens a page of the portal in a fresh context, which is closed afterwards."""
    contexts = []

    def make(size: str = "desk", who: str = "", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": _SIZES[size], **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if who:
            sign_in(page, show.portal, who)
        return page

    yield make
    for context in contexts:
        context.close()
