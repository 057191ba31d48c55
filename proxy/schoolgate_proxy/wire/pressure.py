"""How much of a stream is held because the other side does not take it.

TCP keeps a fast sender waiting by itself where octets go straight from one socket to the other. It does not where HTTP/2
holds them back until the receiver opens its window (RFC 9113 5.2), or where a request waits for its upstream.
"""

from collections.abc import Iterable

from mitmproxy.connection import Connection
from mitmproxy.proxy.layer import Layer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._events import RequestData, ResponseData
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server
from mitmproxy.proxy.layers.http._http2 import Http2Client, Http2Server

MOST = 1 << 20  # octets of one stream and direction; more are not taken from the sender


def http_layer(layers: Iterable[Layer]) -> HttpLayer | None:
    """Return the layer that speaks HTTP, None where there is none."""
    return next((one for one in layers if isinstance(one, HttpLayer)), None)


def upward(http: HttpLayer, stream_id: int) -> int:
    """Return the octets held on their way to the upstream; `stream_id` is the client's."""
    stream = http.streams.get(stream_id)
    if stream is None:
        return 0
    held = _octets(stream._paused_event_queue)  # noqa: SLF001 - mitmproxy shows it nowhere else
    upstream = _speaker(http, stream.context.server)
    if isinstance(upstream, Http2Client):
        held += _octets(upstream.stream_queue.get(stream_id, ()))
        held += _buffered(upstream, upstream.our_stream_id.get(stream_id, 0))
    return held


def downward(http: HttpLayer, stream_id: int) -> int:
    """Return the octets held on their way to the client."""
    speaker = http.connections.get(http.context.client)
    return _buffered(speaker, stream_id) if isinstance(speaker, Http2Server) else 0


def stuck(http: HttpLayer, connection: Connection) -> bool:
    """Whether nothing more is to be read from an HTTP/1 connection for now; HTTP/2 has a window for each stream."""
    speaker = _speaker(http, connection)
    if isinstance(speaker, Http1Server):
        return upward(http, speaker.stream_id) > MOST
    if isinstance(speaker, Http1Client) and speaker.stream_id is not None:
        return downward(http, speaker.stream_id) > MOST
    return False


def _speaker(http: HttpLayer, connection: Connection) -> Layer | None:
    layer = http.connections.get(connection)
    if layer is None or connection is http.context.client:
        return layer
    return layer.context.layers[-1]  # on top of TLS


def _buffered(speaker: Http2Client | Http2Server, stream_id: int) -> int:
    return sum(len(chunk.data) for chunk in speaker.h2_conn.stream_buffers.get(stream_id, ()))


def _octets(events: Iterable[object]) -> int:
    return sum(len(event.data) for event in events if isinstance(event, RequestData | ResponseData))
