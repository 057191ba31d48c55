"""Reads the head of a plain HTTP/1 request as far as the gate needs it; pure.

A head that is at all unusual is not interpreted here: it goes to mitmproxy, which judges every request again.
"""

import re
from dataclasses import dataclass

from schoolgate_proxy.request import RequestHead

LARGEST = 131_072  # octets of a request head: cookies of a site may have half of it
LOOKED_AT = (
    32_768  # octets of a head that are waited for unread; the kernel holds little more than twice that
)
_METHOD_SO_FAR = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,31}( [^\r\n]*)?")
_REQUEST_LINE = re.compile(rb"([A-Za-z][A-Za-z0-9_-]{0,31}) ([\x21-\x7e]+) HTTP/1\.[01]")
_LOOSE_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,31} .*HTTP/[0-9](\.[0-9])?\s*")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_ABSOLUTE = re.compile(r"[hH][tT][tT][pP]://([^/?#]*)(.*)")


class NotHttp(ValueError):  # noqa: N818 - reads as what it is where it is caught
    """Bytes that begin no HTTP request."""


@dataclass(frozen=True, slots=True)
class Head:
    """A whole request head of `length` octets. `request` is None where only mitmproxy shall read it."""

    length: int
    method: str
    target: str
    request: RequestHead | None


def read_head(data: bytes) -> Head | None:
    """Return the request head at the start of `data`, None where more must come.

    Raises:
        NotHttp: it is none, whatever may follow.

    """
    text = data.lstrip(b"\r\n")  # RFC 9112 2.2: empty lines before the request line are ignored
    line, newline, _ = text.partition(b"\n")
    if not newline:
        if text and not _METHOD_SO_FAR.fullmatch(text.rstrip(b"\r")):
            raise NotHttp("no request line")
        return None
    if not _LOOSE_LINE.fullmatch(line):
        raise NotHttp("no request line")
    end = data.find(b"\r\n\r\n", len(data) - len(text))
    if end < 0:
        bare = data.find(b"\n\n", len(data) - len(text))
        return Head(bare + 2, "", "", None) if bare >= 0 else None
    return _parse(data[len(data) - len(text) : end], end + 4)


def _parse(head: bytes, length: int) -> Head:
    odd = Head(length, "", "", None)
    first, *lines = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        return odd
    method, target = match[1].decode(), match[2].decode()
    fields = []
    for line in lines:
        field = _FIELD.fullmatch(line.decode("utf-8", "surrogateescape"))
        if field is None:
            return odd
        fields.append((field[1], field[2]))
    authority, path = "", target
    if absolute := _ABSOLUTE.fullmatch(target):
        authority, path = absolute[1], absolute[2] or "/"
    return Head(length, method, target, RequestHead(method, authority, path, fields, http2=False, tls=False))
