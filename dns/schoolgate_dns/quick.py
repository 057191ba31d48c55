"""The short way to upstream: one plain question over UDP, one good answer; everything else takes the long way.

Questions that arrive together leave together through one fresh socket, which has one random port (RFC 5452); at the
rate of an ordinary school that is a port for every question. An answer must come from the upstream's address and
repeat id, name, type and letter case. What is truncated, refused, late, forged or otherwise odd is not dealt with
here: whoever waits is told None, and asks `Lookup`, which knows what to do.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable

from schoolgate_dns.answer import Answer
from schoolgate_dns.asking import Asking, ask
from schoolgate_dns.cache import Found, Key, key_of
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.lookup import Lookup
from schoolgate_dns.ports import CacheOutcome, DnsCounters
from schoolgate_dns.query import Query
from schoolgate_dns.upstream import Begun, Server, Upstreams
from schoolgate_dns.wire import Qtype
from schoolgate_policy.ports import Recorder

_TYPES = frozenset({Qtype.A, Qtype.AAAA, Qtype.HTTPS})
_FORGERIES = 20  # wrong datagrams on one socket, after which nothing that comes there is believed
_LARGEST = 4096
_GOOD = frozenset({0x00, 0x03})  # NOERROR, NXDOMAIN
_QR_OPCODE_TC = 0b11111010
_QR = 0x80

type Done = Callable[[Found | None], None]


class _Flight:
    """Questions that left through one socket."""

    __slots__ = ("forged", "questions", "sent", "server", "sock")

    def __init__(self, sock: socket.socket, server: Server, sent: float) -> None:
        self.sock = sock
        self.server = server
        self.sent = sent
        self.forged = 0
        self.questions: dict[bytes, tuple[Asking, Query, Key]] = {}


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
        self._waiting: dict[Key, list[Done]] = {}
        self._queues: dict[Server, list[tuple[Query, Key]]] = {}
        self._flights: deque[_Flight] = deque()
        self._timer: asyncio.TimerHandle | None = None

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
            self._queues.setdefault(server, []).append((query, key))
        self._lookup.waiting += 1
        return True

    def flush(self) -> None:
        """Send the questions taken since the last time."""
        if not self._queues:
            return
        queues, self._queues = self._queues, {}
        for server, queue in queues.items():
            try:
                self._flights.append(self._launch(server, queue))
            except OSError:
                self._long_way([key for _, key in queue])
        if self._timer is None and self._flights:
            self._timer = asyncio.get_running_loop().call_later(self._config.quick_timeout, self._late)

    def _launch(self, server: Server, queue: list[tuple[Query, Key]]) -> _Flight:
        upstream = server.upstream
        family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(
                (upstream.host, upstream.port)
            )  # a fresh random port; the kernel drops what others send to it
            flight = _Flight(sock, server, time.monotonic())
            for query, key in queue:
                asking = ask(query)
                while asking.ident in flight.questions:
                    asking = ask(query)
                sock.send(asking.message)
                flight.questions[asking.ident] = asking, query, key
        except OSError:
            sock.close()
            raise
        asyncio.get_running_loop().add_reader(sock, self._readable, flight)
        return flight

    def _readable(self, flight: _Flight) -> None:
        receive = flight.sock.recv
        while flight.questions:
            try:
                reply = receive(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                break
            found = flight.questions.get(reply[:2])
            if found is None or not self._answers(reply, found[0]):
                self._counters.forged()
                flight.forged += 1
                if flight.forged >= _FORGERIES or (found and found[0].answered_in_other_case(reply)):
                    break
                continue
            self._arrived(flight, reply, *found)
        believed = not flight.forged
        for asking, _, key in flight.questions.values() if not believed else ():
            self._lookup.begin(key, Begun(flight.server, asking, None))
        self._end(flight)

    @staticmethod
    def _answers(reply: bytes, asking: Asking) -> bool:
        return (
            reply.startswith(asking.question, 12)
            and reply[2] & 0xF8 == _QR  # a response to a standard query
            and reply[4:6] == b"\0\1"
        )

    def _arrived(self, flight: _Flight, reply: bytes, asking: Asking, query: Query, key: Key) -> None:
        del flight.questions[asking.ident]
        answer = None
        try:
            answer = self._read(flight, reply, query, asking.question)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, and takes the long way
            self._recorder.fault("dns", error)
        if answer is None:
            self._lookup.begin(key, Begun(flight.server, asking, reply))
            self._long_way([key])
            return
        self._tell(key, Found(answer, self._lookup.second(), 0, stale=False))

    def _read(self, flight: _Flight, reply: bytes, query: Query, question: bytes) -> Answer | None:
        if reply[2] & _QR_OPCODE_TC != _QR or reply[3] & 0xF not in _GOOD:
            return None
        self._upstreams.answered(flight.server, flight.sent)
        return self._lookup.learn(query, reply, question)

    def _end(self, flight: _Flight) -> None:
        """Close a flight; what is still unanswered takes the long way."""
        asyncio.get_running_loop().remove_reader(flight.sock)
        flight.sock.close()
        keys = [key for _, _, key in flight.questions.values()]
        flight.questions.clear()
        self._long_way(keys)

    def _long_way(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._tell(key, None)

    def _tell(self, key: Key, found: Found | None) -> None:
        waiting = self._waiting.pop(key)
        self._lookup.waiting -= len(waiting)
        if found is not None:  # else they are counted where they ask again
            self._counters.cache(CacheOutcome.MISS, len(waiting))
        for done in waiting:
            done(found)

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
                asyncio.get_running_loop().remove_reader(flight.sock)
                flight.sock.close()
        self._flights.clear()
        self._lookup.waiting -= sum(map(len, self._waiting.values()))
        self._waiting.clear()
        self._queues.clear()
