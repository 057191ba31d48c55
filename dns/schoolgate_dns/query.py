"""What a client asks: bytes in, a `Query` or the protocol's proper refusal out."""

from dataclasses import dataclass

from schoolgate_dns.wire import (
    CD,
    HEADER,
    IN,
    MAX_NAME,
    QR,
    QUESTION_TAIL,
    RD,
    Edns,
    Qtype,
    Rcode,
    WireError,
    name_to_text,
    read_edns,
    read_name,
    read_records,
)

_LONGEST_PLAIN = HEADER.size + MAX_NAME  # where a name's final zero must stand before
_ONE_ADDITIONAL = b"\0\0\0\0\0\1"
_PLAIN_OPT = 11  # octets of an OPT record without options
# Those read before: all clients of a kind send the same one.
_KNOWN_OPTS: dict[bytes, "Edns"] = {}
_MOST_OPTS = 256


@dataclass(frozen=True, slots=True)
class Query:
    """One question, and what its asker can take as an answer."""

    id: int
    flags: int
    question: bytes  # name, type and class as received: echoed to the letter (RFC 4343)
    name: bytes  # wire form in lower case: what caches and tables go by
    host: str  # the same as text, without the final dot; empty for the root
    qtype: int
    edns: Edns | None
    cookie: bytes = b""  # what its reply carries where the client sent one (RFC 7873)

    @property
    def recursion_desired(self) -> bool:
        """Whether we may ask upstream on the client's behalf."""
        return bool(self.flags & RD)

    @property
    def checking_disabled(self) -> bool:
        """Whether the client wants answers that fail DNSSEC validation too (RFC 4035 section 3.2.2)."""
        return bool(self.flags & CD)

    @property
    def dnssec_ok(self) -> bool:
        """Whether the client wants signatures (RFC 3225)."""
        return self.edns is not None and self.edns.do


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that is no question we answer: why, and what the protocol says to reply."""

    rcode: Rcode
    id: int
    flags: int
    why: str
    question: bytes = b""  # echoed where it could be read
    edns: Edns | None = None
    odd_name: bool = False  # a name made to be read differently by different readers


class _Refused(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, rcode: Rcode, why: str, question: bytes = b"", *, odd_name: bool = False) -> None:
        super().__init__(why)
        self.rcode = rcode
        self.question = question
        self.odd_name = odd_name
        self.edns: Edns | None = None


def read_query(message: bytes) -> Query | Rejection | None:
    """Read a client's message; None is for what must not be answered at all: too short, or itself a response."""
    if len(message) < HEADER.size:
        return None
    ident, flags, questions, *_ = HEADER.unpack_from(message)
    if flags & QR:
        return None  # answering responses would let two servers talk to each other for ever
    try:
        return _read(message, ident, flags, questions)
    except _Refused as refused:
        why, odd = str(refused), refused.odd_name
        return Rejection(refused.rcode, ident, flags, why, refused.question, refused.edns, odd)


def _read(message: bytes, ident: int, flags: int, questions: int) -> Query:
    if flags >> 11 & 0xF:
        raise _Refused(Rcode.NOTIMP, "only standard queries are answered")
    if questions != 1:
        raise _Refused(Rcode.FORMERR, "a query has exactly one question")
    name, host, offset = _plain_name(message) or _odd_name(message)
    if offset + QUESTION_TAIL.size > len(message):
        raise _Refused(Rcode.FORMERR, "the question runs over the end")
    qtype, qclass = QUESTION_TAIL.unpack_from(message, offset)
    offset += QUESTION_TAIL.size
    question = message[HEADER.size : offset]
    if host is None:
        host = _host(name, question)
    edns = _edns(message, offset, question)
    if qclass != IN or qtype == Qtype.OPT:
        refused = _Refused(Rcode.REFUSED, "only class IN is answered", question)
        refused.edns = edns
        raise refused
    return Query(ident, flags, question, name, host, qtype, edns)


def _plain_name(message: bytes) -> tuple[bytes, str | None, int] | None:
    """Read a name without anything odd in it: wire form and text in lower case, and the offset behind it."""
    labels: list[bytes] = []
    offset = HEADER.size
    last = len(message) - 1
    while offset < last:
        length = message[offset]
        if length == 0:
            text = b".".join(labels).lower()
            if not text.isascii() or text.count(b".") >= max(len(labels), 1) or offset >= _LONGEST_PLAIN:
                return None
            # Lengths are no letters: they are below 64.
            return message[HEADER.size : offset + 1].lower(), text.decode("ascii"), offset + 1
        if length > 63:
            return None
        labels.append(message[offset + 1 : offset + 1 + length])
        offset += length + 1
    return None


def _odd_name(message: bytes) -> tuple[bytes, str | None, int]:
    """Read any name; whether it has a text at all is seen when the whole question is known."""
    try:
        name, offset = read_name(message, HEADER.size)
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), odd_name=True) from error
    return name.lower(), None, offset


def _host(name: bytes, question: bytes) -> str:
    try:
        return name_to_text(name.lower())
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), question, odd_name=True) from error


def _edns(message: bytes, offset: int, question: bytes) -> Edns | None:
    if not any(message[6 : HEADER.size]):
        return None  # no records at all
    if message[6 : HEADER.size] == _ONE_ADDITIONAL and len(message) == offset + _PLAIN_OPT:
        known = _KNOWN_OPTS.get(message[offset:])
        if known is not None:
            return known
    try:
        edns = read_edns(message, read_records(message, offset))
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), question) from error
    if edns is not None and edns.version > 0:
        refused = _Refused(Rcode.BADVERS, "only EDNS version 0 is known", question)
        refused.edns = edns
        raise refused
    if edns is not None and len(message) == offset + _PLAIN_OPT and len(_KNOWN_OPTS) < _MOST_OPTS:
        _KNOWN_OPTS[message[offset:]] = edns
    return edns
