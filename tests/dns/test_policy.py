"""The sinkhole under the real engine: DNS says what the policy says, to everybody, at every minute."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from dnslib import QTYPE, RR, DNSRecord
from policies import policy_of

from schoolgate_dns import DnsConfig, Transport
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.resolver import Asker, Resolver
from schoolgate_dns.upstream import Upstreams
from schoolgate_policy.decision import Attempt
from schoolgate_policy.engine import Engine

RULES = """\
always_allow: [childline.org.uk]
rules:
  - {block: [twitter], reason: never}
  - {block: [facebook], for: [pupils], reason: not for pupils}
  - {block: [category:video], for: [staff, pupils], during: [lessons], reason: not in lessons}
  - {block: ["category:circumvention"], reason: no ways round}
exceptions:
  - {id: REQ-1, allow: [facebook.com], for: [room-5], from: 2026-11-23, until: 2026-11-25, during: [lunch],
     reason: news, reviewed_by: e-safety officer, approved_by: headteacher}
"""
PAGE = "10.20.0.1"


class Truth(Upstreams):
    """An upstream that knows every name."""

    async def learn(self, query, read, begun=None):
        request = DNSRecord.parse(b"\0\1\1\0\0\1\0\0\0\0\0\0" + query.question)
        reply = request.reply(ra=1)
        if query.qtype == QTYPE.A:
            reply.add_answer(*RR.fromZone(f"{request.q.qname} 3600 A 198.51.100.7"))
        return read(bytes(reply.pack()))


class Surroundings:
    """Policy source, clock and the rest, for a resolver without sockets."""

    def __init__(self, engine: Engine, recorder, counters) -> None:
        self.engine = engine
        self.now = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
        config = DnsConfig(answer_unknown=True, queries_per_second=0, same_answers_per_second=0)
        truth = Truth(config, counters)
        self.lookup = Lookup(config, truth, recorder, counters)
        self.resolver = Resolver(
            config, source=self, recorder=recorder, counters=counters, clock=lambda: self.now, lookup=self.lookup,
            quick=QuickLookup(config, self.lookup, truth, counters, recorder),
        )  # fmt: skip

    async def ask(self, host: str, client: str) -> DNSRecord:
        query = DNSRecord.question(host).pack()
        outcome = self.resolver.handle(bytes(query), Asker(client, ip_address(PAGE), Transport.UDP))
        return DNSRecord.parse(outcome if isinstance(outcome, bytes) else await outcome)


@pytest.fixture
def surroundings(rig):
    return Surroundings(Engine(policy_of(RULES)), rig.recorder, rig.counters)


def verdict(reply: DNSRecord) -> str:
    if reply.header.rcode == 3:
        return "nothing"
    return {"198.51.100.7": "answer", PAGE: "page"}[str(reply.rr[-1].rdata)]


def expected(engine: Engine, host: str, client: str, at: datetime) -> str:
    decision = engine.decide(Attempt(client, host, at))
    if not decision.blocked:
        return "answer"
    return "nothing" if decision.network == "guests" or decision.category == "doh" else "page"


def test_dns_and_engine_agree(surroundings):
    """Ten thousand clients, hosts and minutes: the answer is the verdict of an engine that remembers nothing."""
    chance = random.Random(20261123)
    judge = Engine(surroundings.engine.policy)
    hosts = ["facebook.com", "www.facebook.com", "x.com", "netflix.com", "youtube.com", "m.youtube.com", "dns.google",
             "childline.org.uk", "bbc.co.uk", "notfacebook.com", "barclays.co.uk"]  # fmt: skip
    clients = ["10.10.0.20", "10.10.3.3", "10.20.0.7", "10.20.5.5", "10.30.0.9", "192.0.2.1", "fd00:20::5"]

    async def compare() -> None:
        for _ in range(10_000):
            host, client = chance.choice(hosts), chance.choice(clients)
            surroundings.now = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(
                minutes=chance.randrange(7 * 24 * 60)
            )
            reply = await surroundings.ask(host, client)
            told = verdict(reply)
            assert told == expected(judge, host, client, surroundings.now), (host, client, surroundings.now)

    asyncio.run(compare())


def test_nothing_leaks_between_networks_or_over_an_edge(surroundings):
    """Staff and pupils in turns around the start of lessons: each its own, and no TTL beyond the edge."""
    edge = datetime(2026, 11, 23, 8, 50, tzinfo=UTC)

    async def interleave() -> None:
        for turn in range(10_000):
            surroundings.now = edge + timedelta(milliseconds=(turn - 5_000) * 20)
            client, host = ("10.10.3.3", "youtube.com") if turn % 2 else ("10.20.0.7", "facebook.com")
            reply = await surroundings.ask(host, client)
            lessons = surroundings.now >= edge
            assert verdict(reply) == ("page" if lessons or not turn % 2 else "answer")
            if turn % 2 and not lessons:
                left = (edge - surroundings.now).total_seconds()
                assert max(record.ttl for record in reply.rr) <= max(1, left)

    asyncio.run(interleave())


def test_a_new_policy_bites_with_the_next_query(surroundings):
    """The engine is asked for each time: a reload needs no restart and flushes nothing."""

    async def reload() -> None:
        assert verdict(await surroundings.ask("bbc.co.uk", "10.20.0.7")) == "answer"
        old = surroundings.engine
        surroundings.engine = Engine(policy_of("rules:\n  - {block: [bbc.co.uk], reason: new}\n"))
        assert verdict(await surroundings.ask("bbc.co.uk", "10.20.0.7")) == "page"
        surroundings.engine = old
        assert verdict(await surroundings.ask("bbc.co.uk", "10.20.0.7")) == "answer"

    asyncio.run(reload())
