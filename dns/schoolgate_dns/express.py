"""The express way of a question that nobody has asked before: read, judged, forwarded and answered in bytes.

Most questions that must go upstream are alike: an A or AAAA question of an ordinary name, without EDNS options, from
a client within its limits, allowed; and the answer is `Plain`. This file does for them what `Resolver` does for all,
in the same order and with the same parts (admission, engine, tunnels, cache, lease), without an object in between.

Invariants:

1. It only ever says "not mine" (False) or does the whole: whatever is unusual is left to the resolver, untouched.
   What is unusual: another header, type, class, EDNS shape or letter than the usual; special and own names;
   a name with a filtered twin; a blocked name; anything remembered, being asked or failing; limits within sight.
2. A question of which it says True is judged, counted against its limits, and waits in `QuickLookup`.
3. The verdict is good at the moment of the answer, or the resolver is asked again: another engine, or an instant
   beyond `valid_until`, sends the ticket to `Resolver.resume`, as does every answer that is not plain.
4. An answer is at most 512 octets, which every client takes; no TTL in it exceeds the lease of its verdict.
5. What is given is recorded and counted when it is sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial

from schoolgate_dns.admission import Later
from schoolgate_dns.asking import Around, asked_in
from schoolgate_dns.cache import Found, key_of
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.fast import Lane
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.plain import Plain, answer_of, ttls_of
from schoolgate_dns.ports import CacheOutcome, DnsCounters, DnsRecorder, Transport
from schoolgate_dns.query import Query, read_query
from schoolgate_dns.quick import QuickLookup, Ticket, query_of
from schoolgate_dns.reply import Body, build
from schoolgate_dns.resolver import OPENED, Asker, Resolver
from schoolgate_dns.sinkhole import lease
from schoolgate_dns.special_names import is_ordinary
from schoolgate_dns.upstream import Server
from schoolgate_dns.wire import CD, HEADER, MAX_NAME, QUESTION_TAIL, Qtype, Rcode
from schoolgate_policy.decision import Attempt, Decision, Point
from schoolgate_policy.names import suffixes
from schoolgate_policy.ports import Clock, PolicySource
from schoolgate_policy.safe_search import enforcement

_TYPES = frozenset({Qtype.A, Qtype.AAAA})
_OPT = 11  # octets of an OPT record without options
_SHORTEST = HEADER.size + QUESTION_TAIL.size + _OPT
_LARGEST = 512  # RFC 1035 section 4.2.1
_MOST = 33  # records of a plain answer, and one
# Letters of host names; and names as text: each length octet below 45 (those that are no letters) a dot.
_LETTERS = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_TEXT = bytes(ord(".") if octet < 45 else octet for octet in range(256)).lower()


@dataclass(slots=True)
class _Shape:
    """What all questions have in common that are alike but for id and name."""

    heads: list[bytes]  # of the answer, behind its id, by the number of records
    question: slice  # of a message
    opt: bytes  # of the answer
    ask: Around
    key: bytes  # what follows the name in the cache's key
    qtype: int


@lru_cache(maxsize=256)
def _shape(head: bytes, tail: bytes) -> _Shape | None:
    """Return the shape of questions with this header (behind the id) and this end; None: not for here.

    It is found by having an example of it read and answered.
    """
    query = read_query(bytes(2) + head + b"\1a\1b\0" + tail)
    if not isinstance(query, Query) or query.qtype not in _TYPES or not query.recursion_desired:
        return None
    if query.flags & CD or query.dnssec_ok or (query.edns is not None and query.edns.options):
        return None
    opt = len(tail) - QUESTION_TAIL.size
    heads = [
        build(query, Rcode.NOERROR, Body(answers=n), limit=_LARGEST)[2 : HEADER.size] for n in range(_MOST)
    ]
    answer = build(query, Rcode.NOERROR, Body(), limit=_LARGEST)
    return _Shape(
        heads,
        slice(HEADER.size, -opt or None),
        answer[HEADER.size + len(query.question) :],
        asked_in(query),
        key_of(query)[len(query.name) :],
        query.qtype,
    )


def read_labels(name: bytes) -> list[str] | None:
    """Return the labels, in lower case, of a wire name of letters, digits, hyphens and underscores; None: it is odd.

    The octets that are no letters must be exactly the lengths of what lies between them, and a final zero.
    """
    marks = name.translate(None, _LETTERS)
    if marks.find(0) != len(marks) - 1 or len(name) > MAX_NAME:
        return None
    labels = name.translate(_TEXT).decode("latin-1").split(".")
    if len(labels) < 4 or bytes(map(len, labels)) != b"%b%b" % (bytes(1), marks):
        return None
    return labels[1:-1]


class Express:
    """The express way of one listener: a desk of `QuickLookup`."""

    def __init__(
        self,
        config: DnsConfig,
        *,
        source: PolicySource,
        recorder: DnsRecorder,
        counters: DnsCounters,
        clock: Clock,
        lookup: Lookup,
        quick: QuickLookup,
        resolver: Resolver,
        monotonic: Callable[[], float],
        send: Callable[[list[bytes], list[bytes]], int],
        deliver: Callable[[bytes, Later], None],
    ) -> None:
        """`send` gives envelopes their answers, `deliver` one whose answer comes later."""
        self._config = config
        self._source = source
        self._recorder = recorder
        self._counters = counters
        self._clock = clock
        self._lookup = lookup
        self._quick = quick
        self._resolver = resolver
        self._monotonic = monotonic
        self._own_zones = config.own_zones
        self._instant, self._at = clock(), monotonic()
        self._server: Server | None = None
        self._view = resolver.view()
        self._now: datetime | None = None  # when the answers in hand came
        self._told: list[tuple[str, Decision, int]] = []
        self._envelopes: list[bytes] = []
        self._replies: list[bytes] = []
        self._deliver = deliver
        self._send = send
        quick.desks.append(self)

    def begin(self) -> None:
        """Look at the clock and at what else is the same for all questions of a batch; to be called before each."""
        self._instant, self._at = self._clock(), self._monotonic()
        self._server, self._view = self._quick.server(), self._resolver.view()

    def take(self, message: bytes, lane: Lane, envelope: bytes) -> bool:
        """Take a question, and answer it later; False: it must go to the resolver."""
        if len(message) < _SHORTEST:
            return False
        tail = _OPT + QUESTION_TAIL.size if message[11] else QUESTION_TAIL.size
        shape = _shape(message[2 : HEADER.size], message[-tail:])
        name = message[HEADER.size : -tail]
        labels = read_labels(name) if shape is not None else None
        if shape is None or labels is None or not is_ordinary(labels):
            return False
        try:
            return self._forward(message, lane, envelope, shape, name.lower(), labels)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the client gets SERVFAIL and nothing opens
            asker = Asker(lane.address, lane.local, Transport.UDP, give=partial(self._deliver, envelope))
            self._resolver.broken(message, asker, error)
            return True

    def _forward(
        self, message: bytes, lane: Lane, envelope: bytes, shape: _Shape, name: bytes, labels: list[str]
    ) -> bool:
        host, address, at, view = ".".join(labels), lane.address, self._at, self._view
        quick, admission, server = self._quick, self._resolver.admission, self._server
        if server is None or self._lookup.full or not admission.is_quiet(address, view, at):
            return False
        if host == self._resolver.portal_host or (
            self._own_zones and not self._own_zones.isdisjoint(suffixes(host))
        ):
            return False
        engine = view.engine
        decision = engine.decide(Attempt(address, host, self._instant, None, Point.DNS))
        if decision.blocked or enforcement(engine.policy.networks[decision.network].safe_search, host):
            return False
        key = name + shape.key
        if (
            quick.is_asking(key)
            or not self._lookup.unheard_of(key, name)
            or not admission.admits(address, at)
        ):
            return False
        if decision.reason not in OPENED and not self._resolver.tunnels.spend_plainly(
            address, name, labels, at
        ):
            return False
        ticket: Ticket = self, message, envelope, lane, decision, engine, shape
        quick.enlist(server, (name, shape.ask, key, message), ticket)
        return True

    def answer(self, ticket: Ticket, plain: Plain) -> None:
        """Answer whoever holds a ticket with the records of a plain answer."""
        _, message, envelope, lane, decision, engine, shape = ticket
        now = self._now
        if now is None:
            now = self._now = self._clock()
        until = decision.valid_until
        data, count, _, highest = plain
        if engine is self._source.engine and (until is None or now < until):
            longest = lease(decision, now, self._config)
            if highest > longest:
                data = _capped(data, count, longest)
            reply = message[:2] + shape.heads[count] + message[shape.question] + data + shape.opt
            if len(reply) <= _LARGEST:
                self._told.append((lane.address, decision, 1))
                self._envelopes.append(envelope)
                self._replies.append(reply)
                return
        self._counters.cache(CacheOutcome.MISS)
        found = Found(answer_of(plain, self._config), self._lookup.second(), 0, stale=False)
        self.resume(ticket, query_of(message), found)

    def resume(self, ticket: Ticket, query: Query, found: Found | None) -> None:
        """Have a ticket's holder answered by the resolver, which judges anew."""
        _, _, envelope, lane, *_ = ticket
        asker = Asker(lane.address, lane.local, Transport.UDP, give=partial(self._deliver, envelope))
        self._resolver.resume(query, asker, found)

    def flush(self) -> None:
        """Send the answers made since the last time, and have them recorded."""
        self._now = None
        if not self._replies:
            return
        told, envelopes, replies = self._told, self._envelopes, self._replies
        self._told, self._envelopes, self._replies = [], [], []
        self._recorder.repeated(Point.DNS, told)
        self._counters.query(Transport.UDP, Rcode.NOERROR.name, len(told))
        self._counters.cache(CacheOutcome.MISS, len(told))
        lost = self._send(envelopes, replies)
        if lost:
            self._counters.dropped(Transport.UDP, lost)


def _capped(data: bytes, count: int, longest: int) -> bytes:
    """Return the records of a plain answer with no TTL above `longest`."""
    capped = bytearray(data)
    for place, ttl in ttls_of(data, count):
        capped[place : place + 4] = min(ttl, longest).to_bytes(4)
    return bytes(capped)
