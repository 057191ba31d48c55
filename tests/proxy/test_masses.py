"""Masses, with the numbers of the specification: 20,000 half-open connections, 100,000 flows, an upload of gigabytes.

The proxy is a process of its own with its ordinary time limits, and is weighed. `SCHOOLGATE_TEST_UPLOAD_GB` sets another
size of upload than 2 GB, `SCHOOLGATE_TEST_FLOWS_SECONDS` how long the flows may take: a minute, in which a slow machine
makes fewer than all.
"""

import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flood_origin import Flood
from weighed_proxy import MB, Box, running

LOG = logging.getLogger(__name__)  # the figures: `--log-cli-level=INFO`
pytestmark = pytest.mark.timeout(900)
GUEST, PUPIL = "127.0.30.5", "127.0.20.5"
FILES = 70_000  # where the machine lets a process have so many; else the oldest half-open ones make room
HALF_OPEN = 20_000
FLOWS = 100_000
SECONDS = float(os.environ.get("SCHOOLGATE_TEST_FLOWS_SECONDS", "60"))
SILENT = """
import socket, sys, time
port, most = int(sys.argv[1]), int(sys.argv[2])
held = []
for number in range(most):
    made = socket.create_connection(("127.0.0.1", port), 60, (f"127.0.20.{10 + number % 200}", 0))
    made.sendall(b"\\x16\\x03\\x01\\x02\\x00" if number % 2 else b"GET / HTT")
    held.append(made)
print(len(held), flush=True)
ended, began = 0, time.monotonic()
for made in held:
    try:
        made.settimeout(60)
        ended += made.recv(1) == b""
    except ConnectionResetError:
        ended += 1
print(ended, time.monotonic() - began, flush=True)
"""


def _files() -> int:
    """Return how many files the proxy may have open: enough for all connections, or what there is."""
    allowed = subprocess.run(["prlimit", f"--nofile={FILES}", "true"], capture_output=True, check=False)
    return FILES if allowed.returncode == 0 else resource.getrlimit(resource.RLIMIT_NOFILE)[1]


@pytest.fixture(scope="module")
def flood() -> Iterator[Flood]:
    """The origin."""
    with Flood() as made:
        yield made


@pytest.fixture(scope="module")
def box(flood: Flood, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A proxy that has done some work of each kind."""
    with running(tmp_path_factory.mktemp("masses"), flood, files=_files()) as made:
        for source in (PUPIL, GUEST):
            for _ in range(30):
                assert made.get("fine.example", source).endswith(b"small")
                assert b" 403 " in made.plain("blocked.example", source)[:16]
        yield made


def test_20_000_half_open_connections_keep_nobody_out(box: Box) -> None:
    """They are closed when their time is over; others are served meanwhile, nothing blocked opens, memory comes back."""
    before, most, served = box.rss, 0, 0
    command = [sys.executable, "-c", SILENT, str(box.port), str(HALF_OPEN // 2)]
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) for _ in "12"
        ]
        while any(one.poll() is None for one in crowd):
            began = time.monotonic()
            assert box.get("fine.example", GUEST).endswith(b"small")
            assert b" 403 " in box.plain("blocked.example", GUEST)[:16]
            assert time.monotonic() - began < 10
            served += 1
            most = max(most, box.rss)
            time.sleep(0.2)
        said = [one.stdout.read().split()[:2] for one in crowd if one.stdout is not None]
    assert said == [[str(HALF_OPEN // 2)] * 2] * 2  # all were opened, and all were ended
    assert served > 3
    assert most - before < 200 * MB
    assert box.get("one.example").endswith(b"small")
    LOG.info("%.1f MB at most", (most - before) / MB)


def test_100_000_flows_leave_nothing(box: Box) -> None:
    """Opened, refused and passed-on flows in one long mix leave less than 20 MB."""
    before, began = box.rss, time.monotonic()
    done = {"opened": 0, "refused": 0, "passed": 0}
    request = b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n"
    blocked = b"GET http://blocked.example/ HTTP/1.1\r\nHost: blocked.example\r\n\r\n"
    while sum(done.values()) < FLOWS and time.monotonic() - began < SECONDS:
        with box.tls("one.example") as connection:
            for _ in range(20):
                connection.sendall(request * 50)
                data = b""
                while data.count(b"small") < 50:
                    data += connection.recv(65_536)
                done["opened"] += 50
        for number in range(300):
            with box.connect(f"127.0.20.{10 + number % 200}") as connection:
                connection.sendall(blocked)
                assert connection.recv(12) == b"HTTP/1.1 403"
            done["refused"] += 1
        for number in range(20):
            assert box.get("fine.example", f"127.0.30.{10 + number % 200}").endswith(b"small")
            done["passed"] += 1
    grown = box.rss - before
    LOG.info("%s in %.0f s, %.1f MB", done, time.monotonic() - began, grown / MB)
    assert min(done.values()) > 100
    assert grown < 20 * MB


def test_an_upload_of_gigabytes_goes_through(box: Box, flood: Flood) -> None:
    """An upload in an opened connection arrives whole at a site that reads, and takes less than 20 MB."""
    gigabytes = float(os.environ.get("SCHOOLGATE_TEST_UPLOAD_GB", "2"))
    octets, piece = int(gigabytes * (1 << 30)), bytes(1 << 20)
    before, taken, most = box.rss, flood.taken, 0
    with box.tls("one.example") as connection:
        connection.sendall(
            f"POST /sink HTTP/1.1\r\nHost: one.example\r\nContent-Length: {octets}\r\n\r\n".encode()
        )
        for start in range(0, octets, len(piece)):
            connection.sendall(piece[: octets - start])
            if not start % (64 << 20):
                most = max(most, box.rss)
        assert connection.recv(12) == b"HTTP/1.1 200"
    LOG.info("%.1f MB at most", (most - before) / MB)
    assert flood.taken - taken == octets
    assert max(most, box.rss) - before < 20 * MB
