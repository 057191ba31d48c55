"""Tells DNS over HTTPS, in both directions: by media type and parameters, and by what a body holds.

Sources: RFC 8484 (media type, `dns` parameter), RFC 9230 (oblivious), RFC 1035 4.1 (the message); the JSON form is
that of the large public resolvers. Knows no proxy framework.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from enum import Enum, auto
from urllib.parse import parse_qs

_TYPES = frozenset(
    {
        "application/dns-message",
        "application/dns-udpwireformat",  # of the drafts, still answered by some
        "application/oblivious-dns-message",
        "application/dns-json",
    }
)
_LONGEST_WAITED_FOR = 4096  # octets of a request body; a padded question has 128 n (RFC 8467 4.1)
_LONGEST_ANSWER = 65_535  # RFC 1035 4.2.2
_JSON_SIGNS = (b'"Status"', b'"TC"', b'"RD"', b'"Question"')
_JSON_LOOKED_AT = 16_384  # octets
_BLANK = b" \t\r\n\xef\xbb\xbf"  # with the byte order mark
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}\.?", re.IGNORECASE)
_RECORD_TYPES = frozenset(
    {"a", "aaaa", "any", "caa", "cname", "https", "mx", "ns", "ptr", "soa", "srv", "svcb", "txt"}
) | {"1", "28", "64", "65"}


class Sight(Enum):
    """What the beginning of a body shows; a closed set."""

    FOUND = auto()
    ORDINARY = auto()
    UNSURE = auto()  # more must come, and what there is must wait for it
    PERHAPS = auto()  # it may be found out later; nothing has to wait


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
    if before == "/resolve" and "name=" in query and _asks_in_words(query):
        return True
    if "ct=application" in query and any(is_doh_type(value) for value in parse_qs(query).get("ct", ())):
        return True
    return "dns=" in query and any(_asks_in_base64(text) for text in parse_qs(query).get("dns", ()))


def may_wait(method: str, length: int) -> bool:
    """Whether a request body is so short that all of it may be waited for, and a page be shown if it is a question."""
    return method in {"POST", "PUT", "PATCH"} and 12 <= length <= _LONGEST_WAITED_FOR


def may_hold_answer(length: int | None) -> bool:
    """Whether a response body may be a DNS message; None: nobody said how long it is."""
    return length is None or 12 <= length <= _LONGEST_ANSWER


def question(body: bytes) -> Sight:
    """Say whether a body begins as a DNS query does, whatever follows: questions are padded (RFC 7830)."""
    return _message(body, response=False)


def answer(body: bytes) -> Sight:
    """Say whether a body begins as a DNS response does, on the wire or in JSON."""
    sight = _message(body, response=True)
    if sight is not Sight.ORDINARY:  # a client chooses the first two octets, and may choose those of JSON
        return sight
    text = body.lstrip(_BLANK)
    if text[:1] not in {b"", b"{", b"["} or len(text) > _JSON_LOOKED_AT:
        return Sight.ORDINARY
    found = sum(sign in text for sign in _JSON_SIGNS)
    if found == len(_JSON_SIGNS):
        return Sight.FOUND
    return Sight.UNSURE if found > 1 else Sight.PERHAPS


def _asks_in_words(query: str) -> bool:
    """Whether parameters name a host and a type of record, as the JSON form does."""
    parameters = parse_qs(query)
    kinds = {kind.lower() for kind in parameters.get("type", ())}
    return bool(kinds & _RECORD_TYPES) and any(_NAME.fullmatch(name) for name in parameters.get("name", ()))


def _asks_in_base64(text: str) -> bool:
    try:
        message = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(message) >= 17 and message[4:6] == b"\x00\x01" and not message[2] & 0x80


def _message(body: bytes, *, response: bool) -> Sight:
    """Look for a DNS header of one standard question, and that question."""
    if _is_other_header(body, response=response):
        return Sight.ORDINARY
    place = 12
    while place < len(body) and (length := body[place]):
        place += 1 + length
        if length > 63 or place - 12 > 254:  # RFC 1035 2.3.4
            return Sight.ORDINARY
    if len(body) < place + 5:
        return Sight.UNSURE
    # RFC 1035 3.2.4: the class after type is IN (1) or ANY (255).
    return Sight.FOUND if body[place + 3] == 0 and body[place + 4] in {1, 255} else Sight.ORDINARY


def _is_other_header(body: bytes, *, response: bool) -> bool:
    """Whether what there is of a header cannot be one of DNS; no text looks like one from its third octet on."""
    if len(body) > 2 and (bool(body[2] & 0x80) is not response or body[2] & 0x78):
        return True
    if len(body) > 3 and body[3] & (0x40 if response else 0x4F):
        return True
    if not b"\x00\x01".startswith(body[4:6]):
        return True
    return not response and bool(body[6:10].strip(b"\x00"))  # answers, or authority, in a question
