"""systemd's notification protocol, on a real socket."""

import asyncio
import os
import socket

import pytest

from schoolgate import systemd


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel


def test_notify_sends_fields(manager):
    """Fields arrive as lines of KEY=value."""
    assert systemd.notify(READY="1", STATUS="policy in force")
    assert manager.recv(1000) == b"READY=1\nSTATUS=policy in force"


def test_notify_to_the_abstract_namespace(monkeypatch):
    """An address that begins with @ is in Linux's abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0schoolgate-test-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@schoolgate-test-{os.getpid()}")
        assert systemd.notify(READY="1")
        assert channel.recv(100) == b"READY=1"


def test_notify_without_a_manager_does_nothing(monkeypatch, tmp_path):
    """Neither a missing variable nor a dead socket is an error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify(READY="1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not systemd.notify(READY="1")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(monkeypatch, environ, seconds):
    """The process speaks up twice as often as it must, and only if it is the one meant."""
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds


def test_keep_alive_pings_from_the_loop(manager, monkeypatch):
    """While the event loop turns, the watchdog hears from it."""
    monkeypatch.setenv("WATCHDOG_USEC", "40000")

    async def live():
        task = asyncio.create_task(systemd.keep_alive(lambda: "fine"))
        heard = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
        task.cancel()
        return heard

    assert asyncio.run(live()) == [b"WATCHDOG=1\nSTATUS=fine"] * 3


def test_keep_alive_without_a_watchdog_ends(monkeypatch):
    """Where nobody asked for signs of life, none are sent."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    asyncio.run(asyncio.wait_for(systemd.keep_alive(lambda: ""), 1))
