"""What a client asks: bytes in, a `Query` or the protocol's proper refusal out."""

from dataclasses import dataclass

from schoolgate_dns.wire import (
    CD,
    HEADER,
    IN,
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
    try:
        name, offset = read_name(message, HEADER.size)
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), odd_name=True) from error
    if offset + QUESTION_TAIL.size > len(message):
        raise _Refused(Rcode.FORMERR, "the question runs over the end")
    qtype, qclass = QUESTION_TAIL.unpack_from(message, offset)
    offset += QUESTION_TAIL.size
    question = message[HEADER.size : offset]
    host = _host(name, question)
    edns = _edns(message, offset, question)
    if qclass != IN or qtype == Qtype.OPT:
        refused = _Refused(Rcode.REFUSED, "only class IN is answered", question)
        refused.edns = edns
        raise refused
    return Query(ident, flags, question, name.lower(), host, qtype, edns)


def _host(name: bytes, question: bytes) -> str:
    try:
        return name_to_text(name.lower())
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), question, odd_name=True) from error


def _edns(message: bytes, offset: int, question: bytes) -> Edns | None:
    if not any(message[6 : HEADER.size]):
        return None  # no records at all: the most common query
    try:
        edns = read_edns(message, read_records(message, offset))
    except WireError as error:
        raise _Refused(Rcode.FORMERR, str(error), question) from error
    if edns is not None and edns.version > 0:
        refused = _Refused(Rcode.BADVERS, "only EDNS version 0 is known", question)
        refused.edns = edns
        raise refused
    return edns
