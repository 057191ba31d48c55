"""Rewriting a message when, and only when, a record has to change: the one place that re-encodes what others wrote.

Records move when one before them is shortened, and compressed names point to fixed places. So every name that may be
compressed is written out: owners, and those in the data of the types that RFC 1035, and RFC 3597 section 4 with
caution, allow it for. All other data are opaque and copied; there is no record too odd to pass.
"""

from collections.abc import Mapping

from schoolgate_dns.wire import HEADER, QUESTION_TAIL, Record, WireError, read_name, read_records

# By type: how many octets precede the names in the data, and how many names there are. What follows is copied.
_NAMES = {
    **dict.fromkeys((2, 3, 4, 5, 7, 8, 9, 12, 23, 30, 39, 47), (0, 1)),  # NS, CNAME, PTR, DNAME, NSEC …
    **dict.fromkeys((6, 14, 17), (0, 2)),  # SOA, MINFO, RP
    **dict.fromkeys((15, 18, 21, 36), (2, 1)),  # MX, AFSDB, RT, KX
    26: (2, 2),  # PX
    33: (6, 1),  # SRV
    **dict.fromkeys((24, 46), (18, 1)),  # SIG, RRSIG
}
_NAPTR = 35
_POINTER = 0xC000
_REACH = 0x4000  # pointers have 14 bits


def rewrite(message: bytes, changes: Mapping[int, bytes | None]) -> bytes:
    """Return the message with the data of the records at the given places replaced; None takes a record out.

    Places count the records of all sections in message order, from 0.

    Raises:
        WireError: a name in it is malformed.

    """
    body_at = read_name(message, HEADER.size)[1] + QUESTION_TAIL.size
    ident, flags, questions, *_ = HEADER.unpack_from(message)
    counts = [0, 0, 0]
    written = bytearray(message[:body_at])
    known = {read_name(message, HEADER.size)[0].lower(): HEADER.size}
    for place, record in enumerate(read_records(message, body_at)):
        rdata = changes[place] if place in changes else _rdata(message, record)
        if rdata is None:
            continue
        counts[record.section - 1] += 1
        written += _owner(record.owner, known, len(written))
        written += message[record.ttl_at - 4 : record.ttl_at + 4]  # type, class, TTL
        written += len(rdata).to_bytes(2) + rdata
    written[: HEADER.size] = HEADER.pack(ident, flags, questions, *counts)
    return bytes(written)


def _owner(owner: bytes, known: dict[bytes, int], offset: int) -> bytes:
    """Return the owner's name: a pointer to where it was written before, or the name itself."""
    at = known.setdefault(owner, offset)
    return owner if at == offset or at >= _REACH or owner == b"\0" else (_POINTER | at).to_bytes(2)


def _rdata(message: bytes, record: Record) -> bytes:
    """Return a record's data with the names in it written out."""
    prefix, names = _NAMES.get(record.rtype, (0, 0))
    if record.rtype == _NAPTR:
        prefix, names = _before_replacement(message, record), 1
    at = record.rdata_at + prefix
    parts = [message[record.rdata_at : at]]
    for _ in range(names if record.end > record.rdata_at else 0):
        name, at = read_name(message, at)
        parts.append(name)
    if at > record.end:
        raise WireError("a name in a record's data runs over their end")
    parts.append(message[at : record.end])
    rdata = b"".join(parts)
    if len(rdata) > 0xFFFF:
        raise WireError("a record's data are too long when their names are written out")
    return rdata


def _before_replacement(message: bytes, record: Record) -> int:
    """Return how many octets of a NAPTR record precede its name: two numbers and three strings (RFC 3403)."""
    at = record.rdata_at + 4
    for _ in range(3):
        if at >= record.end:
            raise WireError("a NAPTR record is too short")
        at += 1 + message[at]
    return at - record.rdata_at
