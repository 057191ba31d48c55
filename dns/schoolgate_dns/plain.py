"""The answer that most answers are, read without taking it apart: public addresses of the very name asked for.

What is read here needs none of `vetting`, `edits` and alias judgement, because there is nothing in it for them to find:
one or more records of the type asked for, each owned by the question's name (a pointer to it), each with an address
that is not private, and at most an OPT record without options. Whatever else comes is "not plain", and is digested.
"""

import re
import struct
from functools import lru_cache

from schoolgate_dns.answer import Answer
from schoolgate_dns.config import DnsConfig
from schoolgate_dns.reply import Body
from schoolgate_dns.wire import AD, HEADER, IN, QUESTION_TAIL, Qtype

_MOST = 32  # records
_OPT = 11  # octets
_USUAL_OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
_NO_OPTIONS = re.compile(rb"\0\0\x29..\0\0..\0\0", re.DOTALL)  # any size, version 0, no extended code
_A, _AAAA = QUESTION_TAIL.pack(Qtype.A, IN), QUESTION_TAIL.pack(Qtype.AAAA, IN)
_TTL_AT = 6  # octets of a record before its TTL, where its owner is a pointer
_TTL_LIMIT = 0x80000000  # RFC 2181 section 8: beyond it a TTL is zero
# For each type: what begins and what precedes the data of a record (around its TTL), and how to read many records.
_SHAPES = {
    _A: (b"\xc0\x0c" + _A, struct.Struct("!6sI2sBB2x"), b"\0\4"),
    _AAAA: (b"\xc0\x0c" + _AAAA, struct.Struct("!6sI2sBB14x"), b"\0\x10"),
}
# The first octets of IPv4 addresses among which there are private ones; a second look is taken at all of these.
_MAYBE_PRIVATE = frozenset({0, 10, 100, 127, 169, 172, 192, 255})
_PUBLIC4 = bytes(octet not in _MAYBE_PRIVATE for octet in range(256))
_PUBLIC6 = bytes(
    octet >> 5 == 1 for octet in range(256)
)  # 2000::/3, of which 2002::/16 hides an IPv4 address
_6TO4 = (0x20, 0x02)

# The records as bytes, how many they are, the lowest and the highest TTL.
type Plain = tuple[bytes, int, int, int]


@lru_cache(maxsize=256)
def head(octets: bytes) -> tuple[bool, int, int]:
    """Read a reply's header behind its id: whether it is one to a standard query with one question, and good.

    Returns that, how many records answer (0: the reply is not plain), and how many octets of OPT follow them.
    """
    flags, questions, answers, authorities, additionals = struct.unpack("!HHHHH", octets)
    ours = flags & 0xF800 == 0x8000 and questions == 1
    plain = ours and not flags & 0x020F and not authorities and additionals <= 1 and answers <= _MOST
    return ours, answers if plain else 0, additionals * _OPT


def read_plain(message: bytes, question: bytes) -> Plain | None:
    """Return the records of a plain answer to `question`, which the message repeats; None: it is not plain."""
    _, count, opt = head(message[2 : HEADER.size])
    shape = _SHAPES.get(question[-QUESTION_TAIL.size :])
    if not count or shape is None:
        return None
    begin, record, size = shape
    start = HEADER.size + len(question)
    end = start + count * record.size
    if len(message) != end + opt:
        return None
    if opt and not message.endswith(_USUAL_OPT) and not _NO_OPTIONS.fullmatch(message, end):
        return None
    data = message[start:end]
    public, lowest, highest = _PUBLIC4 if record.size == 16 else _PUBLIC6, _TTL_LIMIT, 0
    for kind, ttl, length, first, second in record.iter_unpack(data):
        if kind != begin or length != size or not public[first] or (first, second) == _6TO4:
            return None
        lowest = min(lowest, ttl)
        highest = max(highest, ttl)
    return (data, count, lowest, highest) if highest < _TTL_LIMIT else None


def answer_of(plain: Plain, config: DnsConfig, *, authenticated: bool = False) -> Answer:
    """Return the same as an `Answer`."""
    data, count, lowest, _ = plain
    return Answer(
        0, Body(data, count), ttls_of(data, count), min(lowest, config.cache_seconds), (), authenticated
    )


def ttls_of(data: bytes, count: int) -> tuple[tuple[int, int], ...]:
    """Return where the TTLs stand in the records of a plain answer, and what they say."""
    size = len(data) // count
    places = range(_TTL_AT, len(data), size)
    return tuple((place, int.from_bytes(data[place : place + 4])) for place in places)


def digest_plain(message: bytes, question: bytes, config: DnsConfig) -> Answer | None:
    """Digest a plain answer; None: it is not plain."""
    plain = read_plain(message, question)
    if plain is None:
        return None
    authenticated = config.trust_ad and bool(message[3] & AD)
    return answer_of(plain, config, authenticated=authenticated)
