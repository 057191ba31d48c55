"""Lists come from the web by https, are asked for again only when due, and are never half taken."""

import gzip
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from schoolgate_policy.lists import fetch, unpack
from schoolgate_policy.lists.fetch import Fetcher
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.spec import ListSpec, Standing

NAMES = b"".join(b"host%d.example\n" % n for n in range(50))


class Publisher:
    """A web server that publishes one list."""

    def __init__(self, authority: trustme.CA) -> None:
        self.body = NAMES
        self.status = 200
        self.location = ""
        self.short = 0  # bytes that are announced but not sent
        self.asked: list[dict[str, str]] = []
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/list.txt"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(dict(request.headers))
        tag = f'"{hash(self.body)}"'
        status = 304 if self.status == 200 and request.headers.get("If-None-Match") == tag else self.status
        request.send_response(status)
        request.send_header("ETag", tag)
        request.send_header("Last-Modified", "Sat, 21 Nov 2026 08:00:00 GMT")
        if self.location:
            request.send_header("Location", self.location)
        if status == 200:
            request.send_header("Content-Length", str(len(self.body) + self.short))
        request.end_headers()
        if status == 200:
            request.wfile.write(self.body)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Box:
    """A state folder, a fetcher and a list."""

    def __init__(self, folder: Path, publisher: Publisher, tls: ssl.SSLContext) -> None:
        self.state = folder / "state"
        self.library = ListLibrary(folder, self.state)
        self.fetcher = Fetcher(self.state, tls)
        self.spec = ListSpec("web", url=publisher.url, refresh=timedelta(hours=12))

    def fetch(self, *, force: bool = True) -> str:
        [fetched] = self.fetcher.refresh([self.spec], force=force)
        return fetched.error or ("changed" if fetched.changed else "same")


@pytest.fixture
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


@pytest.fixture
def publisher(authority: trustme.CA) -> Iterator[Publisher]:
    """Return a running publisher."""
    running = Publisher(authority)
    yield running
    running.close()


@pytest.fixture
def box(tmp_path: Path, publisher: Publisher, authority: trustme.CA) -> Box:
    """Return a box that trusts the publisher."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return Box(tmp_path, publisher, tls)


def test_a_list_is_fetched_and_asked_for_again_politely(box: Box, publisher: Publisher) -> None:
    """First all of it, then only whether it changed (ETag, If-Modified-Since); a confirmation makes it fresh."""
    assert box.library.read(box.spec).status.standing is Standing.NOT_FETCHED
    assert box.fetch(force=False) == "changed"
    first = box.library.read(box.spec).status
    assert (first.names, first.standing) == (50, Standing.IN_USE)
    assert box.fetcher.refresh([box.spec]) == []
    assert box.fetch() == "same"
    assert publisher.asked[-1]["If-None-Match"]
    assert publisher.asked[-1]["If-Modified-Since"] == "Sat, 21 Nov 2026 08:00:00 GMT"
    again = box.library.read(box.spec).status
    assert first.dated is not None
    assert again.dated is not None
    assert again.dated > first.dated
    publisher.body += b"more.example\n"
    assert box.fetch() == "changed"
    assert box.library.read(box.spec).hosts.covers("more.example")


def test_a_packed_list_is_unpacked(box: Box, publisher: Publisher) -> None:
    """A .gz is what it is by its bytes, not by its name."""
    publisher.body = gzip.compress(NAMES)
    assert box.fetch() == "changed"
    assert box.library.read(box.spec).status.names == 50


def test_an_error_page_or_a_broken_connection_changes_nothing(box: Box, publisher: Publisher) -> None:
    """The earlier download stays, the failure is told in one line, and is not repeated at once."""
    assert box.fetch() == "changed"
    publisher.status = 503
    assert box.fetch() == "cannot be fetched: the server answers 503 Service Unavailable"
    publisher.status, publisher.body, publisher.short = 200, b"host1.example\n", 100
    assert box.fetch() == "cannot be fetched: the connection broke off"
    soon = replace(box.spec, refresh=timedelta(seconds=0))
    assert box.fetcher.refresh([soon]) == []
    content = box.library.read(box.spec)
    assert (content.status.names, content.status.refused) == (50, "")


def test_a_list_that_shrank_or_broke_on_the_web_is_refused(box: Box, publisher: Publisher) -> None:
    """What arrives whole but is no good is not used; the old copy stays."""
    assert box.fetch() == "changed"
    box.library.read(box.spec)
    for body, why in (
        (b"host1.example\n", "shrank from 50 entries to 1"),
        (b"<html>\n<p>Sorry</p>\n", "line "),
    ):
        publisher.body = body
        assert box.fetch() == "changed"
        content = ListLibrary(box.state.parent, box.state).read(box.spec)
        assert why in content.status.refused
        assert content.hosts.covers("www.host49.example")


@pytest.mark.parametrize("location", ["http://127.0.0.1/list.txt", "file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_a_redirection_away_from_https_is_not_followed(box: Box, publisher: Publisher, location: str) -> None:
    """Nothing is taken in the clear, and no file of the box is read."""
    publisher.status, publisher.location = 302, location
    assert box.fetch().endswith(("redirects to something that is not https", "is not allowed"))
    assert not (box.state / "lists" / "downloads" / box.spec.key).exists()


def test_an_unknown_certificate_is_not_trusted(box: Box) -> None:
    """A publisher that nobody vouches for is not read."""
    box.fetcher = Fetcher(box.state)
    assert "certificate verify failed" in box.fetch().lower()


def test_more_than_the_limit_is_not_taken(
    box: Box, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download without end is broken off."""
    monkeypatch.setattr(fetch, "MOST_SOURCE", 1 << 20)
    publisher.body = b"a" * (3 << 20)
    assert box.fetch() == "cannot be fetched: it has more than 1 MiB"
    assert unpack.MOST_SOURCE > 1 << 20
    assert [file.name for file in (box.state / "lists" / "downloads").iterdir()] == ["lists-web.json"]


def test_a_publisher_that_is_not_there_is_told(box: Box, publisher: Publisher) -> None:
    """The line says what is wrong."""
    box.spec = replace(box.spec, url="https://127.0.0.1:1/list.txt")
    assert box.fetch() == "cannot be fetched: Connection refused"
    assert box.library.read(box.spec).status.standing is Standing.NOT_FETCHED
