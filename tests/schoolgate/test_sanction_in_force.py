"""Supervision in the running product: imposed, let go for a lesson and lifted, it is so in DNS and proxy within two seconds."""

import http.client
import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import PUPIL, Running, eventually

from schoolgate.demo.clients import Seen, ask_dns
from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.roles import Actor, Role
from schoolgate_exceptions.sanctioning import Sanctioning
from schoolgate_policy.store import PolicyStore

HOST = "site.example"
OTHER = "127.0.20.6"  # somebody else on the same network
# Two seconds on a machine that has nothing else to do.
TWO_SECONDS = 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
OFFICER = Actor(frozenset({Role.OFFICER}), name="an officer")
TEACHER = Actor(frozenset({Role.TEACHER}), name="a teacher")


class _Quiet:
    def policy_loaded(self, *_: object) -> None: ...

    def policy_rejected(self, *_: object, kept: str | None) -> None: ...


@pytest.fixture
def running(internet, tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path, internet)
    try:
        yield made.wait_ready()
    finally:
        made.stop()


@pytest.fixture
def sanctioning(running: Running) -> Iterator[Sanctioning]:
    """What the officer's page presses the buttons of."""
    store = PolicyStore(running.policy, running.state, _Quiet())
    service = open_service(Settings(state=running.state), running.policy, store, lambda: datetime.now(UTC))
    with closing(service):
        yield service.sanctioning


def status(running: Running, source: str) -> int:
    """Ask for a page through the proxy."""
    trust = ssl.create_default_context(cafile=str(running.state / "ca.pem"))
    made = http.client.HTTPSConnection(
        *running.address("proxy"), source_address=(source, 0), context=trust, timeout=20
    )
    with closing(made):
        made.set_tunnel(HOST, 443)
        try:
            made.request("GET", "/", headers={"Accept": "text/html"})
            return made.getresponse().status
        except (OSError, http.client.HTTPException):
            return 502  # let through, to a site that is not there


def is_held(running: Running, source: str = PUPIL) -> tuple[bool, bool]:
    """Whether DNS and the proxy hold a device to the supervised list."""
    return ask_dns(running.address("dns"), source, HOST) is Seen.BLOCK, status(running, source) == 403


def measured(running: Running, act: Callable[[], object], wanted: bool) -> float:
    """Do something; return after how long both parts know of it."""
    act()
    done = time.monotonic()
    eventually(lambda: is_held(running) == (wanted, wanted), TWO_SECONDS)
    return time.monotonic() - done


def test_two_seconds_from_the_button_to_both_parts(running: Running, sanctioning: Sanctioning) -> None:
    """Imposed, paused for a lesson, taken up again, lifted: each is in force in DNS and proxy in two seconds."""
    assert is_held(running) == (False, False)
    until = datetime.now(UTC) + timedelta(hours=1)
    took = [
        measured(running, lambda: sanctioning.impose(OFFICER, PUPIL, until, "Went round the filter"), True)
    ]
    assert is_held(running, OTHER) == (False, False)
    took.append(measured(running, lambda: sanctioning.pause(TEACHER, PUPIL, "A test in class"), False))
    took.append(measured(running, lambda: sanctioning.resume(TEACHER, PUPIL), True))
    (one,) = sanctioning.listed(OFFICER)
    took.append(measured(running, lambda: sanctioning.lift(OFFICER, one.number, "served"), False))
    assert max(took) < TWO_SECONDS, took
