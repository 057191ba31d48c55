"""The express way says to the letter what the resolver would say, whatever is asked and whatever upstream answers."""

import asyncio
import random
import struct
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from policies import policy_of

from schoolgate_dns import DnsConfig, Transport, Upstream
from schoolgate_dns.admission import Asker
from schoolgate_dns.express import Express, read_labels
from schoolgate_dns.fast import Lane
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
CLIENTS = ["10.10.0.20", "10.10.3.3", "10.20.0.7", "10.30.0.9", "fd00:20::5", "192.0.2.1"]
NAMED = ["www.facebook.com", "x.com", "netflix.com", "www.google.com", "www.youtube.com", "dns.google", "childline.org.uk",
         "wpad.example.org", "mask.icloud.com", "a.localhost", "5.0.0.10.in-addr.arpa", "use-application-dns.net",
         "2.dnscrypt-cert.example.org", "printer.local", "dc.ad.school.example", "odd--x.example", "single"]  # fmt: skip
LOCAL = ip_address("10.20.0.1")
A, AAAA, CNAME, SOA, OPT = 1, 28, 5, 6, 41


def record(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> bytes:
    return owner + struct.pack("!HHIH", rtype, 1, ttl, len(rdata)) + rdata


def wire(host: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in host.split(".")) + b"\0"


def upstream_says(question: bytes, *, spoilt: bool) -> bytes:
    """Answer a question without its id, always alike; `spoilt` where the short way may get something useless."""
    name, qtype = question[:-4].lower(), int.from_bytes(question[-4:-2])
    chance = random.Random(name + bytes([qtype & 0xFF]))
    kind = chance.choice(
        ["plain"] * 8
        + [
            "cname",
            "cloaked",
            "private",
            "nxdomain",
            "nodata",
            "other",
            "long",
            "full",
            "huge ttl",
            "useless",
        ]
    )
    size = 4 if qtype == A else 16
    address = (b"\xc6\x33\x64" if size == 4 else b"\x20\x01\x0d\xb8" + bytes(11)) + bytes(
        [chance.randrange(256)]
    )
    ttl, flags, answers, authorities = chance.choice([0, 1, 7, 60, 300, 301, 86_400, 200_000]), 0x8180, [], []
    owner = b"\xc0\x0c"
    if qtype not in {A, AAAA}:
        kind = "nodata"
    if kind == "useless" and spoilt:
        return struct.pack("!HHHHH", chance.choice([0x8380, 0x8182, 0x8185]), 1, 0, 0, 0) + question
    if kind in {"plain", "useless", "huge ttl"}:
        ttl = 0x80000001 if kind == "huge ttl" else ttl
        answers = [record(owner, qtype, ttl + n, address) for n in range(chance.choice([1, 1, 1, 2, 3, 6]))]
    elif kind == "cname":
        answers = [
            record(owner, CNAME, ttl, wire("cdn.example")),
            record(wire("cdn.example"), qtype, 90, address),
        ]
    elif kind == "cloaked":
        answers = [record(owner, CNAME, ttl, wire("www.facebook.com"))]
        answers += [record(wire("www.facebook.com"), qtype, 60, address)]
    elif kind == "private":
        answers = [
            record(owner, qtype, ttl, b"\x0a\0\0\1" if size == 4 else b"\xfd" + bytes(15)),
            record(owner, qtype, 60, address),
        ]
    elif kind == "other":
        answers = [
            record(owner, AAAA if qtype == A else A, ttl, bytes([198]) * (20 - size)),
            record(owner, qtype, ttl, address),
        ]
    elif kind in {"long", "full"}:
        answers = [
            record(owner, qtype, ttl, address[:-1] + bytes([n])) for n in range(20 if kind == "long" else 31)
        ]
    if kind in {"nxdomain", "nodata"}:
        flags |= 3 if kind == "nxdomain" else 0
        authorities = [
            record(
                wire("example"),
                SOA,
                100,
                wire("ns.example") + wire("host.example") + bytes(16) + struct.pack("!I", 50),
            )
        ]
    flags |= chance.choice([0, 0, 0, 0x20, 0x400])
    opt = chance.choice([b"", b"\0\0\x29\x04\xd0\0\0\0\0\0\0", b"\0\0\x29\x10\0\0\0\x80\0\0\0",
                         b"\0\0\x29\x04\xd0\0\0\0\0\0\x07\0\x0f\0\3\0\3!"])  # fmt: skip
    counts = struct.pack("!HHHHH", flags, 1, len(answers), len(authorities), int(bool(opt)))
    return counts + question + b"".join(answers) + b"".join(authorities) + opt


class Truth(Upstreams):
    """The long way to upstream, without sockets."""

    async def learn(self, query, read, begun=None):
        return read(b"\0\0" + upstream_says(query.question, spoilt=False))


class Wire:
    """The short way to upstream, without sockets: what is sent is answered at once, in one go, or not at all."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.forge = False

    def send(self, sock, messages) -> None:
        self.sent = list(messages)

    def receive(self, sock) -> list[bytes]:
        replies = []
        for message in self.sent:
            end = message.index(b"\0", 12) + 5
            replies.append(message[:2] + upstream_says(message[12:end], spoilt=True))
            if self.forge:
                replies.insert(0, replies[0][:12] + b"\3xyz" + replies[0][16:])
        self.sent = []
        return replies


class World:
    """A resolver, its cache and its limits; and where wanted the express way in front of it."""

    def __init__(self, recorder, counters, *, express: bool, **settings) -> None:
        self.engine = Engine(policy_of(RULES))
        self.now, self.seconds = datetime(2026, 11, 23, 8, 45, tzinfo=UTC), 0.0
        self.recorder, self.counters = recorder, counters
        config = DnsConfig(
            **{"queries_per_second": 0, "same_answers_per_second": 0, "cookie_secret": bytes(16), "tunnel_names": 50,
               "upstreams": (Upstream("127.0.0.1", 9),), "local_zones": frozenset({"ad.school.example"}), **settings}
        )  # fmt: skip
        truth = Truth(config, counters)
        lookup = Lookup(config, truth, recorder, counters, lambda: self.seconds)
        self.quick = QuickLookup(config, lookup, truth, counters, recorder)
        self.quick._volley = self.wire = Wire()
        parts = {"source": self, "recorder": recorder, "counters": counters, "clock": lambda: self.now}
        self.resolver = Resolver(
            config, **parts, lookup=lookup, quick=self.quick, monotonic=lambda: self.seconds
        )
        self.given: dict[bytes, bytes] = {}
        self.taken = self.finished = 0
        self.express = Express(
            config, **parts, lookup=lookup, quick=self.quick, resolver=self.resolver,
            monotonic=lambda: self.seconds, send=self.send, deliver=self.deliver,
        ) if express else None  # fmt: skip

    def send(self, envelopes, replies) -> int:
        self.given.update(zip(envelopes, replies, strict=True))
        self.finished += len(replies)
        return 0

    def deliver(self, envelope, later) -> None:
        self.given[envelope] = later

    async def ask(self, asked: list[tuple[bytes, str]]) -> list[bytes | None]:
        """Ask some questions at once."""
        if self.express is not None:
            self.express.begin()
        for number, (message, client) in enumerate(asked):
            envelope = bytes([number])
            if self.express is not None and self.express.take(message, Lane(client, LOCAL, None), envelope):
                self.taken += 1
                continue
            outcome = self.resolver.handle(message, Asker(client, LOCAL, Transport.UDP))
            self.given[envelope] = outcome
        self.quick.flush()
        for flight in [one for one in self.quick._flights if one.questions]:
            self.quick._land(flight)
        if self.express is not None:
            self.express.flush()
        given = [self.given.pop(bytes([number]), None) for number in range(len(asked))]
        assert not self.given
        return [await one if asyncio.iscoroutine(one) else one for one in given]


def generate(chance: random.Random, names: list[str], make_query) -> bytes:
    host = chance.choice(names)
    if chance.random() < 0.1:
        host = "".join(chance.choice((letter.upper(), letter)) for letter in host)
    message = bytearray(make_query(
        host, chance.choice(["A"] * 6 + ["AAAA", "AAAA", "HTTPS", "TXT"]), edns=chance.random() < 0.7,
        do=chance.random() < 0.05, size=chance.choice([512, 1232, 4096, 0]), rd=chance.random() < 0.98,
        options=[(10, bytes(8))] if chance.random() < 0.03 else [], cd=chance.random() < 0.03,
        ad=chance.random() < 0.2, ident=chance.randrange(65536),
    ))  # fmt: skip
    if chance.random() < 0.03:
        message[chance.randrange(2, len(message))] = chance.randrange(256)
    if chance.random() < 0.01:
        del message[chance.randrange(len(message)) :]
    return bytes(message)


@pytest.fixture
def worlds(make_rig):
    """Two worlds that are asked the same, one with the express way."""

    def make(**settings) -> tuple[World, World]:
        rigs = make_rig(), make_rig()
        return tuple(
            World(rig.recorder, rig.counters, express=number == 0, **settings)
            for number, rig in enumerate(rigs)
        )

    return make


@pytest.mark.parametrize("trust_ad", [False, True])
def test_the_express_way_says_what_the_resolver_says(worlds, dns, trust_ad):
    """Fifteen thousand questions, answers of every kind, time passing, reloads and forgeries: the same bytes and events."""
    fast, slow = worlds(trust_ad=trust_ad)
    chance = random.Random(8484)

    async def compare() -> None:
        for turn in range(1_000):
            fresh = [f"n{chance.randrange(10**6)}.{chance.choice('abc')}{turn}.{chance.choice(['org', 'co.uk', 'zz'])}"
                     for _ in range(12)]  # fmt: skip
            asked = [
                (generate(chance, fresh * 2 + NAMED, dns.query), chance.choice(CLIENTS)) for _ in range(15)
            ]
            fast.wire.forge = chance.random() < 0.1
            assert await fast.ask(asked) == await slow.ask(asked), turn
            step = chance.choice([0, 0.3, 1, 61])
            for world in (fast, slow):
                world.now += timedelta(seconds=step)
                world.seconds += step
                if turn % 200 == 199:
                    world.engine = Engine(policy_of(RULES.replace("[twitter]", f"[n{turn}.example]")))
        fast.quick.close()

    asyncio.run(compare())
    assert fast.finished > 1_000
    for one in ("techniques", "decisions"):
        seen = [Counter(map(_who, getattr(world.recorder, one))) for world in (fast, slow)]
        assert seen[0] == seen[1]
    assert [fast.recorder.faults, slow.recorder.faults] == [[], []]
    for world in (fast, slow):
        del world.counters.seen["forged"], world.counters.seen["upstream", "answered"]
    assert fast.counters.seen == slow.counters.seen


def _who(event) -> tuple:
    if len(event) == 4:
        return event
    attempt, decision = event
    return attempt.address, decision.host, decision.verdict


def test_a_verdict_that_changes_while_upstream_thinks_holds(worlds, dns):
    """Blocked between question and answer: the answer is the block; beyond the edge of a schedule too."""
    fast, _ = worlds()
    fast.now = datetime(2026, 11, 23, 8, 49, 59, tzinfo=UTC)

    async def ask() -> list[bytes]:
        given = []
        for change in ("edge", "policy"):
            fast.express.begin()
            name = "youtube.com" if change == "edge" else "n1.example.org"
            assert fast.express.take(bytes(dns.query(name, ident=7)), Lane(CLIENTS[2], LOCAL, None), b"x")
            fast.quick.flush()
            if change == "edge":
                fast.now += timedelta(seconds=2)
            else:
                fast.engine = Engine(policy_of(RULES.replace("[twitter]", "[example.org]")))
            fast.quick._land(fast.quick._flights.pop())
            fast.express.flush()
            given.append(fast.given.pop(b"x"))
        fast.quick.close()
        return given

    for reply in asyncio.run(ask()):
        assert LOCAL.packed in reply


def test_limits_hold_on_the_express_way(worlds, dns):
    """A client's rate and a domain's budget of names are kept, and each gets its event, as on the long way."""
    fast, slow = worlds(queries_per_second=100, tunnel_names=20)

    async def ask(world: World) -> list[Counter]:
        tunnel, flood = Counter(), Counter()
        for number in range(40):
            message = bytes(dns.query(f"x{number}.tunnel.org", ident=number))
            for reply in await world.ask([(message, CLIENTS[0])]):
                tunnel[reply[3] & 15] += 1
        for number in range(400):
            message = bytes(dns.query(f"y.d{number}.org", ident=number))
            for reply in await world.ask([(message, CLIENTS[1])]):
                flood["dropped" if reply is None else "cut" if reply[2] & 2 else "told"] += 1
        world.quick.close()
        return [tunnel, flood]

    expected, seen = asyncio.run(ask(slow)), asyncio.run(ask(fast))
    assert seen == expected
    assert expected[0][5] == 20
    assert expected[1]["told"] <= 202
    assert fast.recorder.techniques == slow.recorder.techniques != []


@pytest.mark.parametrize(
    "name",
    [b"\0", b"\3com\0", b"\x03www\x03com\0\x03net\0", b"\x04www\x03com\0", b"\x03a.b\x03com\0", b"\x03a\x00b\x03com\0",
     b"\x03\xc0\x0cb\x03com\0", b"\x03www\x03com", b"\x40" + b"a" * 64 + b"\3com\0", b"\x30" + b"0" * 48 + b"\3com\0",
     b"\x05a\3com\3org\0", (b"\x2c" + b"a" * 44) * 6 + b"\0", b"\x03w w\x03com\0"],
)  # fmt: skip
def test_odd_names_are_left_to_the_resolver(name):
    """A name whose lengths, letters or end are not the usual ones is never read here."""
    assert read_labels(name) is None


def test_labels_are_those_that_the_long_way_reads():
    """Names of every length, of every letter a host may have: the same labels, in lower case."""
    chance = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    for _ in range(20_000):
        labels = [
            "".join(chance.choices(letters, k=chance.randint(1, 44))) for _ in range(chance.randint(2, 5))
        ]
        assert read_labels(wire(".".join(labels))) == [label.lower() for label in labels]
