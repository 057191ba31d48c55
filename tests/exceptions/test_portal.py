"""The portal over real sockets: its own pages, the block page for every other name, and bad requests."""

import asyncio
import http.client
import socket
import threading
from datetime import UTC, datetime

import pytest
from policies import HEAD, policy_of

from schoolgate_exceptions.ports import Page, PortalConfig
from schoolgate_exceptions.server import PortalServer
from schoolgate_policy.engine import Engine

AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
RULES = "rules:\n  - {block: blocked.example, reason: Not for school}\n"


class Surroundings:
    """Everything that the portal is handed."""

    def __init__(self):
        self.engine = Engine(policy_of(RULES))
        self.faults, self.pages, self.asked = [], [], []
        self.broken = False

    def decision(self, attempt, decision):
        raise AssertionError("the portal enforces nothing")

    def technique(self, *_):
        raise AssertionError("the portal enforces nothing")

    def fault(self, area, error):
        self.faults.append((area, error))

    def page(self, page, status):
        self.pages.append((page, status))

    def block_page(self, engine, attempt, decision, accept, dest, language):
        if self.broken:
            raise RuntimeError("no page today")
        self.asked.append((attempt, decision, accept, dest))
        return Page(403, (("Content-Type", "text/plain"), ("Content-Length", "7")), b"blocked")


class Portal:
    """A portal that listens in a thread."""

    def __init__(self):
        self.around = Surroundings()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        around = self.around
        config = PortalConfig(("127.0.0.1", 0), "filter.school.example")
        self.server = PortalServer(config, around, around, around, lambda: AT, around.block_page)
        self._do(self.server.start())

    def _do(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def stop(self):
        self._do(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def get(self, path="/", host=None, method="GET", **headers):
        connection = http.client.HTTPConnection(*self.server.address, timeout=5)
        connection.request(method, path, headers={**({"Host": host} if host else {}), **headers})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, body.decode()

    def send(self, data):
        with socket.create_connection(self.server.address, timeout=5) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := sock.recv(4096):
                received += chunk
        return received.decode()


@pytest.fixture
def portal():
    portal = Portal()
    yield portal
    portal.stop()


@pytest.mark.parametrize(
    "host", [None, "localhost", "127.0.0.1", "filter.school.example", "FILTER.school.example.:8000"]
)
def test_home_under_its_own_names(portal, host):
    """Under its own names and addresses the portal shows its home page."""
    status, _, body = portal.get(host=host)
    assert status == 200
    assert "Test School" in body
    assert portal.around.engine.policy.version in body
    assert portal.around.pages == [("home", 200)]


def test_security_headers(portal):
    """Own pages load nothing from anywhere, are not stored, framed or sniffed, and name no software."""
    for path in ("/", "/nowhere"):
        _, headers, body = portal.get(path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "script" not in body
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Server"] is None


def test_a_missing_page(portal):
    """A path that the portal does not have is 404."""
    assert portal.get("/nowhere")[0] == 404


def test_another_name_gets_the_block_page(portal):
    """A blocked name is judged for the client and path that asked, and gets the block page."""
    status, _, body = portal.get(
        "/a?b=c", "www.blocked.example", **{"Accept": "text/html", "Sec-Fetch-Dest": "document"}
    )
    assert (status, body) == (403, "blocked")
    ((attempt, decision, accept, dest),) = portal.around.asked
    assert (attempt.address, attempt.host, attempt.path, attempt.at) == (
        "127.0.0.1",
        "www.blocked.example",
        "/a",
        AT,
    )
    assert decision.message == "Not for school"
    assert (accept, dest) == ("text/html", "document")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_every_method_is_judged(portal, method):
    """A blocked name is blocked whatever the method."""
    assert portal.get(host="blocked.example", method=method)[0] == 403


def test_an_open_site_says_try_again(portal):
    """A site that is open by now is not shown here, but says to try again; nothing may store that."""
    status, headers, body = portal.get(host="open.example")
    assert status == 503
    assert headers["Retry-After"] == "10"
    assert headers["Cache-Control"] == "no-store"
    assert "try again" in body


def test_markup_in_a_name_stays_text(portal):
    """A Host with markup in it is refused, in plain text that no browser reads as a page."""
    status, headers, _ = portal.get(host="xn--<b>.example")
    assert status == 400
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_contacts_are_shown_where_there_are_any(portal):
    """The home page says whom to write to, if the policy names somebody."""
    assert "mailto:" not in portal.get()[2]
    school = "school: {name: Other, timezone: Europe/London, contacts: {e_safety_officer: o@school.example}}"
    portal.around.engine = Engine(policy_of(RULES, head=HEAD.replace(HEAD.splitlines()[1], school)))
    assert "mailto:o@school.example" in portal.get()[2]


def test_a_page_for_nobody_has_no_body(portal):
    """HEAD gets the headers of GET without its body."""
    status, headers, body = portal.get(method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 500


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\nConnection: close\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n", "400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "405"),
        (b"garbage\r\n\r\n", "400"),
    ],
)
def test_bad_requests(portal, request_bytes, status):
    """A Host that is none, or two of them, is 400; nothing is guessed."""
    assert portal.send(request_bytes).split(" ")[1] == status


def test_a_bug_shows_no_site(portal):
    """When the block page itself fails, the answer is 503 and a fault is recorded."""
    portal.around.broken = True
    status, _, body = portal.get(host="blocked.example")
    assert status == 503
    assert "hiccup" in body
    assert portal.around.faults[0][0] == "portal"


def test_a_taken_port_is_one_line():
    """A port that is taken is an OSError that names it."""
    around = Surroundings()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = PortalServer(
            PortalConfig(("127.0.0.1", port)), around, around, around, lambda: AT, around.block_page
        )
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: address already in use"):
            asyncio.run(server.start())
