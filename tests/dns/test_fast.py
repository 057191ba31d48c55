"""The fast path says to the letter what the slow one would say, to everybody, at every instant; and counts it."""

import asyncio
import random
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from dnslib import QTYPE, RR, DNSRecord
from policies import policy_of

from schoolgate_dns import DnsConfig, Transport, batch
from schoolgate_dns.admission import Asker
from schoolgate_dns.fast import FastPath
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.quick import QuickLookup
from schoolgate_dns.resolver import Resolver
from schoolgate_dns.upstream import Upstreams
from schoolgate_policy.engine import Engine

RULES = """\
always_allow: [childline.org.uk]
rules:
  - {block: [twitter], reason: never}
  - {block: [facebook], for: [pupils], reason: not for pupils}
  - {block: [category:video], for: [staff, pupils], during: [lessons], reason: not in lessons}
  - {block: ["category:circumvention"], reason: no ways round}
"""
CLIENTS = ["10.10.0.20", "10.10.3.3", "10.20.0.7", "10.20.5.5", "10.30.0.9", "fd00:20::5"]
HOSTS = ["facebook.com", "www.facebook.com", "x.com", "netflix.com", "m.youtube.com", "dns.google", "childline.org.uk",
         "bbc.co.uk", "short.example", "shorter.example", "cloak.example", "later.example", "no.example", "a.no.example",
         "empty.example", "private.example", "localhost", "5.0.0.10.in-addr.arpa", "www.google.com", "odd--x.example"]  # fmt: skip
TRUTH = {
    "short.example": "{} 40 A 198.51.100.7",
    "shorter.example": "{} 7 A 198.51.100.8\n{} 9 A 198.51.100.9",
    "cloak.example": "{} 300 CNAME www.facebook.com.\nwww.facebook.com. 60 A 198.51.100.1",
    "later.example": "{} 300 CNAME netflix.com.\nnetflix.com. 100 A 198.51.100.1",
    "private.example": "{} 300 A 10.0.0.1",
}
SOA = "example. 100 IN SOA ns.example. host.example. 1 2 3 4 50"
LOCAL = ip_address("10.20.0.1")


class Truth(Upstreams):
    """An upstream that answers by `TRUTH`."""

    async def learn(self, query, read, begun=None):
        request = DNSRecord.parse(b"\0\1\1\0\0\1\0\0\0\0\0\0" + query.question)
        reply = request.reply(ra=1)
        if query.host.endswith("no.example"):
            reply.header.rcode = 3
        elif query.qtype == QTYPE.A and query.host != "empty.example":
            zone = TRUTH.get(query.host, "{} 3600 A 198.51.100.7")
            reply.add_answer(*RR.fromZone(zone.replace("{}", str(request.q.qname))))
        if not reply.rr:
            reply.add_auth(*RR.fromZone(SOA))
        return read(bytes(reply.pack()))


class Pair:
    """A fast path, the slow one behind it, and their clocks."""

    def __init__(self, recorder, counters, **settings) -> None:
        self.engine = Engine(policy_of(RULES))
        self.now = datetime(2026, 11, 23, 8, 45, tzinfo=UTC)
        self.seconds = 0.0
        self.recorder, self.counters = recorder, counters
        config = DnsConfig(
            **{"answer_unknown": True, "queries_per_second": 0, "same_answers_per_second": 0,
               "tunnel_names": 0, "cookie_secret": bytes(16), **settings}
        )  # fmt: skip
        truth = Truth(config, counters)
        self.lookup = Lookup(config, truth, recorder, counters, lambda: self.seconds)
        self.slow = Resolver(
            config, source=self, recorder=recorder, counters=counters, clock=lambda: self.now, lookup=self.lookup,
            quick=QuickLookup(config, self.lookup, truth, counters, recorder), monotonic=lambda: self.seconds,
        )  # fmt: skip
        self.handled = 0
        self.fast = FastPath(
            config, source=self, recorder=recorder, counters=counters, clock=lambda: self.now, lookup=self.lookup,
            resolver=self,
        )  # fmt: skip

    @property
    def admission(self):
        return self.slow.admission

    def handle(self, message, asker):
        """Count what the fast path leaves to the slow one."""
        self.handled += 1
        asker = Asker(
            asker.address, asker.local, asker.transport, asker.basis
        )  # the long way: no sockets here
        return self.slow.handle(message, asker)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += max(seconds, 0)

    async def ask_fast(self, message: bytes, client: str) -> bytes | None:
        self.fast.tick()
        message, key = bytes(message), client.encode()
        look, note, lane = self.fast.lanes.get(key) or self.fast.enter(key, client, LOCAL)
        body = look(message[2:])
        if body is not None:
            note(body)
        else:
            later = []
            body = self.fast.again(message[2:], lane) or self.fast.respond(message, lane, later.append)
            if later:
                return await later[0] if asyncio.iscoroutine(later[0]) else later[0]
        return None if body is None else message[:2] + batch.read_piece(body)

    async def ask_slow(self, message: bytes, client: str) -> bytes | None:
        """Ask the resolver alone."""
        outcome = self.slow.handle(message, Asker(client, LOCAL, Transport.UDP))
        return outcome if outcome is None or isinstance(outcome, bytes) else await outcome


@pytest.fixture
def pair(rig):
    return Pair(rig.recorder, rig.counters)


def generate(chance: random.Random, make_query) -> bytes:
    host = chance.choice(HOSTS)
    if chance.random() < 0.1:
        host = "".join(chance.choice((letter.upper(), letter)) for letter in host)
    options = [(10, bytes(8)), (8, b"\0\1\x18\0\x0a\x14\0"), (12, bytes(20)), (15, b"")]
    message = make_query(
        host,
        chance.choice(["A", "A", "A", "AAAA", "HTTPS", "TXT", "ANY", "PTR"]),
        edns=chance.random() < 0.6,
        do=chance.random() < 0.1,
        size=chance.choice([512, 1232, 1232, 4096, 0]),
        options=[chance.choice(options)] if chance.random() < 0.05 else [],
        rd=chance.random() < 0.98,
        cd=chance.random() < 0.05,
        ad=chance.random() < 0.2,
        ident=chance.randrange(65536),
    )
    if chance.random() < 0.01:
        message = message[: chance.randrange(len(message))]
    elif chance.random() < 0.01:
        spoilt = bytearray(message)
        spoilt[chance.randrange(2, len(spoilt))] = chance.randrange(256)
        message = bytes(spoilt)
    return bytes(message)


def test_the_fast_path_says_what_the_slow_one_says(pair, dns):
    """100,000 of 10,000 generated queries around edges, reloads and clock jumps: the same bytes, mostly without the resolver."""
    chance = random.Random(20261121)
    asked = [generate(chance, dns.query) for _ in range(400)]
    same = 100_000

    async def compare() -> None:
        for number in range(same):
            if number % 10 == 0:
                asked[chance.randrange(len(asked))] = generate(chance, dns.query)
            message, client = chance.choice(asked), chance.choice(CLIENTS)
            if number % 40 == 0:
                pair.pass_time(chance.choice([0.1, 0.4, 0.9, 1.0, 7.3]))
            if number % 5_000 == 0:
                pair.engine = Engine(
                    policy_of(RULES if number % 10_000 else RULES.replace("[twitter]", "[bbc.co.uk]"))
                )
            if number % 7_001 == 0:
                pair.now -= timedelta(seconds=chance.choice([1, 500]))
            if number % 3:
                slow, fast = await pair.ask_slow(message, client), await pair.ask_fast(message, client)
            else:  # nothing is remembered when the fast one begins
                fast, slow = await pair.ask_fast(message, client), await pair.ask_slow(message, client)
            assert fast == slow, (number, client, pair.now, message)

    asyncio.run(compare())
    assert pair.handled < same * 0.8
    assert pair.recorder.faults == []


def test_a_busy_moment_is_answered_without_the_resolver(pair, dns):
    """Within and across seconds only the first two queries of a name are looked at; TTLs count down nevertheless."""

    async def ask() -> list[int]:
        query = dns.query("short.example", edns=False, ident=7)
        ttls = []
        for _ in range(30):
            reply = DNSRecord.parse(await pair.ask_fast(query, CLIENTS[0]))
            ttls.append(reply.rr[0].ttl)
            pair.pass_time(0.5)
        return ttls

    assert asyncio.run(ask()) == [40 - number // 2 for number in range(30)]
    assert pair.handled == 2


def test_everything_given_is_counted(pair, dns):
    """The record and the counters have as many verdicts, answers and cache hits as there were queries."""

    async def ask() -> None:
        for _ in range(100):
            for host, client in (("x.com", CLIENTS[0]), ("bbc.co.uk", CLIENTS[0]), ("x.com", CLIENTS[4])):
                await pair.ask_fast(dns.query(host, ident=1), client)
            pair.pass_time(0.1)

    asyncio.run(ask())
    pair.fast.settle()
    pair.fast.settle()
    told = Counter((attempt.address, decision.host) for attempt, decision in pair.recorder.decisions)
    assert told == {(CLIENTS[0], "x.com"): 100, (CLIENTS[0], "bbc.co.uk"): 100, (CLIENTS[4], "x.com"): 100}
    seen = pair.counters.seen
    assert seen["query", "udp", "NOERROR"] + seen["query", "udp", "NXDOMAIN"] == 300
    assert (seen["cache", "miss"], seen["cache", "hit"]) == (1, 99)


def test_a_rush_is_handed_in_bit_by_bit(pair, dns):
    """The record gets a hundred notes at a time, so that no query waits for thousands; in the end it has all of them."""

    async def ask() -> None:
        for number in range(700):
            for _ in range(3):  # from upstream, from the cache, from the tables
                await pair.ask_fast(dns.query(f"n{number}.bbc.co.uk", ident=1), CLIENTS[0])

    asyncio.run(ask())
    asked = len(pair.recorder.decisions)  # by the resolver, which tells at once
    pair.fast.settle()
    sizes = [len(pair.recorder.decisions) - asked]
    while pair.fast.hand_in():
        sizes.append(len(pair.recorder.decisions) - asked - sum(sizes))
    told = Counter(decision.host for _, decision in pair.recorder.decisions)
    assert sizes == [100] * 7
    assert told == {f"n{number}.bbc.co.uk": 3 for number in range(700)}


def test_techniques_are_seen_every_time(pair, dns):
    """What leaves an event behind is never answered from the tables."""

    async def ask() -> None:
        for _ in range(10):
            await pair.ask_fast(dns.query("dns.google"), CLIENTS[2])
            await pair.ask_fast(dns.query("use-application-dns.net"), CLIENTS[2])

    asyncio.run(ask())
    assert Counter(name for name, *_ in pair.recorder.techniques) == {"doh": 10, "doh_canary": 10}


def test_nothing_leaks_over_an_edge_or_between_networks(pair, dns):
    """Staff and guests in turns around the start of lessons, ten thousand times, on the fast path."""
    edge = datetime(2026, 11, 23, 8, 50, tzinfo=UTC)
    query = dns.query("youtube.com", edns=False, ident=5)

    async def interleave() -> None:
        for turn in range(10_000):
            pair.now = edge + timedelta(milliseconds=(turn - 5_000) * 20)
            reply = DNSRecord.parse(await pair.ask_fast(query, CLIENTS[1] if turn % 2 else CLIENTS[4]))
            if turn % 2 == 0:
                assert reply.header.rcode == 3, turn  # never for guests
                continue
            assert str(reply.rr[-1].rdata) == (str(LOCAL) if pair.now >= edge else "198.51.100.7"), turn
            if pair.now < edge:
                assert reply.rr[-1].ttl <= max(1, (edge - pair.now).total_seconds())

    asyncio.run(interleave())
    assert pair.handled < 2_000


def test_a_million_names_do_not_grow_the_tables(rig, dns):
    """Kept answers are bounded, also when every name is asked twice; so is the arena, and what does not fit is told."""
    pair = Pair(rig.recorder, rig.counters, fast_entries=100)

    async def ask() -> None:
        for number in range(3_000):
            for _ in range(2):
                reply = await pair.ask_fast(dns.query(f"n{number}.x.com", ident=3), CLIENTS[0])
                assert reply[3] & 15 == 0
            table = pair.fast.lanes[CLIENTS[0].encode()][2].table
            assert len(table.kept) + len(table.older) <= 100

    asyncio.run(ask())


def test_a_client_over_its_limit_is_left_to_the_resolver(rig, dns):
    """Answers given fast count for the limits of a client: beyond them it is turned away."""
    pair = Pair(rig.recorder, rig.counters, queries_per_second=50)

    async def ask() -> Counter:
        seen = Counter()
        for number in range(2_000):
            reply = await pair.ask_fast(dns.query("x.com", ident=3), CLIENTS[0])
            seen["dropped" if reply is None else "cut" if reply[2] & 2 else "told"] += 1
            entrance = pair.fast.lanes[CLIENTS[0].encode()]
            if len(entrance[2].given) > pair.fast.allowance:
                pair.fast.close(CLIENTS[0].encode())
            if number % 200 == 0:
                pair.pass_time(1)
        return seen

    seen = asyncio.run(ask())
    assert seen["told"] <= 50 * 2 * 12
    assert seen["dropped"] > 300
    assert seen["cut"] > 300


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize("batched", [True, False])
def test_sockets_of_every_kind_in_batches_or_one_by_one(make_rig, monkeypatch, dns, listen, batched):
    """Bursts of hot, cold, broken and overlong queries: each answered with its id, from the address it was sent to."""
    monkeypatch.setattr(batch, "available", lambda: batched)
    try:
        rig = make_rig(listen=((listen, 0),))
    except OSError:
        pytest.skip("this machine has no IPv6")
    rig.engine.block("bad.example")
    rig.upstream.add("good.example", "A", "good.example. 300 A 198.51.100.7")
    six = ":" in listen
    target = ("::1" if six else "127.0.0.7" if listen == "0.0.0.0" else "127.0.0.1", rig.address[1])
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(8)
        sock.connect(target)  # an answer from another address would not be seen
        for _ in range(6):
            sent = {}
            for ident in range(120):
                host = ("bad.example", "good.example", "GOOD.example", f"n{ident}.bad.example")[ident % 4]
                options = [(12, bytes(400))] if ident % 16 == 3 else []
                message = dns.query(host, ident=ident, options=options)
                sent[ident] = message[12 : 12 + len(host) + 6], ident % 4 in {0, 3}
                sock.send(message if ident % 10 != 9 else message[:20])
            while sent:
                reply = sock.recv(4096)
                ident = int.from_bytes(reply[:2])
                question, blocked = sent.pop(ident)
                if ident % 10 == 9:
                    assert reply[3] & 15 == 1
                    continue
                assert reply[12 : 12 + len(question)] == question
                assert (b"\xc6\x33\x64\x07" in reply) == (not blocked)
    assert rig.recorder.faults == []
