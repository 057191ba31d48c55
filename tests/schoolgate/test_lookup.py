"""The proxy looks names up at the configured resolvers, and at nobody else."""

import asyncio

import pytest

from schoolgate.demo.internet import ADDRESS, Internet
from schoolgate.lookup import UpstreamLookup
from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.upstream import Upstreams


def look_up(name, upstreams=None):
    async def ask():
        internet = Internet()
        await internet.start()
        try:
            config = DnsConfig(
                upstreams=upstreams or (internet.resolver,), udp_timeout=0.2, upstream_deadline=0.5
            )
            found = await UpstreamLookup(Upstreams(config, DnsMetrics(Metrics("test").registry)))(name, 443)
            return found, internet.asked
        finally:
            await internet.stop()

    return asyncio.run(ask())


def test_a_name_is_asked_for_in_both_families():
    """IPv4 and IPv6 are asked for; what is found comes with the port."""
    found, asked = look_up("www.example.org")
    assert found == [(ADDRESS, 443)]
    assert [name.lower() for name in asked] == ["www.example.org."] * 2


def test_no_answer_is_an_oserror():
    """A dead upstream is the world's failure, told as OSError."""
    with pytest.raises(OSError, match="cannot look up"):
        look_up("www.example.org", upstreams=(("127.0.99.2", 9),))
