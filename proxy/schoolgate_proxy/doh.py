"""Tells DNS over HTTPS, in both directions: by media type and parameters, and by what a body holds.

Sources: RFC 8484 (media type, `dns` parameter), RFC 9230 (oblivious), RFC 1035 4.1 (the message); the JSON form is
that of the large public resolvers. Knows no proxy framework.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

_TYPES = frozenset(
    {
        "application/dns-message",
        "application/dns-udpwireformat",  # of the drafts, still answered by some
        "application/oblivious-dns-message",
        "application/dns-json",
    }
)
_READABLE = (
    "text/",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/",
    "application/xml",
)
_LONGEST_QUESTION = 1024  # octets: a question is short, so that such bodies may be waited for
_LONGEST_ANSWER = 65_535  # RFC 1035 4.2.2
_JSON_SIGNS = (b'"Status"', b'"TC"', b'"RD"', b'"Question"')

type Chunks = list[bytes] | bytes


def is_doh_type(value: str) -> bool:
    """Whether one of the media types in a field value is that of DNS over HTTPS."""
    if "dns" not in value.lower():
        return False
    return bool(_TYPES & {part.partition(";")[0].strip().lower() for part in value.split(",")})


def asks(path: str, types: Iterable[str]) -> bool:
    """Whether a request head asks a DNS question: by its media types, or by a parameter of its raw path."""
    if any(is_doh_type(value) for value in types):
        return True
    before, _, query = path.partition("?")
    if before.endswith("/dns-query") and ("name=" in query or "dns=" in query):
        return True
    if "ct=application" in query and any(is_doh_type(value) for value in parse_qs(query).get("ct", ())):
        return True
    return "dns=" in query and any(_asks_in_base64(text) for text in parse_qs(query).get("dns", ()))


def may_hold_question(method: str, content_type: str, length: int) -> bool:
    """Whether a body is short enough, and of such a type, to be looked at before anything of it is sent on."""
    return (
        method in {"POST", "PUT", "PATCH"}
        and 17 <= length <= _LONGEST_QUESTION
        and not content_type.lower().startswith(_READABLE)
    )


def may_hold_answer(length: int | None) -> bool:
    """Whether a response body may be a DNS message; None: nobody said how long it is."""
    return length is None or 12 <= length <= _LONGEST_ANSWER


def is_question(body: bytes) -> bool:
    """Whether a body is a DNS query and nothing else."""
    return _is_message(body, response=False)


def is_answer(body: bytes) -> bool:
    """Whether a body begins as a DNS response does, on the wire or in JSON."""
    if body[:1] == b"{":
        head = body[:512]
        return all(sign in head for sign in _JSON_SIGNS)
    return _is_message(body, response=True)


class Watch:
    """Looks at the first octets of a streamed body and stops it where they are DNS; for mitmproxy's `stream`."""

    __slots__ = ("_found", "_looking", "_stopped", "_told")

    def __init__(self, looking: Callable[[bytes], bool], found: Callable[[], None]) -> None:
        """Pass everything on until `looking` says of the first piece that it is DNS; then `found` is called."""
        self._looking = looking
        self._found = found
        self._told = self._stopped = False

    def __call__(self, data: bytes) -> Chunks:
        """Return what is passed on of a piece."""
        if not self._told and data:
            self._told = True
            if self._looking(data):
                self._stopped = True
                self._found()
        return [] if self._stopped or not data else data


def _asks_in_base64(text: str) -> bool:
    try:
        message = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(message) >= 17 and message[4:6] == b"\x00\x01" and not message[2] & 0x80


def _is_message(body: bytes, *, response: bool) -> bool:
    """Whether octets begin with a DNS header of one standard question, and that question."""
    if len(body) < 17 or bool(body[2] & 0x80) is not response or body[2] & 0x78 or body[4:6] != b"\x00\x01":
        return False
    if body[3] & 0x40 or (not response and (body[3] & 0x0F or body[6:10] != b"\x00\x00\x00\x00")):
        return False
    place = 12
    while place < len(body) and (length := body[place]):
        if length > 63:
            return False
        place += 1 + length
    # RFC 1035 3.2.4: the class after type is IN (1) or ANY (255).
    return place + 5 <= len(body) and body[place + 3] == 0 and body[place + 4] in {1, 255}
