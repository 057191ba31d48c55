"""What the tests of the composition share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import InternetThread, Running

from schoolgate.demo.internet import Internet


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """A stand-in internet for the tests of one file."""
    with InternetThread() as internet:
        yield internet


@pytest.fixture(scope="module")
def running(internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A Schoolgate that runs for the tests of one file, which leave it as they found it."""
    running = Running(tmp_path_factory.mktemp("run"), internet)
    try:
        yield running.wait_ready()
    finally:
        running.stop()


@pytest.fixture
def fresh(internet: Internet, tmp_path: Path) -> Iterator[Running]:
    """A Schoolgate that one test may do anything to."""
    running = Running(tmp_path, internet)
    try:
        yield running.wait_ready()
    finally:
        running.stop()
