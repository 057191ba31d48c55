"""Logs: one form for everything, nothing personal, and never in the way."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from running import clean_environment, eventually

from schoolgate.logs import LineWriter

PROGRAM = """
import asyncio, logging, sys
import structlog
from schoolgate import logs
writer = logs.configure({level!r}, "test")
log = structlog.get_logger()
{body}
writer.close()
"""


def said(body, level="info"):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(level=level, body=body)],
        env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_one_json_line_for_each_event():
    """An event is one JSON object: when, how bad, which part, what, and its facts."""
    (event,) = said('log.info("area.thing_happened", count=3)\nlog.debug("area.detail")')
    assert list(event) == ["ts", "level", "component", "event", "count"]
    assert (event["level"], event["component"], event["event"], event["count"]) == (
        "info",
        "test",
        "area.thing_happened",
        3,
    )
    assert event["ts"].endswith("Z")


def test_the_standard_librarys_logs_look_the_same():
    """What libraries log goes the same way, and keeps the name of who said it."""
    (event,) = said('logging.getLogger("some.library").warning("disk %s", "slow")')
    assert (event["event"], event["logger"], event["component"]) == ("disk slow", "some.library", "test")


def test_what_libraries_say_of_people_is_left_out():
    """mitmproxy names clients and hosts below the level of errors: only debug shows it."""
    body = 'logging.getLogger("mitmproxy.proxy.server").warning("127.0.20.5: TLS failed for www.example.org")'
    assert said(body) == []
    assert len(said(body, "debug")) == 1


def test_a_traceback_carries_no_values():
    """A traceback tells where, not what the variables were: they may name people."""
    body = (
        "def fail():\n    host = 'www.example.org' + ' secret'\n    raise ValueError('x')\n"
        "try:\n    fail()\nexcept ValueError:\n    log.exception('area.failed')"
    )
    (event,) = said(body)
    assert "secret" not in json.dumps(event)
    assert event["exception"][0]["exc_type"] == "ValueError"


def test_a_reader_that_stops_reading_blocks_nobody():
    """When nobody reads the other end of the pipe, lines are dropped and counted, and nobody waits."""
    reader, sink = os.pipe()
    writer = LineWriter(sink, capacity=100)
    started = time.monotonic()
    for number in range(20_000):
        writer.write(f"line {number} {'x' * 100}")
    assert time.monotonic() - started < 2
    assert writer.dropped > 10_000
    os.close(reader)
    writer.close()
    os.close(sink)


def test_lines_arrive_whole_and_in_order(tmp_path):
    """What is written before the end is on disk after it."""
    file = tmp_path / "log"
    with file.open("wb") as sink:
        writer = LineWriter(sink.fileno())
        for number in range(1000):
            writer.write(f"line {number} \ud800")
        writer.close()
    assert len(file.read_bytes().splitlines()) == 1000


def test_a_full_disk_costs_lines_only():
    """A write that fails drops the line and goes on."""
    with Path("/dev/full").open("wb", buffering=0) as sink:
        writer = LineWriter(sink.fileno())
        for _ in range(10):
            writer.write("line")
        eventually(lambda: writer.dropped == 10)
        writer.close()


def test_a_record_that_cannot_be_formatted_is_dropped():
    """A library's mistake in a log call is not our crash."""
    assert (
        said('logging.getLogger("x").error("%d", "text")\nlog.info("still.here")')[-1]["event"]
        == "still.here"
    )


def test_this_process_is_left_alone():
    """Importing the module changes no logging."""
    assert not any(type(handler).__module__ == "schoolgate.logs" for handler in logging.getLogger().handlers)
