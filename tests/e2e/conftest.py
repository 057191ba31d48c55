"""One school in network namespaces for all tests of a run, and a way to look at both of its ends."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import netns_clients as client
import pytest
from box_records import add_lead
from netns_internet import RESOLVER4, RESOLVER6
from netns_school import INTERFACES, METRICS, Box, Host, NoNamespacesError, School, make_school, wait_for

from schoolgate.firewall import evidence

MARK = "45.60.0.1"  # the internet's own end of the line
_marks = count(10_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have patience: whoever comes first builds the school, on a machine that may be busy."""
    for item in items:
        if "netns" in item.keywords and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1500))


@pytest.fixture(scope="session")
def school() -> Iterator[School]:
    """The school; skips where namespaces are not allowed.

    Its folder is none of pytest's: a later run would try to remove it while a disk is mounted in it.
    """
    with tempfile.TemporaryDirectory(prefix="schoolgate-school-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the box runs as somebody else
        try:
            with make_school(folder) as found:
                yield found
        except NoNamespacesError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="session")
def box(school: School) -> Iterator[Box]:
    """The product, running in `edge` behind its own firewall."""
    made = school.build_box().with_a_small_disk()
    try:
        made.start()
        add_lead(made)
        yield made
    finally:
        made.stop()


class Counts:
    """What the product has counted, all parts and the firewall together."""

    def __init__(self, school: School) -> None:
        self._edge = school.edge

    def __call__(self, technique: str, network: str) -> float:
        """Return how often a technique was seen from a network."""
        found = sum(self._metric(part, technique, network) for part in ("dns", "proxy"))
        seen = self._edge.do(evidence.read, INTERFACES)
        return found + sum(
            one.packets for one in seen.refused if (one.technique, one.network) == (technique, network)
        )

    def _metric(self, part: str, technique: str, network: str) -> float:
        text = self._edge.do(client.page, f"http://127.0.0.1:{METRICS[part]}/metrics")
        line = rf'^schoolgate_circumvention_attempts_total\{{[^}}]*network="{network}"[^}}]*technique="{technique}"\}} (\S+)$'
        match = re.search(line, text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    def rises(self, technique: str, network: str, before: float) -> bool:
        """Whether the count goes above what it was, within some seconds."""
        until = time.monotonic() + 60
        while self(technique, network) <= before:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True


@pytest.fixture
def counts(school: School) -> Counts:
    """What was counted."""
    return Counts(school)


@pytest.fixture
def leaks(school: School) -> Callable[[], list[dict]]:
    """Return what has reached the internet since the test began, but the box's own questions to its resolver."""
    _settle(school)
    school.internet.forget()

    def look() -> list[dict]:
        _settle(school)
        return [event for event in school.internet.seen() if not _own_question(event)]

    return look


def _settle(school: School) -> None:
    """Wait until the internet has written down all that was sent to it: a packet of our own comes last."""
    port = next(_marks)
    school.edge.do(client.send, MARK, port, b"mark")
    wait_for(
        lambda: any(one["kind"] == "packet" and _is_mark(one, port) for one in school.internet.seen()), 120
    )


def _is_mark(event: dict, port: int | None = None) -> bool:
    return event["target"] == MARK and event["protocol"] == 17 and port in {None, event["port"]}


def _own_question(event: dict) -> bool:
    if event["kind"] == "dns":
        return True
    if event["kind"] != "packet":
        return False
    multicast = event["target"].startswith("ff02:")
    asked = event["target"] in {RESOLVER4, RESOLVER6} and event["port"] == 53
    return multicast or _is_mark(event) or (asked and event["source"] in {"45.60.0.2", "2a00:9::2"})


@pytest.fixture(params=["pupil", "guest"])
def person(request: pytest.FixtureRequest, school: School) -> Host:
    """A pupil's machine, then a guest's."""
    return school.hosts()[request.param]


@pytest.fixture
def wait() -> Callable[..., float]:
    """Wait until something is true."""
    return wait_for
