"""Decides which bytes are read as what, before mitmproxy makes up its mind too early.

mitmproxy chooses a protocol on the first segment that arrives; a ClientHello sent in pieces of one or two bytes is
then no TLS to it (enforcement A2.5). Nothing is chosen here before five bytes are there, and nothing but TLS and
HTTP is ever chosen.
"""

import re
from enum import StrEnum

from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import commands, events, layer

ENOUGH = 5  # bytes: a TLS record header (RFC 8446 5.1); every HTTP request line is longer


_REQUEST_SO_FAR = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,31}(?: |\Z)|\Z")


class Kind(StrEnum):
    """What the first bytes of a connection begin."""

    UNDECIDED = "undecided"
    TLS = "tls"
    HTTP = "http"
    OTHER = "other"


class Closed(layer.Layer):
    """Closes the client connection at once."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


def kind_of(data: bytes) -> Kind:
    """Tell what the first bytes of a client begin."""
    if len(data) < ENOUGH:
        return Kind.UNDECIDED
    if starts_like_tls_record(data):
        return Kind.TLS
    # RFC 9112 2.2: an empty line before the request line is ignored. A method is a word, and a blank follows.
    return Kind.HTTP if _REQUEST_SO_FAR.match(data.lstrip(b"\r\n")) else Kind.OTHER
