"""DNS messages as bytes: reading what strangers send, without ever trusting a length or a pointer.

Rules of this file: no I/O, no clock, no policy. Every read is bounds-checked; whatever is wrong is a `WireError`.
Names are kept in wire form; text is made only where the policy needs it. RFC numbers are beside what they ask for.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct("!HHHHHH")
RECORD = struct.Struct("!HHIH")
QUESTION_TAIL = struct.Struct("!HH")

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
DO = 0x8000  # in the TTL field of OPT (RFC 3225)
MAX_NAME = 255  # RFC 1035 section 2.3.4
MAX_POINTERS = 128  # a name has at most 127 labels; more pointers than that are an attack on our time


class Rcode(IntEnum):
    """Response codes (IANA)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    BADVERS = 16


class Qtype(IntEnum):
    """The record types the sinkhole has an opinion about; all others are only numbers."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    NULL = 10
    HINFO = 13
    TXT = 16
    AAAA = 28
    DNAME = 39
    OPT = 41
    RRSIG = 46
    SVCB = 64
    HTTPS = 65
    ANY = 255
    RESINFO = 261


IN = 1
_NO_NAME = b"\xff\xff\xff\xff"  # read as part of a name: a pointer forwards, which is an error


class WireError(ValueError):
    """Bytes that are no DNS message; the text says where they stop being one."""


def read_name(message: bytes | bytearray, offset: int) -> tuple[bytes, int]:
    """Return the name at `offset` uncompressed, in wire form, and the offset behind it (RFC 1035 section 4.1.4)."""
    labels: list[bytes | bytearray] = []
    size, end, jumps, piece = 1, -1, 0, offset
    while True:
        if offset >= len(message):
            raise WireError("a name runs over the end")
        length = message[offset]
        if length == 0:
            break
        if length >= 0xC0:
            target = int.from_bytes(message[offset : offset + 2]) & 0x3FFF
            if end < 0:
                end = offset + 2
            jumps += 1
            # A pointer must lead backwards, before the piece it stands in: this is what makes the loop end.
            if not HEADER.size <= target < piece or offset + 1 >= len(message) or jumps > MAX_POINTERS:
                raise WireError("a name has a bad pointer")
            offset = piece = target
            continue
        size += length + 1
        if length > 63 or size > MAX_NAME or offset + length >= len(message):
            raise WireError("a name has a bad label or is too long")
        labels.append(message[offset : offset + length + 1])
        offset += length + 1
    return b"".join(labels) + b"\0", (end if end >= 0 else offset + 1)


def name_to_text(name: bytes) -> str:
    """Return an uncompressed wire name as dotted text without the final dot; `` for the root.

    Raises:
        WireError: a label holds a dot or a byte beyond ASCII, so that the text would name something else.

    """
    labels: list[str] = []
    offset = 0
    while length := name[offset]:
        label = name[offset + 1 : offset + 1 + length]
        if b"." in label or not label.isascii():
            raise WireError("a label holds a dot or a byte beyond ASCII")
        labels.append(label.decode("ascii"))
        offset += length + 1
    return ".".join(labels)


class Record(NamedTuple):
    """Where one resource record of a message lies; offsets count from the start of the message."""

    section: int  # 1 answer, 2 authority, 3 additional
    owner: bytes  # uncompressed, lower-case
    rtype: int
    rclass: int
    ttl: int
    start: int
    ttl_at: int
    rdata_at: int
    end: int


def read_records(message: bytes, offset: int) -> list[Record]:
    """Return all records behind the question section, which ends at `offset`, in message order.

    An owner's name that is read out of some record's TTL is a WireError, see `without_ttls`.
    """
    counts = HEADER.unpack_from(message)[3:]
    steady = bytearray(message)
    found: list[Record] = []
    for section, count in enumerate(counts, start=1):
        for _ in range(count):
            start = offset
            owner, offset = read_name(steady, offset)
            if offset + RECORD.size > len(message):
                raise WireError("a record runs over the end")
            rtype, rclass, ttl, length = RECORD.unpack_from(steady, offset)
            steady[offset + 4 : offset + 8] = _NO_NAME
            rdata_at = offset + RECORD.size
            if rdata_at + length > len(message):
                raise WireError("a record's data run over the end")
            # RFC 2181 section 8: a TTL with the top bit set is zero.
            ttl = ttl if ttl < 0x80000000 or rtype == Qtype.OPT else 0
            found.append(
                Record(
                    section, owner.lower(), rtype, rclass, ttl, start, offset + 4, rdata_at, rdata_at + length
                )
            )
            offset = rdata_at + length
    return found


def without_ttls(message: bytes, records: list[Record]) -> bytearray:
    """Return the message for reading names in it, with every TTL made unreadable as part of one.

    TTLs change with every telling. A name whose pointer leads into one would be one name when it is judged and
    another when the client reads it.
    """
    steady = bytearray(message)
    for record in records:
        steady[record.ttl_at : record.ttl_at + 4] = _NO_NAME
    return steady


@dataclass(frozen=True, slots=True)
class Edns:
    """What a message's OPT record says (RFC 6891)."""

    udp_size: int
    version: int
    extended_rcode: int
    do: bool
    options: tuple[tuple[int, bytes], ...]


def read_edns(message: bytes, records: list[Record]) -> Edns | None:
    """Return the OPT record, or None without one; two of them, or one with a name, are a WireError."""
    found = [record for record in records if record.rtype == Qtype.OPT]
    if not found:
        return None
    opt = found[0]
    if len(found) > 1 or opt.section != 3 or opt.owner != b"\0":
        raise WireError("the OPT record is not one, nameless, in the additional section")
    options: list[tuple[int, bytes]] = []
    offset = opt.rdata_at
    while offset < opt.end:
        if offset + 4 > opt.end:
            raise WireError("an EDNS option runs over the end")
        code, length = QUESTION_TAIL.unpack_from(message, offset)
        offset += 4 + length
        if offset > opt.end:
            raise WireError("an EDNS option runs over the end")
        options.append((code, message[offset - length : offset]))
    return Edns(opt.rclass, opt.ttl >> 16 & 0xFF, opt.ttl >> 24, bool(opt.ttl & DO), tuple(options))
