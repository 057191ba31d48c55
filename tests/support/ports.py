"""Ports for servers that are started later, and by others: none that the kernel gives away in between.

A port that was found by binding to port 0 is one of those that the kernel hands to whatever connects or listens next: in a
long run on a busy machine somebody else has it before the server that it was found for.
"""

import itertools
import os
import socket
from contextlib import suppress
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")  # those that the kernel gives away
_LOWEST = 12_000
_EACH = 2_000  # ports of one of the processes that tests are run in
_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _own() -> range:
    """Return the ports of this process: tests are run in several at once (pytest-xdist)."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    start = _LOWEST + worker * _EACH
    assert start + _EACH <= end, f"no ports for process {worker} below {end}, where the kernel's own begin"
    return range(start, start + _EACH)


_next = itertools.cycle(_own())


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that TCP and UDP can have at an address (IPv4); each call returns another one."""
    for port in itertools.islice(_next, _EACH):
        with suppress(OSError):
            for kind in _KINDS:
                with socket.socket(socket.AF_INET, kind) as tried:
                    if kind == socket.SOCK_STREAM:
                        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind((host, port))
            return port
    raise AssertionError("no port is free")
