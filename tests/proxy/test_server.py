"""Starting and stopping: addresses, the certificate authority on disk, and errors in one line."""

import asyncio
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from ports import free_port

from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.server import ProxyServer

POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks: {pupils: {people: pupil, addresses: [127.0.0.0/8], inspection: all, otherwise: allow}}
unknown_clients: pupils
rules: []
"""


class _Source:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ProxyServer]:
    """Make servers on free ports."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    source = _Source(Engine(load_policy(policy)))
    basic = ProxyConfig(state=tmp_path / "state", explicit=(("127.0.0.1", 0),))

    def _make(**changes: Any) -> ProxyServer:
        return ProxyServer(replace(basic, **changes), source, None, Uncounted(), None)  # type: ignore[arg-type]

    return _make


def test_a_taken_port_is_one_clear_line(make: Callable[..., ProxyServer]) -> None:
    """A port in use is one OSError that names the address, and leaves nothing running."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = make(explicit=(("127.0.0.1", 0), ("127.0.0.1", port)))
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: address already in use"):
                await server.start()
            assert server.addresses == ()

    asyncio.run(scenario())


def test_listeners_are_named_by_network(make: Callable[..., ProxyServer]) -> None:
    """Every address is told with the network it serves, and is closed after the stop."""

    async def scenario() -> None:
        server = make(transparent={"pupils": ("127.0.0.1", free_port())})
        await server.start()
        networks = [listening.network for listening in server.addresses]
        addresses = [listening.address for listening in server.addresses]
        _, writer = await asyncio.open_connection(*addresses[0])
        await asyncio.wait_for(server.stop(), 5)
        writer.close()
        assert sorted(networks, key=str) == [None, "pupils"]
        for address in addresses:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address)

    asyncio.run(scenario())


def test_it_starts_again_in_the_same_process(make: Callable[..., ProxyServer]) -> None:
    """A server can be stopped and another started, with the same certificate."""

    async def scenario() -> list[bytes]:
        found = []
        for _ in range(2):
            server = make()
            await server.start()
            found.append((server._config.state / "ca.pem").read_bytes())
            await server.stop()
        return found

    first, second = asyncio.run(scenario())
    assert first == second


def test_the_key_is_kept_secret(make: Callable[..., ProxyServer]) -> None:
    """The authority's key is readable by its owner alone; the certificate beside it by everybody, without key."""

    async def scenario() -> Path:
        server = make()
        await server.start()
        await server.stop()
        return server._config.state

    state = asyncio.run(scenario())
    pem = (state / "ca.pem").read_bytes()
    assert b"PRIVATE" not in pem
    assert "Schoolgate Perryfields" in x509.load_pem_x509_certificate(pem).subject.rfc4514_string()
    assert stat.S_IMODE((state / "ca.pem").stat().st_mode) == 0o644
    assert stat.S_IMODE((state / "ca").stat().st_mode) == 0o700
    secret = [path for path in (state / "ca").iterdir() if b"PRIVATE" in path.read_bytes()]
    assert secret
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secret)


def test_roots_that_are_none_are_told(make: Callable[..., ProxyServer], tmp_path: Path) -> None:
    """A file of further roots without certificates is one clear line."""
    file = tmp_path / "roots.pem"
    file.write_text("nothing")
    with pytest.raises(ValueError, match=r"roots\.pem: no certificates"):
        asyncio.run(make(upstream_ca=file).start())
