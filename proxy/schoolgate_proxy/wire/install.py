"""Puts our protocol layers in the place of mitmproxy's, by the names under which it looks them up.

Where another version of mitmproxy has such a name no more, the start fails.
"""

from mitmproxy.proxy.layers import http, websocket
from mitmproxy.proxy.layers.http import _http1, _http2

from schoolgate_proxy.wire.http1 import BoundedClient, BoundedServer, WithoutTrailers
from schoolgate_proxy.wire.http2 import PatientClient, PatientServer, Windowed
from schoolgate_proxy.wire.stream import AnsweringStream
from schoolgate_proxy.wire.websocket import FrameRelay

_PLACES = (
    (http, "HttpStream", AnsweringStream),
    (http, "Http1Server", BoundedServer),
    (http, "Http1Client", BoundedClient),
    (http, "Http2Server", PatientServer),
    (http, "Http2Client", PatientClient),
    (_http1, "ChunkedReader", WithoutTrailers),
    (_http2, "BufferedH2Connection", Windowed),
    (websocket, "WebsocketLayer", FrameRelay),
)


def install() -> None:
    """Have mitmproxy use our layers, in this process and from now on; a second time changes nothing."""
    for module, name, ours in _PLACES:
        if not isinstance(getattr(module, name, None), type):
            raise TypeError(f"this mitmproxy is built otherwise: it has no {name}")
        setattr(module, name, ours)
