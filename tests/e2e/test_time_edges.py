"""The bell: what was open by a verdict that has ended is closed within five seconds, whatever carried it."""

from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial

import netns_clients as client
import pytest
from netns_school import school_policy

pytestmark = pytest.mark.netns

BUSY = client.busy()
LIMIT = 15 if BUSY else 5  # seconds after the bell; five is what is promised
AHEAD = 60 if BUSY else 12  # seconds from the change of the policy to the bell
RULE = "\nrules:\n"
EXCEPTION = """
exceptions:
  - id: BELL-1
    allow: [bell.example]
    for: [pupils, guests, staff]
    until: {until:%Y-%m-%dT%H:%M:%SZ}
    reason: Until the bell
"""


def policy(until: datetime) -> str:
    """Return the school's policy with a site that is open until an instant."""
    text = school_policy().replace(RULE, f"{RULE}  - {{block: [bell.example], reason: After the bell}}\n", 1)
    return text.replace("\nexceptions:\n", EXCEPTION.format(until=until), 1)


def test_the_bell_closes_what_is_open(school, box):
    """Streams, websockets and unread tunnels of pupils, guests and staff end within five seconds of their verdict."""
    try:
        # The policy is in force before the bell is near: reading it takes a moment on a busy machine.
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=AHEAD)
        box.rewrite(policy(until))
        held: dict[str, Future[tuple[bytes, float]]] = {}
        for role, host in school.hosts().items():
            for there in ("45.60.9.9", "2a00:9:9::9"):
                for path, websocket in (("/stream", False), ("/ws", True)):
                    act = partial(client.until_closed, there, "bell.example", path, websocket)
                    held[f"{role} {path} {there}"] = host.pool.submit(act)
        ttl = _ttl(school.pupil.run("dig", f"@{school.pupil.gateway4}", "bell.example"))
        assert ttl <= max(0, (until - datetime.now(UTC)).total_seconds()) + 1
        for name, future in held.items():
            first, closed = future.result(AHEAD + 60)
            assert first.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")), (name, first[:100])
            late = closed - until.timestamp()
            assert -0.5 < late < LIMIT, (name, late)
        for host in school.hosts().values():
            assert b"this is the real site" not in host.do(_try, "bell.example")
            assert "EDE: 15" in host.run("dig", f"@{host.gateway4}", "bell.example")
    finally:
        box.rewrite(school_policy())


def test_a_new_rule_closes_what_is_open(school, box):
    """What a changed policy forbids is closed within five seconds, too."""
    held = [
        host.pool.submit(partial(client.until_closed, "45.60.9.9", "later.example", "/stream", False))
        for host in school.hosts().values()
    ]
    try:
        rule = f"{RULE}  - {{block: [later.example], reason: From now on}}\n"
        box.rewrite(school_policy().replace(RULE, rule, 1))
        changed = datetime.now(UTC).timestamp()
        for future in held:
            assert future.result(60)[1] < changed + LIMIT
    finally:
        box.rewrite(school_policy())


def _try(name: str) -> bytes:
    try:
        return client.fetch("45.60.9.9", name)
    except OSError:
        return b""


def _ttl(printed: str) -> int:
    lines = [line.split() for line in printed.splitlines() if line.startswith("bell.example.")]
    assert lines, printed
    return int(lines[0][1])
