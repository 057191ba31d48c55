"""Shows the block page inside TLS where a name is blocked whatever the page: mitmproxy has no part in it.

One request is answered, over HTTP/1.1, and the connection closed: a client that comes again resumes its TLS session.
Time is bounded at every step: handshake, wait for a request, request head, answer, and what the client still sends.
"""

from dataclasses import replace
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

from OpenSSL import SSL

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.technique import Technique
from schoolgate_proxy.blockpage import BlockResponse, render_fault
from schoolgate_proxy.client_tls import distrusts
from schoolgate_proxy.gate import head as heads
from schoolgate_proxy.gate.answer import fields_of, response
from schoolgate_proxy.request import Refusal, page_of, read_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from schoolgate_proxy.gate.visitor import Visitor

_WAIT_SECONDS = 30.0  # for a request: browsers open connections ahead of need
_RECORD = 16_384


class TlsPage:
    """One TLS connection of a visitor, who owns the socket, to a name that is blocked."""

    __slots__ = (
        "_attempt",
        "_begun",
        "_connection",
        "_deadline",
        "_decision",
        "_received",
        "_rest",
        "_step",
        "_visitor",
    )  # fmt: skip

    def __init__(
        self, visitor: "Visitor", connection: SSL.Connection, attempt: Attempt, decision: Decision
    ) -> None:
        self._visitor = visitor
        self._connection = connection
        self._attempt = attempt
        self._decision = decision
        self._received = b""
        self._rest = b""  # of the answer
        self._begun = False  # a request has
        self._step: Callable[[], None] = self._handshake
        self._deadline = visitor.gate.config.undecided  # for a request that has begun

    def go_on(self, _mask: int = 0) -> None:
        """Do what can be done now; a failure of ours ends in a closed door."""
        visitor = self._visitor
        try:
            self._step()
        except SSL.WantReadError:
            visitor.await_events(EPOLLIN, self.go_on)
        except SSL.WantWriteError:
            visitor.await_events(EPOLLOUT, self.go_on)
        except (SSL.ZeroReturnError, SSL.SysCallError, OSError):
            self._abandoned()
        except SSL.Error as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not open the door
            visitor.gate.fault(error)
            visitor.close()

    # -- steps, each of which may raise that it wants more ------------------------------------------------------

    def _handshake(self) -> None:
        self._connection.do_handshake()
        self._visitor.deadline(_WAIT_SECONDS)
        self._step = self._read
        self._read()

    def _read(self) -> None:
        while self._step == self._read:
            data = self._connection.recv(_RECORD)
            if not self._begun:
                self._begun = True
                self._visitor.deadline(self._deadline)
            first, self._received = not self._received, self._received + data
            if first or b"\n" in data or len(self._received) > heads.LARGEST:
                self._request()  # else it cannot have become whole: tiny pieces shall not cost much

    def _write(self) -> None:
        while self._rest:
            self._rest = self._rest[self._connection.send(self._rest) :]
        self._connection.shutdown()
        self._visitor.linger()

    # -- the request -------------------------------------------------------------------------------------------

    def _request(self) -> None:
        try:
            head = heads.read_head(self._received)
        except heads.NotHttp:
            self._saw(Technique.NON_HTTP_TLS, self._decision.host)
            self._visitor.close()
            self._step = self._idle
            return
        if head is None and len(self._received) > heads.LARGEST:
            self._answer(BlockResponse(431, (("Content-Length", "0"),), b""), "GET")
        elif head is not None:
            try:
                page = self._judged(head)
            except Exception as error:  # noqa: BLE001 - as above; there is somebody to tell
                self._visitor.gate.fault(error)
                page = render_fault("")
            if page is None:
                self._visitor.close()
                self._step = self._idle
            else:
                self._answer(page, head.method)

    def _judged(self, head: heads.Head) -> BlockResponse | None:
        """Return the answer to a request, judged as mitmproxy's requests are; None where it is allowed by now."""
        gate, arrival, network = self._visitor.gate, self._visitor.arrival, self._decision.network
        fields = fields_of(head.request)
        if head.request is None or head.method == "CONNECT":
            technique = Technique.SMUGGLING if head.request is None else Technique.PROXY_PROTOCOL
            refusal = Refusal(400, "this request was not understood", technique, self._decision.host)
            return gate.pages.refused(refusal, arrival, network, fields)
        target = read_target(replace(head.request, tls=True), gate.config.web_ports)
        if isinstance(target, Refusal):
            return gate.pages.refused(target, arrival, network, fields)
        fronted = target.host != self._decision.host
        attempt = gate.judge.attempt(arrival, target.host, target.path, page_of(head.request), head.method)
        decision = gate.judge.decide(attempt)
        if decision.blocked:
            if fronted:
                self._saw(Technique.FRONTING, target.host)
            if gate.judge.is_path_trick(attempt):
                self._saw(Technique.PATH_TRICK, target.host)
            return gate.pages.blocked(attempt, decision, fields)
        if fronted:
            message = "this connection was opened for another name"
            refusal = Refusal(421, message, Technique.MISDIRECTED, target.host)
            return gate.pages.refused(refusal, arrival, network, fields)
        return None  # the client comes again, and is let through then

    def _answer(self, page: BlockResponse, method: str) -> None:
        self._rest = response(page, method)
        self._step = self._write
        self._write()

    # -- the end -----------------------------------------------------------------------------------------------

    def _failed(self, error: SSL.Error) -> None:
        """Note what a client says against our certificate; after the handshake too (enforcement A2.6)."""
        if distrusts(str(error)):
            self._saw(Technique.CLIENT_DISTRUST, self._decision.host)
        self._abandoned()

    def _abandoned(self) -> None:
        if self._step == self._handshake:  # the client did not wait for the page
            self._visitor.gate.judge.acted(self._attempt, self._decision)
        self._visitor.close()

    def _idle(self) -> None:
        """Do nothing: it is over."""

    def _saw(self, technique: Technique, host: str) -> None:
        self._visitor.gate.judge.saw(technique, self._visitor.arrival, host, self._decision.network)
