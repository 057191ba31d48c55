"""From the block page to the filters: the running product, its own processes, and the request queue beside them."""

import html
import http.client
import re
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from running import PUPIL, STAFF, Running, eventually

from schoolgate.demo.clients import Seen, ask_dns
from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.errors import InvalidReference
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.workflow import State
from schoolgate_policy.store import PolicyStore

HOST = "www.instagram.com"
TWO_SECONDS = 2.0


class _Quiet:
    def policy_loaded(self, *_: object) -> None: ...

    def policy_rejected(self, *_: object, kept: str | None) -> None: ...


@pytest.fixture
def told(internet, tmp_path: Path):
    """A Schoolgate that knows how people reach its portal."""
    running = Running(tmp_path, internet, SCHOOLGATE_PORTAL_URL="http://filter.school.example")
    try:
        yield running.wait_ready()
    finally:
        running.stop()


def page(running: Running, source: str, host: str) -> tuple[int, str]:
    """Fetch a page through the proxy."""
    trust = ssl.create_default_context(cafile=str(running.state / "ca.pem"))
    connection = http.client.HTTPSConnection(
        *running.address("proxy"), source_address=(source, 0), context=trust, timeout=10
    )
    try:
        connection.set_tunnel(host, 443)
        connection.request("GET", "/a/secret/path?q=1", headers={"Accept": "text/html"})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def sees(running: Running, source: str) -> tuple[Seen, int]:
    """Return what DNS and proxy do with the host."""
    return ask_dns(running.address("dns"), source, HOST), page(running, source, HOST)[0]


def test_asked_approved_opened_and_shut(told):
    """The block page's link is a request; approved, DNS and proxy open for that network in two seconds; then shut."""
    before = told.policy.read_bytes()
    status, body = page(told, PUPIL, HOST)
    assert status == 403
    link = urlsplit(html.unescape(re.search(r'href="(http://filter\.school\.example/ask[^"]+)"', body)[1]))
    assert "secret" not in link.geturl()
    store = PolicyStore(told.policy, told.state, _Quiet())
    service = open_service(Settings(state=told.state), told.policy, store, lambda: datetime.now(UTC))
    officer, head = (
        service.accounts.add(SYSTEM, f"{name}@school.example", name.title(), [Holding(role)], password="three random words")
        .actor(service.office.today())
        for name, role in (("officer", Role.OFFICER), ("head", Role.HEAD))
    )  # fmt: skip
    reference = parse_qs(link.query)["about"][0]
    with pytest.raises(InvalidReference):
        service.asking.reference(reference[:-1])
    ask = Ask(Kind.UNBLOCK, Purpose.LESSON, "Art", None, "", reference)
    request = service.asking.submit(ask, service.asking.asker(PUPIL), PUPIL).request
    assert (request.host, request.requester.network) == (HOST, "pupils")
    case = service.queue.case(officer, request.id)
    grant = replace(
        case.grant,
        targets=("instagram",),
        until=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=12),
    )
    service.reviewing.recommend(officer, request.id, grant, "fine")
    assert sees(told, PUPIL)[0] is Seen.BLOCK
    applied = service.approving.approve(head, request.id)
    assert applied.state is State.APPLIED
    started = time.monotonic()
    eventually(lambda: ask_dns(told.address("dns"), PUPIL, HOST) is Seen.ALLOW, TWO_SECONDS)
    eventually(lambda: page(told, PUPIL, HOST)[0] != 403, TWO_SECONDS)
    assert time.monotonic() - started < 2 * TWO_SECONDS
    assert sees(told, STAFF) == (Seen.BLOCK, 403)
    new = told.policy.read_text().splitlines()
    old = before.decode().splitlines()
    assert [line for line in new if line not in old][0] == f"  - id: {request.id}"
    assert [line for line in old if line not in new] == []
    eventually(lambda: ask_dns(told.address("dns"), PUPIL, HOST) is Seen.BLOCK, 20)
    assert datetime.now(UTC) >= grant.until
    assert page(told, PUPIL, HOST)[0] == 403
    eventually(lambda: service.queue.case(officer, request.id).request.state is State.EXPIRED, 15)
    assert "request.expire" in [row.action for row in service.audit.of(officer, request.id)]
    service.audit.verify()
    assert 'schoolgate_requests_waiting{state="submitted"} 0.0' in told.metrics("portal")
    assert (told.state / "first-account.txt").stat().st_mode & 0o777 == 0o600
    service.close()
