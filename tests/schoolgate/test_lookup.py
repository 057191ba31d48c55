"""The proxy looks names up at the configured resolvers, and at nobody else."""

import asyncio

import pytest

from schoolgate.demo.internet import ADDRESS, Internet
from schoolgate.lookup import UpstreamLookup
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.upstream import Upstreams


def look_up(name, upstreams=None, own_zones=frozenset()):
    async def ask():
        internet = Internet()
        await internet.start()
        try:
            config = DnsConfig(
                upstreams=upstreams or (internet.resolver,), udp_timeout=0.2, upstream_deadline=0.5
            )
            asked = Upstreams(config, DnsMetrics(Metrics("test").registry))
            return await UpstreamLookup(asked, own_zones)(name, 443), internet.asked
        finally:
            await internet.stop()

    return asyncio.run(ask())


def test_a_name_is_asked_for_in_both_families():
    """IPv4 and IPv6 are asked for; what is found comes with the port."""
    found, asked = look_up("www.example.org")
    assert found == [(ADDRESS, 443)]
    assert [name.lower() for name in asked] == ["www.example.org."] * 2


@pytest.mark.parametrize(
    "name", ["q3xk7c2lmn5a.invalid", "hidden.onion", "wpad.example.org", "printer.local"]
)
def test_a_special_name_is_nobodys(name):
    """What the sinkhole answers itself leads nowhere through the proxy either, and leaves the box by neither way."""
    with pytest.raises(OSError, match="not a name of the internet"):
        look_up(name)


def test_the_schools_own_zone_is_no_special_name():
    """A name of an own zone is asked for, even below `.local`."""
    found, asked = look_up("intranet.school.local", own_zones=frozenset({"school.local"}))
    assert found == [(ADDRESS, 443)]
    assert len(asked) == 2


def test_no_answer_is_an_oserror():
    """A dead upstream is the world's failure, told as OSError."""
    with pytest.raises(OSError, match="cannot look up"):
        look_up("www.example.org", upstreams=(("127.0.99.2", 9),))
