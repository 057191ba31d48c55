"""One connection at the gate, from its arrival until it is passed on, handed to mitmproxy or refused."""

import socket
from collections.abc import Callable
from contextlib import suppress
from select import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLRDHUP
from typing import TYPE_CHECKING

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.ech import outer_names
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import IPAddress, as_ip
from schoolgate_policy.technique import Technique
from schoolgate_proxy.blockpage import BlockResponse, render_fault
from schoolgate_proxy.gate import head as heads
from schoolgate_proxy.gate import hello as hellos
from schoolgate_proxy.gate.answer import fields_of, response
from schoolgate_proxy.gate.dial import Dial
from schoolgate_proxy.gate.listener import Door
from schoolgate_proxy.gate.tls_page import TlsPage
from schoolgate_proxy.handling import Arrival, Handling, handling_of
from schoolgate_proxy.ports import Address
from schoolgate_proxy.request import Refusal, RequestHead, page_of, read_target, split_port
from schoolgate_proxy.tls_name import TlsName, speaks_web, tls_name
from schoolgate_proxy.upstream import is_own

if TYPE_CHECKING:
    from schoolgate_proxy.gate.gate import Entrant, Gate

# RFC 8446 6.2: a fatal alert `unrecognized_name`, which browsers show as a refusal instead of trying again.
ALERT = b"\x15\x03\x03\x00\x02\x02\x70"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_ARRIVING = EPOLLIN | EPOLLRDHUP | EPOLLET  # each new segment is told once, though nothing is consumed
_FIRST_LOOK = 4096  # octets: more than a usual ClientHello or request head
_EAGER_LOOKS = (
    8  # then by the clock, ever more slowly: tiny pieces must not cost more than they cost the sender
)
_PAUSE = 0.02  # seconds, doubled each time
# What a client still sends of a request that was answered: most browsers look for an answer only when they have sent all.
_LINGER_SECONDS, _LONGEST_LINGER, _LINGER_OCTETS = 2.0, 30.0, 32 << 20  # of silence; in all; octets


class Visitor:
    """A client connection that is not decided yet; nothing of what it sent has been consumed."""

    __slots__ = (
        "_by_the_clock", "_dial", "_discarded", "_lingered", "_lingers_until", "_looks", "_pause", "_size", "_split", "_timer", "_watched",
        "address", "arrival", "attempt", "connect_name", "decision", "door", "gate", "gone", "receive", "sock",
    )  # fmt: skip

    def __init__(
        self,
        gate: "Gate",
        sock: socket.socket,
        arrival: Arrival,
        door: Door,
        receive: Callable[["Entrant"], None],
    ) -> None:
        """Take a connection; `receive` is called in the event loop if mitmproxy is to open the connection."""
        self.gate = gate
        self.receive = receive
        self.sock = sock
        self.arrival = arrival
        self.door = door
        self.address: Address | None = None  # that the client dialled, or named in CONNECT
        self.connect_name: str | None = None  # canonical host of the CONNECT request
        self.attempt: Attempt | None = None
        self.decision: Decision | None = None
        self.gone = False  # decided, closed or in other hands
        self._timer = gate.poller.later(gate.config.undecided, self._late)
        self._watched = False
        self._looks = 0
        self._pause = _PAUSE
        self._size = _FIRST_LOOK
        self._split = self._by_the_clock = False
        self._dial: Dial | None = None
        self._discarded = 0
        self._lingered = self._lingers_until = 0.0

    @property
    def brought(self) -> IPAddress | None:
        """The address that the client wants to reach, where it named one and not a site; without a zone (RFC 4007)."""
        return as_ip(self.address[0].partition("%")[0]) if self.address else None

    # -- looking -----------------------------------------------------------------------------------------------

    @property
    def undecided(self) -> bool:
        """Whether it waits for a verdict."""
        return not self.gone and self.decision is None

    def look(self, mask: int = 0) -> None:
        """See whether enough has arrived to decide, and act if so; a failure of ours ends in a block."""
        if not self.undecided:
            return
        data = b""
        self._looks += 1
        try:
            data = self.sock.recv(self._size, socket.MSG_PEEK)
            if data:
                self._judge(data)
            else:
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()  # reset by the client
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not open the door
            self.gate.fault(error)
            self._fail(data)
        if not self.undecided:
            return
        if mask & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
            self.close()  # there will be no more
        elif not self._watched:
            self._watched = True
            self.gate.poller.watch(self.sock.fileno(), _ARRIVING, self._arrived)

    def _arrived(self, mask: int) -> None:
        if self._looks < _EAGER_LOOKS:
            self.look(mask)
        elif mask & (EPOLLHUP | EPOLLERR):
            self.close()
        elif not self._by_the_clock:
            self._by_the_clock = True
            self._look_later()

    def _look_later(self) -> None:
        self.gate.poller.later(self._pause, self._look_again)
        self._pause *= 2

    def _look_again(self) -> None:
        self.look()
        if self.undecided:
            self._look_later()

    def _judge(self, data: bytes) -> None:
        if data[0] == 0x16:
            self._tls(data)
        else:
            self._http(data)

    def _more(self, have: int) -> None:
        if have >= self._size:
            self._size = min(2 * self._size, heads.LOOKED_AT + 1)
            self.look()
        elif have < 5:
            self._split = True

    # -- TLS ---------------------------------------------------------------------------------------------------

    def _tls(self, data: bytes) -> None:
        try:
            hello = hellos.read_hello(data)
        except hellos.NotAHello:
            self._saw(Technique.NON_HTTP, self.connect_name or "")
            self.close()
            return
        if isinstance(hello, int):
            self._more(len(data))
            return
        split = self._split or hello.records > 1
        found = tls_name(
            hello.sni,
            hello.alpn,
            dialled=self.address[0] if self.address else "",
            connect_name=self.connect_name,
            to_the_proxy=not self.door.transparent and self.connect_name is None,
            split=split,
        )
        if found.name is None:
            self._note(found)
            self._refuse_tls()
            return
        attempt = self.gate.judge.attempt(self.arrival, found.name)
        decision = self.gate.judge.decide(attempt)
        handling = handling_of(decision)
        if (
            handling is Handling.INSPECT
            and self.gate.pinned is not None
            and self.gate.pinned.passes(decision)
        ):
            handling = Handling.PASS
        outer = hello.ech and self._is_outer(found.name, decision)
        web = decision.blocked or speaks_web(hello.alpn)
        if handling is Handling.INSPECT and web and not self._page_suffices(hello, decision):
            self._hand_over(split=split, tls=True)
            return
        self._note(found, decision.network)
        if not web:
            self._saw(Technique.NON_HTTP_TLS, found.name, decision.network)
            handling = Handling.REFUSE
        elif handling is Handling.PASS and outer:
            handling = Handling.REFUSE
        elif handling is Handling.REFUSE and not decision.blocked:
            self._saw(Technique.IP_LITERAL, found.name, decision.network)
        self._act(found.name, attempt, decision, handling)

    def _is_outer(self, name: str, decision: Decision) -> bool:
        """Count an Encrypted ClientHello, and note one whose real name is hidden: it may stand for any."""
        outer = name in outer_names()
        self.gate.counters.ech_seen(decision.network, outer=outer)
        if outer:
            self._saw(Technique.ECH, name, decision.network)
        return outer

    def _act(self, name: str, attempt: Attempt, decision: Decision, handling: Handling) -> None:
        self.gate.counters.connection_handled(decision.network, handling)
        self._note_address(name, decision)
        if handling is Handling.INSPECT:
            self._show_page(name, attempt, decision)
            return
        self.gate.judge.acted(attempt, decision)
        if handling is Handling.PASS:
            self.attempt, self.decision = attempt, decision
            self._timer.cancel()
            self._connect(self.gate.judge.stand_in(decision) or name)
        else:
            self._refuse_tls()

    def _note_address(self, name: str, decision: Decision) -> None:
        """Note who comes to a blocked site by an address of its own: the sinkhole gives out none but ours."""
        if not decision.blocked or as_ip(name) is not None:
            return
        if self.brought is not None and not is_own(self.brought):
            self._saw(Technique.HARDCODED_IP, name, decision.network)

    def _page_suffices(self, hello: hellos.Hello, decision: Decision) -> bool:
        """Whether all that is to come is the block page, for a client that speaks HTTP/1.1."""
        speaks = not hello.alpn or b"http/1.1" in hello.alpn
        return decision.blocked and not decision.path_decides and speaks and self.gate.tls is not None

    def _show_page(self, name: str, attempt: Attempt, decision: Decision) -> None:
        if self.gate.tls is None:
            raise RuntimeError("a page is to be shown without a certificate")
        self.attempt, self.decision = attempt, decision
        self.deadline(self.gate.config.handshake)
        TlsPage(self, self.gate.tls.connection(name, self.sock), attempt, decision).go_on()

    def _note(self, found: TlsName, network: str = "") -> None:
        for technique in found.techniques:
            self._saw(technique, found.label, network)

    def _refuse_tls(self) -> None:
        self.sock.recv(hellos.LARGEST_RAW)  # what is left unread when it is closed would undo the alert
        self.sock.send(ALERT)
        self.close()

    # -- HTTP --------------------------------------------------------------------------------------------------

    def _http(self, data: bytes) -> None:
        try:
            head = heads.read_head(data)
        except heads.NotHttp:
            technique = Technique.SSH if data.startswith(b"SSH-") else Technique.NON_HTTP  # RFC 4253 4.2
            self._saw(technique, self.connect_name or "")
            self.close()
            return
        if head is None and len(data) > heads.LOOKED_AT:
            self._take_over_long(data)
        elif head is None:
            self._more(len(data))
        elif (
            head.method == "CONNECT" and head.request and not self.door.transparent and not self.connect_name
        ):
            self.sock.recv(head.length)
            self._tunnel(head.target, head.request, ahead=len(data) > head.length)
        elif head.request is None or not self._block(head.request):
            self._hand_over(split=False, tls=False)

    def _take_over_long(self, data: bytes) -> None:
        """Have a very long head judged by mitmproxy, which takes it from the socket as it comes; CONNECT has none."""
        if data.lstrip(b"\r\n")[:8].upper() == b"CONNECT ":
            self._answer(BlockResponse(431, (("Content-Length", "0"),), b""), "GET")
        else:
            self._hand_over(split=False, tls=False)

    def _tunnel(self, target: str, request: RequestHead, *, ahead: bool) -> None:
        """Answer CONNECT (RFC 9110 9.3.6), and look at what comes through the tunnel; `ahead`: it is there already."""
        try:
            host, port = split_port(target)
        except InvalidHost:
            host, port = "", None
        if port is None:
            refusal = Refusal(400, "CONNECT names a host and a port", Technique.PROXY_PROTOCOL)
            self._answer(self.gate.pages.refused(refusal, self.arrival, "", fields_of(request)), "CONNECT")
            return
        name, _, page = self.gate.pages.connect(self.arrival, host, port, fields_of(request))
        if name is None or page is not None:
            self._answer(page or render_fault(""), "CONNECT")
            return
        self.connect_name = name
        self.address = (name, port)
        self.deadline(self.gate.config.undecided)
        self._looks, self._size = 0, _FIRST_LOOK
        self.sock.send(ESTABLISHED)
        if ahead:
            self.look()  # else what comes is told of

    def _block(self, request: RequestHead) -> bool:
        """Answer a request that is blocked; all others are for mitmproxy, which judges them again."""
        target = read_target(request, self.gate.config.web_ports)
        if isinstance(target, Refusal):
            return False
        judge = self.gate.judge
        attempt = judge.attempt(self.arrival, target.host, target.path, page_of(request), request.method)
        decision = judge.decide(attempt)
        if not decision.blocked:
            return False
        self._note_address(target.host, decision)
        if judge.is_path_trick(attempt):
            self._saw(Technique.PATH_TRICK, target.host, decision.network)
        self._answer(self.gate.pages.blocked(attempt, decision, fields_of(request)), request.method)
        return True

    def _answer(self, page: BlockResponse, method: str) -> None:
        """Send a response, and read what the client still sends for a moment, so that it gets to see it."""
        self.sock.send(response(page, method))
        self.linger()

    def linger(self) -> None:
        """Send no more, and read what still comes for a moment: what is left unread would undo what was sent."""
        self.sock.shutdown(socket.SHUT_WR)
        self._lingers_until = self.gate.poller.now + _LONGEST_LINGER
        self._linger_on()
        self.gone = True
        self.gate.answered(self)
        self.await_events(EPOLLIN, self._discard)

    def _linger_on(self) -> None:
        self._timer.cancel()
        self._lingered = self.gate.poller.now
        left = self._lingers_until - self.gate.poller.now
        self._timer = self.gate.poller.later(min(_LINGER_SECONDS, left), self.close)

    def await_events(self, events: int, handler: Callable[[int], None]) -> None:
        """Have the socket watched for other events."""
        if self.gone and handler != self._discard:
            return
        (self.gate.poller.change if self._watched else self.gate.poller.watch)(
            self.sock.fileno(), events, handler
        )
        self._watched = True

    def deadline(self, seconds: float) -> None:
        """Close the connection unless it is decided within so many seconds from now."""
        self._timer.cancel()
        self._timer = self.gate.poller.later(seconds, self._late)

    def _discard(self, _mask: int) -> None:
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._discarded += len(data)
        if not data or self._discarded > _LINGER_OCTETS:
            self.close()
        elif (
            self.gate.poller.now - self._lingered >= 1
        ):  # not for each segment: a cancelled timer stays until it is due
            self._linger_on()

    # -- passing on --------------------------------------------------------------------------------------------

    def _connect(self, name: str) -> None:
        port = self.address[1] if self.address and self.address[1] != 80 else 443
        self.await_events(_ARRIVING, self._waiting)
        self.gate.find(self, name, port)

    def _waiting(self, mask: int) -> None:
        if mask & (EPOLLHUP | EPOLLERR):
            self.close()  # nobody waits for the upstream any more

    def found(self, addresses: tuple[Address, ...]) -> None:
        """Dial the first address that answers; none: there is no way to the name."""
        if self.gone:
            return
        if not addresses:
            self._guarded(self._refuse_tls)
            return
        self._dial = Dial(self.gate.poller, addresses, self._connected, self.gate.unreachable)
        self._dial.start()

    def _connected(self, upstream: socket.socket | None) -> None:
        self._dial = None
        if upstream is None:
            self.close(reset=True)
        else:
            self.gone = True
            self.gate.passed(self, upstream)

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self, *, reset: bool = False) -> None:
        """Close the connection: properly, or with a reset where nobody should be kept waiting for an end."""
        self.gone = True
        self._timer.cancel()
        if self._dial is not None:
            self._dial.cancel()
        if self.decision is None or self.decision.blocked:
            self.gate.refused(self)
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif self._looks:
            with suppress(OSError):
                self.sock.recv(heads.LARGEST)  # what is left unread would turn the end into a reset
        self.gate.poller.close(self.sock)
        self.gate.left(self)

    def _hand_over(self, *, split: bool, tls: bool) -> None:
        self.gone = True
        self._timer.cancel()
        self.gate.poller.forget(self.sock.fileno())
        self.gate.hand_over(self, split=split, tls=tls)

    def _late(self) -> None:
        if not self.gone:
            self.gate.counters.connection_turned_away("late")
            self.close()

    def _fail(self, data: bytes) -> None:
        """Shut the door after a failure of ours, with the answer that suits what the client speaks."""
        if data[:1] == b"\x16":
            self._guarded(self._refuse_tls)
        elif data and not self.gone:
            self._guarded(lambda: self._answer(render_fault(""), "GET"))
        else:
            self.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError:
            self.close()  # the client has gone

    def _saw(self, technique: Technique, host: str, network: str = "") -> None:
        self.gate.judge.saw(technique, self.arrival, host, network)
