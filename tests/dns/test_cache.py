"""Upstream's truth remembered: for how long, for whom, and what happens when it is over."""

import asyncio
from dataclasses import replace

import pytest
from dnslib import QTYPE

from schoolgate_dns.answer import Answer
from schoolgate_dns.cache import Cache
from schoolgate_dns.query import Query
from schoolgate_dns.reply import Body


def query(name: bytes, qtype: int = 1) -> Query:
    return Query(1, 0x100, name + b"\0\1\0\1", name, "", qtype, None)


def answer(octets: int = 10, lifetime: int = 100) -> Answer:
    return Answer(0, Body(bytes(octets)), lifetime=lifetime)


def test_the_cache_is_bounded_by_entries():
    """A million random names do not grow it; the least recently used go first."""
    cache = Cache(1_000, 10**9)
    keep, said = query(b"\4keep\0"), answer()
    cache.put(keep, said, 0)
    for number in range(1_000_000):
        cache.put(query(b"\x07%07d\0" % number), said, 0)
        if number % 500 == 0:
            assert cache.get(keep, 0) is not None
            assert len(cache) <= 1_000
    assert len(cache) > 900


def test_the_cache_is_bounded_by_octets():
    """Large answers push out more than small ones; one too large for all is not kept."""
    cache = Cache(10**6, 1_000_000)
    for number in range(200):
        cache.put(query(b"\x05%05d\0" % number), answer(60_000), 0)
    assert 15 <= len(cache) <= 16
    cache.put(query(b"\1x\0"), answer(2_000_000), 0)
    assert cache.get(query(b"\1x\0"), 0) is None
    cache.put(query(b"\1y\0"), answer(), 0)
    assert cache.get(query(b"\1y\0"), 0) is not None


def test_what_is_too_old_is_forgotten():
    """Fresh on [0, lifetime), stale until the end of the stale window, then gone."""
    cache = Cache(10, 10**6, stale_seconds=50)
    cache.put(query(b"\1x\0"), answer(), 1000)
    seen = [cache.get(query(b"\1x\0"), now) for now in (1000, 1099, 1100, 1149, 1150)]
    assert [found and (found.age, found.stale) for found in seen] == [
        (0, False),
        (99, False),
        (100, True),
        (149, True),
        None,
    ]
    cache.put(query(b"\1x\0"), replace(answer(), lifetime=0), 0)
    assert len(cache) == 0


def test_ttls_count_down_and_run_out(rig):
    """A cached answer gets older; when its time is over upstream is asked again."""
    rig.upstream.add("x.example", "A", "x.example. 100 A 198.51.100.7")
    assert rig.ask("x.example").rr[0].ttl == 100
    rig.pass_time(40)
    assert rig.ask("x.example").rr[0].ttl in {59, 60}
    assert rig.upstream.count("x.example") == 1
    rig.pass_time(60)
    assert rig.ask("x.example").rr[0].ttl == 100
    assert rig.upstream.count("x.example") == 2


@pytest.mark.parametrize(("name", "rcode"), [("nope.example", 3), ("there.example", 0)])
def test_a_no_is_remembered_as_long_as_its_soa_says(rig, name, rcode):
    """RFC 2308: NXDOMAIN and NODATA for the lesser of SOA TTL and minimum (50 here), the SOA counted down."""
    rig.upstream.add("there.example", "TXT", 'there.example. 9 TXT "x"')
    first = rig.ask(name)
    rig.pass_time(20)
    second = rig.ask(name)
    assert [(reply.header.rcode, QTYPE[reply.auth[0].rtype]) for reply in (first, second)] == [
        (rcode, "SOA")
    ] * 2
    assert first.auth[0].ttl == 50
    assert second.auth[0].ttl in {29, 30}
    assert rig.upstream.count(name) == 1
    rig.pass_time(30)
    rig.ask(name)
    assert rig.upstream.count(name) == 2


def test_nothing_is_below_a_name_that_does_not_exist(rig):
    """RFC 8020: a cached NXDOMAIN covers other types and all names below, with the same SOA; not where DO asks for proof."""
    rig.ask("nope.example")
    for name, qtype in (("nope.example", "AAAA"), ("a.b.nope.example", "A")):
        reply = rig.ask(name, qtype)
        assert (reply.header.rcode, str(reply.auth[0].rname), str(reply.q.qname)) == (
            3,
            "example.",
            name + ".",
        )
        assert reply.auth[0].rdata.mname == "ns.example."
    assert len(rig.upstream.asked) == 1
    rig.ask("a.nope.example", do=True)
    rig.ask("xnope.example")
    assert len(rig.upstream.asked) == 3


def test_an_alias_to_nowhere_denies_only_its_target(rig):
    """NXDOMAIN behind a CNAME says nothing about names below the alias."""

    def script(request, _):
        reply = rig.upstream.reply(request)
        reply.header.rcode = 3
        return reply.pack()

    rig.upstream.add(
        "alias.example",
        "A",
        "alias.example. 90 CNAME gone.example.",
        "example. 90 SOA ns.example. h.example. 1 2 3 4 90",
    )
    rig.upstream.script = script
    assert rig.ask("alias.example").header.rcode == 3
    rig.upstream.script = None
    rig.upstream.add("a.alias.example", "A", "a.alias.example. 90 A 198.51.100.7")
    assert len(rig.ask("a.alias.example").rr) == 1


def test_zero_ttl_is_told_but_not_kept(rig):
    """TTL 0 means now only."""
    rig.upstream.add("x.example", "A", "x.example. 0 A 198.51.100.7")
    assert [rig.ask("x.example").rr[0].ttl for _ in range(2)] == [0, 0]
    assert rig.upstream.count("x.example") == 2


class TestStale:
    """RFC 8767: old data are better than none, under today's policy."""

    @pytest.fixture
    def stale(self, rig):
        rig.upstream.add("x.example", "A", "x.example. 100 A 198.51.100.7")
        rig.ask("x.example")
        rig.upstream.silent = True
        rig.pass_time(200)
        return rig

    def test_stale_answers_while_upstream_is_dead(self, stale, dns):
        """NOERROR, TTL at most 30, EDE 3; the second time without waiting."""
        for _ in range(2):
            reply = stale.ask("x.example")
            assert (reply.header.rcode, str(reply.rr[0].rdata), reply.rr[0].ttl) == (0, "198.51.100.7", 30)
            assert dns.edes(reply)[0][0] == 3

    def test_policy_of_today_applies(self, stale):
        """What was allowed then and is blocked now is blocked."""
        stale.engine.block("x.example")
        assert str(stale.ask("x.example").rr[0].rdata) == "127.0.0.1"

    def test_not_for_ever(self, stale):
        """After the stale window it is SERVFAIL."""
        stale.pass_time(stale.config.stale_seconds)
        assert stale.ask("x.example").header.rcode == 2

    def test_a_slow_upstream_is_not_waited_for(self, make_rig, dns):
        """The client gets the stale answer in time; the late one still refreshes the cache."""
        rig = make_rig(stale_after=0.1, udp_timeout=5.0)
        rig.upstream.add("x.example", "A", "x.example. 100 A 198.51.100.7")
        rig.ask("x.example")
        rig.pass_time(200)
        rig.upstream.delay["x.example"] = 0.4
        rig.upstream.add("x.example", "A", "x.example. 100 A 198.51.100.8")
        assert dns.edes(rig.ask("x.example"))[0][0] == 3
        rig.run(wait_for_lookups(rig))
        reply = rig.ask("x.example")
        assert (str(reply.rr[0].rdata), dns.edes(reply)) == ("198.51.100.8", [])


async def wait_for_lookups(rig) -> None:
    await asyncio.gather(*rig.server._lookup._asking.values())
