"""The short way to upstream: one plain question over UDP, one good answer; everything else takes the long way.

Questions that arrive together leave together, in one system call, through one fresh socket, which has one random port
(RFC 5452); at the rate of an ordinary school that is a port for every question (ADR 23). An answer must come from the
upstream's address and repeat id, name, type and letter case. What is truncated, refused, late, forged or otherwise odd
is not dealt with here: whoever waits is told None, and asks `Lookup`, which knows what to do.

Invariants:

1. A key (`cache.key_of`) is asked once: everybody who wants it waits in `_waiting` under it, and is told exactly once.
2. `Lookup.waiting` counts who waits here, so that the limit on questions in flight holds for both ways together.
3. A flight ends when all its questions are answered, when its time is over, when its socket fails, or when forgeries
   come; whoever still waits then takes the long way.
4. Who waits with a `Ticket` is answered in bytes by the desk that gave it out, if the answer is `Plain`; everybody else
   gets a `Found`.
"""

import asyncio
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from schoolgate_dns.answer import Answer
from schoolgate_dns.asking import Around, Asking, asked_in, random_case
from schoolgate_dns.cache import Found, Key, key_of
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.plain import Plain, answer_of, head, read_plain
from schoolgate_dns.ports import CacheOutcome, DnsCounters
from schoolgate_dns.query import Query, read_query
from schoolgate_dns.upstream import Begun, Server, Upstreams
from schoolgate_dns.volley import Volley
from schoolgate_dns.wire import AD, HEADER, Qtype
from schoolgate_policy.ports import Recorder

_TYPES = frozenset({Qtype.A, Qtype.AAAA, Qtype.HTTPS})
_FORGERIES = 20  # wrong datagrams on one socket, after which nothing that comes there is believed
_GOOD = frozenset({0x00, 0x03})  # NOERROR, NXDOMAIN
_QR_OPCODE_TC = 0b11111010
_QR = 0x80

# The desk that gave it out; the client's message; the rest is the desk's own business.
type Ticket = tuple["Desk", bytes, *tuple[Any, ...]]
type Done = Callable[[Found | None], None]


class Desk(Protocol):
    """Somebody who gives out tickets."""

    def answer(self, ticket: Ticket, plain: Plain) -> None:
        """Answer whoever holds a ticket, and count it."""
        ...

    def resume(self, ticket: Ticket, query: Query, found: Found | None) -> None:
        """Have a ticket's holder answered by the resolver."""
        ...

    def flush(self) -> None:
        """Send the answers made since the last time."""
        ...


# What is to be asked: a name in lower case, what stands around it (`asking.asked_in`), the key under which somebody
# waits, and who asked first: the question, or the message it stands in.
type Question = tuple[bytes, Around, Key, Query | bytes]


class _Flight:
    """Questions that left through one socket."""

    __slots__ = ("forged", "questions", "sent", "server", "sock")

    def __init__(self, sock: socket.socket, server: Server, sent: float) -> None:
        self.sock = sock
        self.server = server
        self.sent = sent
        self.forged = 0
        self.questions: dict[bytes, tuple[bytes, Question]] = {}  # by id: as spelt, and as meant

    def asking(self, ident: bytes) -> Asking:
        """Return one of the questions in the form that the long way takes."""
        spelt, (_, (head, _, opt), _, _) = self.questions[ident]
        return Asking(ident + head + spelt + opt, ident, spelt)


class QuickLookup:
    """Questions on their short way; `flush` sends what was taken."""

    def __init__(
        self,
        config: DnsConfig,
        lookup: Lookup,
        upstreams: Upstreams,
        counters: DnsCounters,
        recorder: Recorder,
    ) -> None:
        self._config = config
        self._lookup = lookup
        self._upstreams = upstreams
        self._counters = counters
        self._recorder = recorder
        self._waiting: dict[Key, list[Done | Ticket]] = {}
        self._queues: dict[Server, list[Question]] = {}
        self._flights: deque[_Flight] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._volley = Volley()
        self._selector: selectors.BaseSelector | None = None  # of all flights: the loop sees only this one
        self.desks: list[Desk] = []

    def take(self, query: Query, done: Done) -> bool:
        """Take a question, and later call `done` once; False where it must go the long way from the start."""
        if query.qtype not in _TYPES:
            return False
        key = key_of(query)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(done)
        else:
            server = None if self._lookup.knows(query) else self._upstreams.quick(query.host)
            if server is None:
                return False
            self._waiting[key] = [done]
            self._queues.setdefault(server, []).append((query.name, asked_in(query), key, query))
        self._lookup.waiting += 1
        return True

    def server(self) -> Server | None:
        """Return the upstream that names of nobody's own are asked of now; None where that must go the long way."""
        return self._upstreams.quick("")

    def is_asking(self, key: Key) -> bool:
        """Whether somebody waits for a question already."""
        return key in self._waiting

    def enlist(self, server: Server, question: Question, ticket: Ticket) -> None:
        """Take a question for which nobody waits yet."""
        self._waiting[question[2]] = [ticket]
        self._lookup.waiting += 1
        queue = self._queues.get(server)
        if queue is None:
            queue = self._queues[server] = []
        queue.append(question)

    def flush(self) -> None:
        """Send the questions taken since the last time."""
        if not self._queues:
            return
        queues, self._queues = self._queues, {}
        for server, queue in queues.items():
            try:
                self._flights.append(self._launch(server, queue))
            except OSError:
                self._long_way([key for _, _, key, _ in queue])
        if self._timer is None and self._flights:
            self._timer = asyncio.get_running_loop().call_later(self._config.quick_timeout, self._late)

    def _launch(self, server: Server, queue: list[Question]) -> _Flight:
        upstream = server.upstream
        family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            # A fresh random port; the kernel drops what others send to it.
            sock.connect((upstream.host, upstream.port))
            flight = _Flight(sock, server, time.monotonic())
            messages = []
            spellings = random_case([name for name, *_ in queue])
            for question, spelling, ident in zip(queue, spellings, _idents(len(queue)), strict=True):
                begin, tail, opt = question[1]
                spelt = spelling + tail
                messages.append(ident + begin + spelt + opt)
                flight.questions[ident] = spelt, question
            self._watched().register(sock, selectors.EVENT_READ, flight)
            self._volley.send(sock, messages)
        except OSError:
            sock.close()
            raise
        return flight

    def _watched(self) -> selectors.BaseSelector:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            asyncio.get_running_loop().add_reader(self._selector, self._readable)
        return self._selector

    def _readable(self) -> None:
        """Take in what has come for any flight."""
        for key, _ in self._watched().select(0):
            self._land(key.data)
        for desk in self.desks:
            desk.flush()

    def _land(self, flight: _Flight) -> None:
        try:
            replies = self._volley.receive(flight.sock)
        except OSError:
            self._end(flight)
            return
        questions, answered = flight.questions, 0
        for reply in replies:
            asked = questions.get(reply[:2])
            if asked is None or not _answers(reply, asked[0]):
                if self._forged(flight, reply):
                    self._distrust(flight)
                    break
            elif self._told_plainly(flight, reply, *asked):
                answered += 1
            else:
                self._arrived(flight, reply, *asked)
        if answered:
            self._upstreams.answered(flight.server, flight.sent, answered)
        if not questions:
            self._end(flight)

    def _forged(self, flight: _Flight, reply: bytes) -> bool:
        """Note a datagram that answers nothing; return whether this socket is to be believed no more."""
        self._counters.forged()
        flight.forged += 1
        ident = reply[:2]
        other_case = ident in flight.questions and flight.asking(ident).answered_in_other_case(reply)
        return other_case or flight.forged >= _FORGERIES

    def _distrust(self, flight: _Flight) -> None:
        for ident, (_, (_, _, key, _)) in flight.questions.items():
            self._lookup.begin(key, Begun(flight.server, flight.asking(ident), None))
        self._end(flight)

    def _told_plainly(self, flight: _Flight, reply: bytes, spelt: bytes, question: Question) -> bool:
        """Tell everybody who waits, if the answer is plain."""
        plain = read_plain(reply, spelt)
        if plain is None or (self._config.trust_ad and reply[3] & AD):
            return False
        del flight.questions[reply[:2]]
        key = question[2]
        self._lookup.keep_plain(key, plain)
        waiting = self._waiting.pop(key)
        self._lookup.waiting -= len(waiting)
        for waiter in waiting:
            if isinstance(waiter, tuple):
                waiter[0].answer(waiter, plain)
            else:
                self._counters.cache(CacheOutcome.MISS)
                waiter(Found(answer_of(plain, self._config), self._lookup.second(), 0, stale=False))
        return True

    def _arrived(self, flight: _Flight, reply: bytes, spelt: bytes, question: Question) -> None:
        """Digest an answer and tell everybody."""
        _, _, key, source = question
        asking = flight.asking(reply[:2])
        del flight.questions[reply[:2]]
        good = reply[2] & _QR_OPCODE_TC == _QR and reply[3] & 0xF in _GOOD
        answer = None
        if good:
            self._upstreams.answered(flight.server, flight.sent)
        try:
            answer = self._lookup.learn(query_of(source), reply, spelt) if good else None
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, and takes the long way
            self._recorder.fault("dns", error)
        if answer is None:
            self._lookup.begin(key, Begun(flight.server, asking, reply))
            self._long_way([key])
        else:
            self._tell(key, answer)

    def _end(self, flight: _Flight) -> None:
        """Close a flight; what is still unanswered takes the long way."""
        if flight.sock.fileno() < 0:
            return
        self._watched().unregister(flight.sock)
        flight.sock.close()
        keys = [key for _, (_, _, key, _) in flight.questions.values()]
        flight.questions.clear()
        self._long_way(keys)

    def _long_way(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._tell(key, None)

    def _tell(self, key: Key, answer: Answer | None) -> None:
        waiting = self._waiting.pop(key)
        self._lookup.waiting -= len(waiting)
        found = None
        if answer is not None:  # else they are counted where they ask again
            found = Found(answer, self._lookup.second(), 0, stale=False)
            self._counters.cache(CacheOutcome.MISS, len(waiting))
        for waiter in waiting:
            if isinstance(waiter, tuple):
                waiter[0].resume(waiter, query_of(waiter[1]), found)
            else:
                waiter(found)

    def _late(self) -> None:
        """End the flights whose time is over."""
        before = time.monotonic() - self._config.quick_timeout
        while self._flights and (not self._flights[0].questions or self._flights[0].sent <= before):
            flight = self._flights.popleft()
            if flight.questions:
                self._upstreams.missed(flight.server, flight.sent)
                self._end(flight)
        self._timer = None
        if self._flights:
            wait = max(0.001, self._flights[0].sent - before)
            self._timer = asyncio.get_running_loop().call_later(wait, self._late)

    def close(self) -> None:
        """Forget every question; nobody is told."""
        if self._timer is not None:
            self._timer.cancel()
        for flight in self._flights:
            if flight.questions:
                flight.sock.close()
        if self._selector is not None:
            asyncio.get_running_loop().remove_reader(self._selector)  # type: ignore[arg-type]
            self._selector.close()
            self._selector = None
        self._flights.clear()
        self._lookup.waiting -= sum(map(len, self._waiting.values()))
        self._waiting.clear()
        self._queues.clear()


def _answers(reply: bytes, spelt: bytes) -> bool:
    """Whether a message is a response to this question, to the letter."""
    return reply.startswith(spelt, HEADER.size) and head(reply[2 : HEADER.size])[0]


def _idents(count: int) -> list[bytes]:
    """Return random ids, no two alike."""
    while True:
        noise = os.urandom(2 * count)
        idents = [noise[at : at + 2] for at in range(0, 2 * count, 2)]
        if len(set(idents)) == count:
            return idents


def query_of(source: Query | bytes) -> Query:
    """Return a question in full; a message that waits was read before."""
    query = read_query(source) if isinstance(source, bytes) else source
    assert isinstance(query, Query)  # noqa: S101 - for the type checker
    return query
