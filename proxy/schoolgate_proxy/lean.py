"""Takes out of mitmproxy what every connection pays for and nobody here needs.

Each of these is found by a name of mitmproxy's own; where another version has it no more, the start fails.
"""

import gc
import sys
from types import SimpleNamespace

from mitmproxy import ctx, http
from mitmproxy.options import Options
from mitmproxy.proxy.layers import tls

from schoolgate_proxy.gate.hello import read_message

# Seconds that the event loop's thread may compute while the gate's waits for the interpreter: Python's own five
# milliseconds are longer than all that the gate does for a connection.
_TURN = 0.0005


class ClientHello:
    """What the TLS layer asks of a ClientHello; read by the gate's reader, which has accepted it once already."""

    def __init__(self, message: bytes) -> None:
        """Take the message without its handshake header; raises ValueError where it is malformed."""
        hello = read_message(message)
        self.sni = hello.sni
        self.alpn_protocols = list(hello.alpn)


def settle(options: Options) -> None:
    """Make the options plain attributes, for connections and addons: they do not change any more.

    mitmproxy copies a value each time it is asked for it, some forty times for a connection. What has been made until
    now lives as long as the process, so that it need not be looked through for garbage again and again.
    """
    names = options.keys()  # type: ignore[no-untyped-call]  # mitmproxy leaves it untyped
    ctx.options = SimpleNamespace(**{name: getattr(options, name) for name in names})  # type: ignore[assignment]
    gc.collect()
    gc.freeze()


def install() -> None:
    """Make mitmproxy lean, in this process and from now on.

    Its general parser takes a ClientHello apart octet by octet: a twentieth of an opened connection. Heads of
    requests and responses are checked for the types of all their fields each time one is made.
    """
    if not callable(getattr(tls, "ClientHello", None)) or not hasattr(http.MessageData, "__post_init__"):
        raise RuntimeError("this mitmproxy is built otherwise")
    sys.setswitchinterval(_TURN)
    tls.ClientHello = ClientHello  # type: ignore[assignment,attr-defined]
    http.MessageData.__post_init__ = lambda _: None  # type: ignore[method-assign]
