"""Several processes on one address: all answer, and one that is killed is missed by nobody for a second."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ports import free_port

POLICY = """\
version: 1
school: {name: Test, bank_holidays: none}
networks:
  pupils: {people: pupil, addresses: [127.0.20.0/24], inspection: names, otherwise: allow}
unknown_clients: pupils
calendar: {terms: [{name: always, from: 2020-01-01, to: 2040-12-31}]}
rules:
  - {block: [bad.example], reason: never}
"""
BEFORE, BEHIND = b"\x01\0\0\1\0\0\0\0\0\0\4", b"\3bad\7example\0\0\1\0\1"


def ask(port: int, number: int, patience: float = 0.5) -> bool:
    """Ask from a port of its own, so that the kernel spreads the questions."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(patience)
        sock.bind(("127.0.20.5", 0))
        try:
            sock.sendto(number.to_bytes(2) + BEFORE + b"%04d" % number + BEHIND, ("127.0.0.1", port))
            reply = sock.recv(512)
        except OSError:
            return False
    return reply[:2] == number.to_bytes(2) and reply[3] & 15 == 3


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(120)
def test_a_killed_worker_is_missed_for_less_than_a_second(tmp_path):
    """Both answer; after kill -9 of one the other serves on at once, and it comes back."""
    port = free_port()
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "schoolgate.toml").write_text(
        f'[dns]\nlisten = ["127.0.0.1:{port}"]\nworkers = 2\nupstreams = ["127.0.0.1:9"]\n'
        '[metrics]\ndns = "127.0.0.1:0"\n'
    )
    words = [sys.executable, "-m", "schoolgate", "dns", "--settings", "schoolgate.toml"]
    with (tmp_path / "log").open("wb") as log:
        master = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while (tmp_path / "log").read_text().count('"dns.started"') < 2:
            assert master.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        assert all(ask(port, number) for number in range(200))
        first, second = children(master.pid)
        os.kill(first, signal.SIGKILL)
        killed, unanswered, number = time.monotonic(), 0.0, 1000
        while time.monotonic() < killed + 1.5:
            number += 1
            if not ask(port, number):
                unanswered = time.monotonic() - killed
            time.sleep(0.003)  # a client has limits
        assert unanswered < 1
        while (tmp_path / "log").read_text().count('"dns.started"') < 3:
            assert time.monotonic() < killed + 60
            time.sleep(0.05)
        assert second in children(master.pid)
        assert len(children(master.pid)) == 2
        assert all(ask(port, number) for number in range(200))
    finally:
        master.send_signal(signal.SIGTERM)
        assert master.wait(20) == 0
    ended = [
        json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if '"run.part_ended"' in line
    ]
    assert [one["part"] for one in ended] == ["dns-1"]
