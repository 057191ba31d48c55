"""The gate: takes connections in, judges them by their first bytes, and knows all that are open."""

import asyncio
import errno
import resource
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from select import EPOLLIN

from mitmproxy.platform.linux import original_addr

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.engine import Engine
from schoolgate_policy.names import parse_address
from schoolgate_policy.technique import Technique
from schoolgate_proxy.client_tls import ClientTls
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.gate.fan_out import FanOut
from schoolgate_proxy.gate.listener import Door
from schoolgate_proxy.gate.pace import Pace
from schoolgate_proxy.gate.pipes import PipePool
from schoolgate_proxy.gate.poller import Poller
from schoolgate_proxy.gate.relay import Relay
from schoolgate_proxy.gate.visitor import Visitor
from schoolgate_proxy.handling import Arrival
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.once import Once
from schoolgate_proxy.pages import Pages
from schoolgate_proxy.pinned_apps import PinnedApps
from schoolgate_proxy.ports import Address, Counters
from schoolgate_proxy.requests import private, unresolved
from schoolgate_proxy.upstream import AddressRefused, NameNotFound, Upstream, is_own

_ACCEPTS = 64  # connections taken in at a turn
_SWEEP_SECONDS = 1.0
_HALF_CLOSED_SECONDS = 120.0
_FILES_KEPT = 256  # for everything that is no connection
_FILES_EACH = 3  # a relayed connection: two sockets, and sometimes a pipe


@dataclass(frozen=True, slots=True)
class Entrant:
    """A connection that mitmproxy is to open: the untouched socket, and what the gate knows about it."""

    sock: socket.socket
    arrival: Arrival
    door: Door
    address: Address | None  # that the client dialled, or named in CONNECT
    connect_name: str | None
    split: bool
    tls: bool  # a whole ClientHello is there


@dataclass(slots=True)
class Passage:
    """A connection that is relayed unread, and the verdict that it lives by."""

    visitor: Visitor
    relay: Relay
    attempt: Attempt
    decision: Decision
    outlived: str | None = None  # the network, once an edge of a schedule has passed


class Gate:
    """All connections that mitmproxy has not been handed. Lives in a thread of its own; see `start` and `stop`."""

    def __init__(
        self,
        config: ProxyConfig,
        judge: Judge,
        counters: Counters,
        upstream: Upstream,
        pages: Pages,
        pinned: PinnedApps | None,
    ) -> None:
        self.config = config
        self.judge = judge
        self.counters = counters
        self.pages = pages
        self.pinned = pinned
        self.tls: ClientTls | None = None  # what block pages are shown with; without it mitmproxy shows them
        self.poller = Poller("gate", self.fault)
        self._upstream = upstream
        self._pool = PipePool()
        self._visitors: dict[Visitor, None] = {}  # undecided, the oldest first
        self._answered: set[Visitor] = set()
        self._passages: dict[Relay, Passage] = {}
        self._of_client: Counter[str] = Counter()
        self._fan_out = FanOut()
        self._strange = Once()
        self._pace = Pace(config.most_new_per_client)
        self._open = 0
        self._most = config.most_connections or _room()
        self._ports: frozenset[int] = frozenset()
        self._listening: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lookups: set[asyncio.Task[None]] = set()
        self._engine: Engine | None = None

    # -- life, from the event loop's thread --------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work; `loop` is where names are looked up and mitmproxy lives."""
        self._loop = loop
        self.poller.start()
        self.poller.call(self._sweep)

    def stop(self) -> None:
        """Close everything that has not been handed over, and end the thread."""
        for task in self._lookups:
            task.cancel()
        self.poller.call(self._close_all)
        self.poller.stop()

    def listen(
        self, sockets: Sequence[socket.socket], door: Door, receive: Callable[[Entrant], None]
    ) -> Callable[[], None]:
        """Take connections in from listening sockets until the returned function is called.

        `receive` is called in the event loop with those that mitmproxy is to open.
        """

        def begin() -> None:
            for listening in sockets:
                self._listening.append(listening)
                self._ports |= {listening.getsockname()[1]}
                self.poller.watch(
                    listening.fileno(), EPOLLIN, partial(self._accept, listening, door, receive)
                )

        def end() -> None:
            for listening in sockets:
                if listening in self._listening:
                    self._listening.remove(listening)
                    self.poller.close(listening)

        self.poller.call(begin)
        return lambda: self.poller.call(end)

    def departed(self, entrant: Entrant) -> None:
        """Take note that a connection that was handed over has ended."""
        self.poller.note(lambda: self._left(entrant.arrival.address, entrant.door))

    # -- taking in ---------------------------------------------------------------------------------------------

    def _accept(
        self, listening: socket.socket, door: Door, receive: Callable[[Entrant], None], _mask: int
    ) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                    self._make_room()
                    return
                continue  # the client has gone already
            sock.settimeout(0)
            address = peer[0] if listening.family == socket.AF_INET else str(parse_address(peer[0]))
            self._open += 1
            self._of_client[address] += 1
            self.counters.connection_opened(door.listener)
            visitor = Visitor(self, sock, Arrival(address, door.network), door, receive)
            self._visitors[visitor] = None
            if self._of_client[address] > self.config.most_per_client:
                self._turn_away(visitor, "client")
            elif self._pace.too_fast(address, self.poller.now):
                self._turn_away(visitor, "pace")
            elif self._open > self._most and not self._make_room(visitor):
                self._turn_away(visitor, "full")
            elif not door.transparent or self._redirected(visitor):
                visitor.look()

    def _redirected(self, visitor: Visitor) -> bool:
        """Learn where the client wanted to go; a connection to the redirect port itself is closed."""
        try:
            visitor.address = original_addr(visitor.sock)
        except OSError:
            visitor.address = None
        address = visitor.address
        if address is None or (address[1] in self._ports and is_own(parse_address(address[0]))):
            self.judge.saw(Technique.PROXY_DIRECT, visitor.arrival, address[0] if address else "")
            visitor.close()
            return False
        return True

    def _make_room(self, newest: Visitor | None = None) -> bool:
        """Close the connection that has been undecided for longest; False where there is no other."""
        oldest = next(iter(self._visitors), None)
        if oldest is None or oldest is newest:
            return False
        self._turn_away(oldest, "full")
        return True

    def _turn_away(self, visitor: Visitor, why: str) -> None:
        self.counters.connection_turned_away(why)
        visitor.close(reset=True)

    # -- what becomes of a visitor -----------------------------------------------------------------------------

    def answered(self, visitor: Visitor) -> None:
        """Take note that a connection was answered, and is read from for a moment longer."""
        self._visitors.pop(visitor, None)
        self._answered.add(visitor)

    def refused(self, visitor: Visitor) -> None:
        """Take note that a connection ends without having led anywhere."""
        address, client = visitor.brought, visitor.arrival.address
        if address is not None and self._fan_out.refused(client, str(address), self.poller.now):
            self.judge.saw(Technique.FAN_OUT, visitor.arrival, str(address))

    def left(self, visitor: Visitor) -> None:
        """Take note that a connection was closed."""
        self._visitors.pop(visitor, None)
        self._answered.discard(visitor)
        self._left(visitor.arrival.address, visitor.door)

    def _left(self, address: str, door: Door) -> None:
        self._open -= 1
        self._of_client[address] -= 1
        if self._of_client[address] <= 0:
            del self._of_client[address]
        self.counters.connection_closed(door.listener)

    def hand_over(self, visitor: Visitor, *, split: bool, tls: bool) -> None:
        """Give a connection to mitmproxy."""
        self._visitors.pop(visitor, None)
        entrant = Entrant(
            visitor.sock, visitor.arrival, visitor.door, visitor.address, visitor.connect_name, split, tls
        )
        self._in_loop(visitor.receive, entrant)

    def passed(self, visitor: Visitor, upstream: socket.socket) -> None:
        """Relay a connection unread."""
        self._visitors.pop(visitor, None)
        relay = Relay(self.poller, self._pool, visitor.sock, upstream, self._relayed)
        if visitor.attempt is None or visitor.decision is None:
            raise RuntimeError("a connection is passed on that was not judged")
        self._passages[relay] = Passage(visitor, relay, visitor.attempt, visitor.decision)
        relay.start()

    def _relayed(self, relay: Relay) -> None:
        passage = self._passages.pop(relay)
        seconds = self.poller.now - relay.since
        self.counters.connection_passed(passage.decision.network, relay.sent, relay.received, seconds)
        if passage.outlived is not None:
            self.counters.connection_outlived(passage.outlived, -1)
        self._left(passage.visitor.arrival.address, passage.visitor.door)

    # -- upstream ----------------------------------------------------------------------------------------------

    def find(self, visitor: Visitor, name: str, port: int) -> None:
        """Tell a visitor the addresses of a name, at once where they are known."""
        known = self._upstream.known(name, port)
        if known:
            self._tell(visitor, name, known)
        else:
            self._in_loop(self._begin_lookup, visitor, name, port)

    def _begin_lookup(self, visitor: Visitor, name: str, port: int) -> None:
        task = asyncio.ensure_future(self._look_up(visitor, name, port))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _look_up(self, visitor: Visitor, name: str, port: int) -> None:
        found: tuple[Address, ...] = ()
        try:
            found = await self._upstream.find(name, port)
        except NameNotFound as error:
            self.counters.upstream_failed("name")
            if visitor.brought is not None:
                self.judge.saw(unresolved(error, name), visitor.arrival, name)
        except AddressRefused:
            self.counters.upstream_failed("address")
            self.judge.saw(private(name), visitor.arrival, name)
        except Exception as error:  # noqa: BLE001 - the visitor must not wait for ever
            self.fault(error)
        self.poller.call(lambda: self._tell(visitor, name, found))

    def _tell(self, visitor: Visitor, name: str, found: tuple[Address, ...]) -> None:
        """Tell a visitor what was found, and note a client that wanted to go elsewhere under an allowed name."""
        brought, client = visitor.brought, visitor.arrival.address
        if (
            found
            and brought is not None
            and self._upstream.is_strange(name, brought)
            and self._strange.first(client, name, self.poller.now)
        ):
            self.judge.saw(Technique.SNI_IP_MISMATCH, visitor.arrival, name)
        visitor.found(found)

    def unreachable(self, address: Address) -> None:
        """Take note of an address that did not answer."""
        self._upstream.failed(address)
        self.counters.upstream_failed("connect")

    # -- the rest ----------------------------------------------------------------------------------------------

    def fault(self, error: Exception) -> None:
        """Note a failure of ours."""
        self.judge.fault("proxy", error)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        if self._loop is None:
            raise RuntimeError("the gate has not been started")
        self._loop.call_soon_threadsafe(function, *arguments)

    def _sweep(self) -> None:
        """Close, once a second, what a verdict no longer allows (design: `valid_until`) and what is idle."""
        self.poller.later(_SWEEP_SECONDS, self._sweep)
        before, self._engine = self._engine, self.judge.engine
        everything = before is not self._engine
        for passage in list(self._passages.values()):
            idle = self.poller.now - passage.relay.active
            if idle > (_HALF_CLOSED_SECONDS if passage.relay.half_closed else self.config.idle):
                passage.relay.close()
            elif everything or self.judge.expired(passage.decision):
                self._judge_again(passage)

    def _judge_again(self, passage: Passage) -> None:
        decision = self.judge.again(passage.attempt)
        if decision.blocked:
            self.judge.acted(passage.attempt, decision)
            passage.relay.close()
            return
        if passage.outlived is None and self.judge.expired(passage.decision):
            passage.outlived = decision.network
            self.counters.connection_outlived(decision.network, 1)
        passage.decision = decision

    def _close_all(self) -> None:
        for listening in self._listening:
            self.poller.close(listening)
        self._listening.clear()
        for passage in list(self._passages.values()):
            passage.relay.close()
        for visitor in (*self._visitors, *self._answered):
            visitor.close()
        self._pool.close()


def _room() -> int:
    """Return how many connections the limit of open files allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max((soft - _FILES_KEPT) // _FILES_EACH, 16)
