"""Which addresses are dialled: looked up by us, public, not our own."""

import asyncio
import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from schoolgate_proxy.upstream import AddressRefused, Anchor, NameNotFound, Upstream, is_own, is_public


def _upstream(
    found: dict[str, list[tuple[str, int]]], asked: list[str] | None = None, **kwargs: Any
) -> Upstream:
    async def resolve(name: str, _port: int) -> Sequence[tuple[str, int]]:
        if asked is not None:
            asked.append(name)
        return found.get(name, [])

    return Upstream(resolve, kwargs.get("allowed", ()), lambda: kwargs.get("own", []))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "198.51.100.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1"),
        *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:0a00:0001::1"),
    ],
)
def test_private_and_reserved_addresses_are_not_public(address: str) -> None:
    """No private, reserved or multicast address passes, nor one hidden in IPv6."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_open_internet_are_public(address: str) -> None:
    """Ordinary addresses pass, also through NAT64."""
    assert is_public(ip_address(address))


def test_own_addresses_are_known() -> None:
    """Every address of this machine is its own, others are not."""
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.55"))


def test_private_answers_are_left_out() -> None:
    """Of a mixed answer only the public addresses are used; of a private one none (rebinding)."""
    upstream = _upstream({"mixed": [("10.0.0.1", 80), ("1.1.1.1", 80)], "rebind": [("127.0.0.1", 80)]})
    anchor = asyncio.run(upstream.anchor("mixed", 80))
    assert anchor.dialled == ("1.1.1.1", 80)
    with pytest.raises(AddressRefused):
        asyncio.run(upstream.anchor("rebind", 80))


def test_allowed_ranges_may_be_private_but_never_the_proxy_itself() -> None:
    """A range in the settings opens private addresses, not our own listeners (self-loop)."""
    found = {"intranet": [("127.0.0.1", 8443)], "loop": [("127.0.0.1", 8080)]}
    upstream = _upstream(found, allowed=(ip_network("127.0.0.0/8"),), own=[("0.0.0.0", 8080)])
    assert asyncio.run(upstream.anchor("intranet", 443)).dialled == ("127.0.0.1", 8443)
    with pytest.raises(AddressRefused):
        asyncio.run(upstream.anchor("loop", 443))


def test_answers_are_remembered_and_failures_avoided() -> None:
    """One look-up serves many connections; an address that did not answer is not tried first again."""
    asked: list[str] = []
    upstream = _upstream({"site": [("1.1.1.1", 443), ("1.0.0.1", 443)]}, asked)

    async def scenario() -> list[tuple[str, int]]:
        first = await upstream.anchor("site", 443)
        again = await upstream.anchor("site", 443)
        upstream.failed(again.dialled)
        other = await upstream.anchor("site", 443)
        upstream.failed(other.dialled)
        last = await upstream.anchor("site", 443)
        return [first.dialled, again.dialled, other.dialled, last.dialled]

    dialled = asyncio.run(scenario())
    assert dialled == [("1.1.1.1", 443), ("1.1.1.1", 443), ("1.0.0.1", 443), ("1.1.1.1", 443)]
    assert len(asked) == 2


def test_a_class_that_opens_a_site_asks_once() -> None:
    """Many who want one name at the same moment share a look-up, and its failure; the next one asks anew."""
    asked: list[str] = []
    upstream = _upstream({"site.example": [("93.184.215.14", 443)]}, asked)

    async def scenario() -> None:
        found = await asyncio.gather(*(upstream.find("site.example", 443) for _ in range(50)))
        assert found == [(("93.184.215.14", 443),)] * 50
        missed = await asyncio.gather(
            *(upstream.find("none.example", 443) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(one, NameNotFound) for one in missed)
        with pytest.raises(NameNotFound):
            await upstream.find("none.example", 443)

    asyncio.run(scenario())
    assert asked == ["site.example", "none.example", "none.example"]


def test_who_leaves_takes_nobody_along() -> None:
    """A client that goes while a name is looked up does not end the look-up for the others."""
    upstream = _upstream({"site.example": [("93.184.215.14", 443)]})

    async def scenario() -> None:
        first = asyncio.create_task(upstream.find("site.example", 443))
        second = asyncio.create_task(upstream.find("site.example", 443))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == (("93.184.215.14", 443),)

    asyncio.run(scenario())


def test_a_rush_is_not_taken_for_a_silent_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was there in time counts, though the loop was busy with others and read it too late."""
    monkeypatch.setattr("schoolgate_proxy.upstream._LOOKUP_SECONDS", 0.02)
    ear, mouth = socket.socketpair()
    ear.setblocking(False)

    async def hear() -> bytes:
        return await asyncio.get_running_loop().sock_recv(ear, 10)

    async def resolve(_name: str, port: int) -> Sequence[tuple[str, int]]:
        mouth.send(b"1.1.1.1")
        asyncio.get_running_loop().call_soon(time.sleep, 0.1)
        (answer,) = await asyncio.gather(hear())
        return [(answer.decode(), port)]

    with ear, mouth:
        found = asyncio.run(Upstream(resolve, (), list).find("site.example", 443))
    assert found == (("1.1.1.1", 443),)


def test_a_silent_resolver_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes: the name is not found, which is not certain."""
    monkeypatch.setattr("schoolgate_proxy.upstream._LOOKUP_SECONDS", 0.02)

    async def resolve(_name: str, _port: int) -> Sequence[tuple[str, int]]:
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(NameNotFound) as caught:
        asyncio.run(Upstream(resolve, (), list).find("site.example", 443))
    assert not caught.value.certain


def test_a_name_without_an_answer_is_not_found() -> None:
    """No answer and a failing resolver are the same to the asker."""

    async def fail(_name: str, _port: int) -> Sequence[tuple[str, int]]:
        raise socket.gaierror(-2, "no")

    for upstream in (_upstream({}), Upstream(fail, (), list)):
        with pytest.raises(NameNotFound):
            asyncio.run(upstream.anchor("none", 443))


def test_an_anchor_is_pooled_by_name_and_dialled_by_address() -> None:
    """mitmproxy's pool compares an anchor with the name; whoever unpacks it gets the address."""
    anchor = Anchor("site.example", 443, ("192.0.2.1", 8443))
    assert anchor == ("site.example", 443)
    assert hash(anchor) == hash(("site.example", 443))
    assert [*anchor] == ["192.0.2.1", 8443]
    assert "{} {}".format(*anchor) == "192.0.2.1 8443"  # unpacked in a call, as mitmproxy does
