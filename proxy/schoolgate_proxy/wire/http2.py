"""HTTP/2 with windows: mitmproxy 12.2.3 lets everybody send 2 GB ahead, and keeps what the other side does not take.

A stream is given more room (WINDOW_UPDATE) only once what it brought has gone on, so that a video that is paused holds up
neither the memory nor the other streams of its connection. Source: RFC 9113 5.2 and 6.9.
"""

from collections.abc import Callable

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import HeaderTuple as Header
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Connection, Http2Server
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from schoolgate_proxy.gate.head import LARGEST
from schoolgate_proxy.wire import pressure

_STREAM, _CONNECTION = (
    2 << 20,
    16 << 20,
)  # octets that may be sent ahead: what browsers allow is of that order
_CONNECT = (b":method", b"CONNECT")
_AGAIN_SECONDS = 0.05  # until it is looked whether held octets have gone


class Windowed(BufferedH2Connection):
    """The state of a connection, which gives room back when `full` says so."""

    DEFAULT_MAX_HEADER_LIST_SIZE = LARGEST

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.local_settings.initial_window_size = _STREAM
        self.local_settings.acknowledge()  # else the old one is sent
        self.full: Callable[[int], bool] = lambda _: False
        self.held: dict[int, int] = {}  # octets by stream, for which no room has been given back

    def initiate_connection(self) -> None:
        """Say how much may be sent ahead."""
        H2Connection.initiate_connection(self)
        self.increment_flow_control_window(_CONNECTION - self.inbound_flow_control_window)

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Give room back for what was received, or keep in mind that it is owed."""
        if self.full(stream_id):
            self.held[stream_id] = self.held.get(stream_id, 0) + acknowledged_size
        else:
            super().acknowledge_received_data(acknowledged_size + self.held.pop(stream_id, 0), stream_id)

    def release(self) -> None:
        """Give back what is owed to streams that can go on."""
        for stream_id in [stream_id for stream_id in self.held if not self.full(stream_id)]:
            super().acknowledge_received_data(self.held.pop(stream_id), stream_id)


class _Patience:
    """Looks again, after a while, at the streams of one connection that are held."""

    def __init__(self, speaker: Http2Connection) -> None:
        self._speaker = speaker
        self._waking: commands.RequestWakeup | None = None

    def woken(self, event: events.Event) -> bool:
        """Whether an event is our own."""
        return isinstance(event, events.Wakeup) and event.command is self._waking

    def release(self) -> CommandGenerator[None]:
        """Give room back."""
        self._waking = None
        self._speaker.h2_conn.release()  # type: ignore[attr-defined]  # it is ours
        if data := self._speaker.h2_conn.data_to_send():
            yield commands.SendData(self._speaker.conn, data)

    def go_on(self) -> CommandGenerator[None]:
        """Have us woken where something is held."""
        if self._waking is None and self._speaker.h2_conn.held:  # type: ignore[attr-defined]  # as above
            self._waking = commands.RequestWakeup(_AGAIN_SECONDS)
            yield self._waking


class PatientServer(Http2Server):
    """Towards clients: takes no more of an upload than its upstream does."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._patience = _Patience(self)
        http = pressure.http_layer(context.layers)
        if http is not None:
            self.h2_conn.full = lambda stream: pressure.upward(http, stream) > pressure.MOST  # type: ignore[attr-defined]

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._patience.woken(event):
            yield from self._patience.release()
        else:
            yield from super()._handle_event(event)
        yield from self._patience.go_on()

    def handle_h2_event(self, event: h2.events.Event) -> CommandGenerator[bool]:
        """Have CONNECT, plain or extended (RFC 8441), refused and noted as over HTTP/1: mitmproxy hangs up unheard."""
        if isinstance(event, h2.events.RequestReceived) and _CONNECT in event.headers:
            named = dict(event.headers).get(b":authority", b"")
            fields = (_CONNECT, (b":scheme", b"https"), (b":path", b"/"), (b":authority", named))
            event.headers = [Header(*field) for field in fields]
        return (yield from super().handle_h2_event(event))


class PatientClient(Http2Client):
    """Towards upstreams: takes no more of a response than its client does."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._patience = _Patience(self)
        http = pressure.http_layer(context.layers)
        if http is not None:
            self.h2_conn.full = (  # type: ignore[attr-defined]
                lambda ours: pressure.downward(http, self.their_stream_id.get(ours, 0)) > pressure.MOST
            )

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        if self._patience.woken(event):
            yield from self._patience.release()
        else:
            yield from super()._handle_event(event)
        yield from self._patience.go_on()
