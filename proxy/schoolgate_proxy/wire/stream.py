"""Answers of our own at once: mitmproxy waits for the whole body of a request before it sends what an addon answers.

What the client still sends is read and forgotten, up to a bound: most browsers look for an answer only when they have
sent their request, and would show an error where the connection is closed under them (RFC 9112 9.6).
"""

from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import DropStream, HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    ResponseEndOfMessage,
    ResponseProtocolError,
)

MOST_DISCARDED = 32 << 20  # octets of a request that has been answered


class AnsweringStream(HttpStream):
    """One request and its response; where an addon has answered a request that is to be streamed, the answer goes out."""

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self._discarded = 0

    def start_request_stream(self) -> CommandGenerator[None]:
        """Begin to send a request on, or answer it."""
        if self.flow.response is None:
            yield from super().start_request_stream()
            return
        self.client_state = self.state_discard
        # What mitmproxy does next is to wait for a response; it takes its own state back at the first event.
        yield from self.send_response()
        if self.client_state == self.state_discard:  # else the client has gone
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def state_discard(self, event: HttpEvent) -> CommandGenerator[None]:
        """Forget what still comes of an answered request."""
        if isinstance(event, RequestData):
            self._discarded += len(event.data)
            if self._discarded > MOST_DISCARDED:
                message = "the request was answered, and is still being sent"
                yield SendHttp(
                    ResponseProtocolError(self.stream_id, message, ErrorCode.CANCEL), self.context.client
                )
                self._over()
                yield DropStream(self.stream_id)
        elif isinstance(event, RequestEndOfMessage):
            self._over()
            yield DropStream(self.stream_id)

    def _over(self) -> None:
        self.flow.live = False
        self.client_state = self.server_state = self.state_errored
