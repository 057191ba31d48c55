"""Pinned apps through the real proxy: clients that reject our certificate, on several devices and on one."""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

PUPILS = ("127.0.20.51", "127.0.20.52", "127.0.20.53")


@pytest.fixture(autouse=True)
def _forgetful(internet: Any) -> Iterator[None]:
    """Forget what was rejected: a new engine of the same policy is in force."""
    from schoolgate_policy.engine import Engine

    good = internet.source.good
    internet.source.good = Engine(good.policy)
    yield
    internet.source.good = good


def _app(internet: Any, host: str, address: str) -> bool:
    """Be an app that trusts only the site's own authority; True where it gets through."""
    context = ssl.create_default_context(cafile=str(internet.origin_ca))
    try:
        with context.wrap_socket(internet.tunnel(host, address), server_hostname=host) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(100).startswith(b"HTTP/1.1 200 ")
    except ssl.SSLCertVerificationError:
        return False


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _reject(internet: Any, host: str, addresses: Any = PUPILS, times: int = 2) -> None:
    for _ in range(times):
        for address in addresses:
            before = internet.notes.techniques.count("client_distrust")
            assert not _app(internet, host, address)
            _until(lambda: internet.notes.techniques.count("client_distrust") > before)  # noqa: B023 - at once


def _state(internet: Any) -> Any:
    return json.loads((internet.ca.parent / "pinned.json").read_text())


def test_a_pinned_app_works_after_several_devices_failed(internet: Any) -> None:
    """After three devices were refused twice by us the app reaches its site, with the site's own certificate."""
    _reject(internet, "app.example")
    assert internet.untouched
    _until(lambda: _app(internet, "app.example", "127.0.20.54"))
    assert internet.origin.accepted == 1
    (entry,) = _state(internet)["passed"]
    assert (entry["network"], entry["host"], entry["devices"]) == ("pupils", "app.example", 3)
    assert (internet.ca.parent / "pinned.json").stat().st_mode & 0o777 == 0o600
    assert internet.get("other.example", "/", PUPILS[0]).startswith(b"HTTP/1.1 200 ")
    assert len(internet.origin.seen) == 2


@pytest.mark.parametrize(
    "host", ["blocked.example", "mixed.example", "lessons.example", "translate.google.com"]
)
def test_what_must_be_read_is_never_passed(internet: Any, host: str) -> None:
    """A blocked name, a name whose pages decide and a service that shows other sites stay opened whatever apps do."""
    _reject(internet, host, times=4)
    assert not _app(internet, host, PUPILS[0])
    assert internet.untouched


def test_a_name_that_is_blocked_later_is_not_passed(internet: Any) -> None:
    """A name that was passed on in the break is shut by the bell."""
    internet.now[0] = internet.now[0].replace(hour=18)
    _reject(internet, "lessons.example")
    _until(lambda: _app(internet, "lessons.example", PUPILS[0]))
    internet.now[0] = internet.now[0].replace(hour=10)
    assert not _app(internet, "lessons.example", PUPILS[0])


def test_one_device_alone_is_advised(internet: Any) -> None:
    """A single device that rejects us is noted as lacking the certificate, and nothing is passed on for it."""
    _reject(internet, "app.example", ("127.0.20.77",), times=4)
    _reject(internet, "shop.example", ("127.0.20.77",), times=2)
    assert internet.untouched
    found = _state(internet)
    assert found["passed"] == []
    assert [one["address"] for one in found["without_certificate"]] == ["127.0.20.77"]


def test_a_new_policy_begins_anew(internet: Any) -> None:
    """When the policy changes the app is opened again."""
    from schoolgate_policy.engine import Engine

    _reject(internet, "again.example")
    _until(lambda: _app(internet, "again.example", PUPILS[0]))
    internet.source.good = Engine(replace(internet.source.good.policy))
    assert not _app(internet, "again.example", PUPILS[0])
