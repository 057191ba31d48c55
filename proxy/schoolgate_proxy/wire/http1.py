"""HTTP/1 within bounds: mitmproxy 12.2.3 collects a head of any length, for as long as its sender likes.

The same buffer takes the requests that a client sends ahead of an answer, and the lines between the chunks of a body.
Trailer fields, at which mitmproxy stops with NotImplementedError while the client waits for ever, are dropped instead, as
whoever stands in between may do (RFC 9110 6.5.1).
"""

from h11 import Data, EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestProtocolError, ResponseProtocolError
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server

from schoolgate_proxy.gate.head import LARGEST

MOST = LARGEST + 65_536  # octets that have arrived and cannot be used yet: a head, and what was read with it
_HEAD_SECONDS = (
    10.0  # for a request head on a connection that has been used; the first has the gate's deadline
)
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedServer(Http1Server):
    """Towards clients: a head ends in time and below a size, and few requests are taken ahead."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._waking: commands.RequestWakeup | None = None
        self._head = 0  # the stream whose head is waited for

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Wakeup):
            self._waking = None
            if self._incomplete and self._head == self.stream_id:
                yield commands.CloseConnection(self.conn)
                self.state = self.done
        else:
            yield from super()._handle_event(event)
            if isinstance(event, events.DataReceived) and self.buf:
                yield from self._bound()
        if self._incomplete and self._waking is None:
            self._head = self.stream_id
            self._waking = commands.RequestWakeup(_HEAD_SECONDS)
            yield self._waking

    @property
    def _incomplete(self) -> bool:
        return self.state == self.read_headers and bool(self.buf)

    def _bound(self) -> CommandGenerator[None]:
        if self.state in {self.done, self.passthrough}:
            self.buf = ReceiveBuffer()
        elif len(self.buf) > MOST:
            waiting = self.state == self.read_headers
            if waiting:
                yield commands.SendData(self.conn, _TOO_LARGE)
            yield commands.CloseConnection(self.conn)
            self.state = self.done
            if not waiting:
                message = "the client sends more than can be used"
                yield ReceiveHttp(
                    RequestProtocolError(self.stream_id, message, ErrorCode.GENERIC_CLIENT_ERROR)
                )


class BoundedClient(Http1Client):
    """Towards upstreams: a response head and what stands between chunks are below a size."""

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        yield from super()._handle_event(event)
        if isinstance(event, events.DataReceived) and len(self.buf) > MOST and self.state != self.passthrough:
            yield commands.CloseConnection(self.conn)
            self.state = self.done
            if self.stream_id is not None:
                message = "the head of the response is too large"
                yield ReceiveHttp(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR)
                )


class WithoutTrailers(ChunkedReader):
    """Reads a chunked body and drops its trailer fields."""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        """Return the next piece of the body that is there."""
        event = super().__call__(buf)
        return EndOfMessage() if isinstance(event, EndOfMessage) else event
