"""Keeps HTTP/1 bodies with trailers from stopping mitmproxy.

mitmproxy 12.2.3 raises NotImplementedError at a chunked body that ends with trailer fields, and the client waits for ever.
They are dropped instead, as whoever stands in between may do (RFC 9110 6.5.1).
"""

from h11 import Data, EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http import _http1


class WithoutTrailers(ChunkedReader):
    """Reads a chunked body and drops its trailer fields."""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        """Return the next piece of the body that is there."""
        event = super().__call__(buf)
        return EndOfMessage() if isinstance(event, EndOfMessage) else event


def install() -> None:
    """Have mitmproxy read chunked bodies this way, from now on and in this process."""
    _http1.ChunkedReader = WithoutTrailers  # type: ignore[attr-defined]  # mitmproxy has no other place to say it
