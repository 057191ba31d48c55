"""One school in network namespaces for all tests of a run, and a way to look at both of its ends."""

import re
import time
from collections.abc import Callable, Iterator

import netns_clients as client
import pytest
from netns_internet import RESOLVER4, RESOLVER6
from netns_school import INTERFACES, METRICS, Box, Host, NoNamespacesError, School, make_school, wait_for

from schoolgate.firewall import evidence


@pytest.fixture(scope="session")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """The school; skips where namespaces are not allowed."""
    folder = tmp_path_factory.mktemp("school")
    for path in (folder, folder.parent):
        path.chmod(0o755)  # the box runs as somebody else
    try:
        with make_school(folder) as found:
            yield found
    except NoNamespacesError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def box(school: School) -> Iterator[Box]:
    """The product, running in `edge` behind its own firewall."""
    made = school.build_box()
    try:
        made.start()
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
        until = time.monotonic() + 10
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
    school.internet.forget()

    def look() -> list[dict]:
        return [event for event in school.internet.seen() if not _own_question(event)]

    return look


def _own_question(event: dict) -> bool:
    if event["kind"] == "dns":
        return True
    if event["kind"] != "packet":
        return False
    multicast = event["target"].startswith("ff02:")
    asked = event["target"] in {RESOLVER4, RESOLVER6} and event["port"] == 53
    return multicast or (asked and event["source"] in {"45.60.0.2", "2a00:9::2"})


@pytest.fixture(params=["pupil", "guest"])
def person(request: pytest.FixtureRequest, school: School) -> Host:
    """A pupil's machine, then a guest's."""
    return school.hosts()[request.param]


@pytest.fixture
def wait() -> Callable[..., float]:
    """Wait until something is true."""
    return wait_for
