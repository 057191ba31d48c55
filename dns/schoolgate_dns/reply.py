"""What goes back to a client: header, its question to the letter, records, and EDNS only where it spoke EDNS."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from schoolgate_dns.query import Query, Rejection
from schoolgate_dns.wire import (
    AD,
    CD,
    DO,
    HEADER,
    IN,
    QR,
    QUESTION_TAIL,
    RA,
    RD,
    RECORD,
    TC,
    Edns,
    Qtype,
    Rcode,
)

OUR_UDP_SIZE = 1232  # fits an IPv6 packet that is never fragmented (RFC 9715)
_PLAIN_UDP_SIZE = 512  # RFC 1035 section 4.2.1
TCP_SIZE = 65_535
EDE = 15  # the option code of RFC 8914
EDE_TEXT = 300  # octets; a longer reason would push answers out of the datagram
_COOKIE = 10  # the option code of RFC 7873
_QNAME = 0xC000 | HEADER.size  # a pointer to the name in the question


class EdeCode(IntEnum):
    """The extended errors we give (RFC 8914)."""

    OTHER = 0
    STALE_ANSWER = 3
    BLOCKED = 15
    PROHIBITED = 18  # the client may not ask here
    STALE_NXDOMAIN = 19
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23


@dataclass(frozen=True, slots=True)
class Ede:
    """Why an answer is what it is: a code, and words for whoever reads `dig`."""

    code: int
    text: str = ""

    def option(self) -> bytes:
        """Return the EDNS option, its text cut at a whole character."""
        text = self.text.encode()[:EDE_TEXT].decode(errors="ignore").encode()
        return struct.pack("!HHH", EDE, len(text) + 2, self.code) + text


@dataclass(frozen=True, slots=True)
class Body:
    """Everything behind the question but the OPT record: records as bytes, counted by section."""

    data: bytes = b""
    answers: int = 0
    authorities: int = 0
    additionals: int = 0


def room(query: Query, *, tcp: bool) -> int:
    """Return how many octets a reply may have: over UDP what the client offers, from 512 to 1232."""
    if tcp:
        return TCP_SIZE
    offered = query.edns.udp_size if query.edns else _PLAIN_UDP_SIZE
    return max(_PLAIN_UDP_SIZE, min(offered, OUR_UDP_SIZE))


def build(
    query: Query,
    rcode: int,
    body: Body,
    *,
    limit: int,
    edes: tuple[Ede, ...] = (),
    authenticated: bool = False,
) -> bytes:
    """Build a reply of at most `limit` octets; what does not fit becomes TC=1 with question and OPT (RFC 2181 9)."""
    opt = _opt(query.edns, rcode, edes, query.cookie)
    # A client that set neither AD nor DO does not know the bit (RFC 6840 section 5.8).
    wants_ad = query.flags & AD or query.dnssec_ok
    flags = QR | RA | (query.flags & (RD | CD)) | (AD if authenticated and wants_ad else 0) | (rcode & 0xF)
    size = HEADER.size + len(query.question) + len(body.data) + len(opt)
    if size > limit:
        flags, body = (flags | TC) & ~AD, Body()
        if HEADER.size + len(query.question) + len(opt) > limit:
            opt = _opt(query.edns, rcode, (), query.cookie)
    additionals = body.additionals + bool(opt)
    header = HEADER.pack(query.id, flags, 1, body.answers, body.authorities, additionals)
    return b"".join((header, query.question, body.data, opt))


def reject(rejection: Rejection) -> bytes:
    """Build the reply to a message that is no question we answer."""
    flags = QR | RA | (rejection.flags & (0x7800 | RD | CD)) | (rejection.rcode & 0xF)
    opt = _opt(rejection.edns, rejection.rcode, ())
    counts = (int(bool(rejection.question)), 0, 0, int(bool(opt)))
    return HEADER.pack(rejection.id, flags, *counts) + rejection.question + opt


def _opt(edns: Edns | None, rcode: int, edes: tuple[Ede, ...], cookie: bytes = b"") -> bytes:
    """Return our OPT record for a client that sent one, nothing for one that did not (RFC 6891 section 7)."""
    if edns is None:
        return b""
    options = b"".join(ede.option() for ede in edes)
    if cookie:
        options = QUESTION_TAIL.pack(_COOKIE, len(cookie)) + cookie + options
    ttl = (rcode >> 4) << 24 | (DO if edns.do else 0)
    return b"\0" + RECORD.pack(Qtype.OPT, OUR_UDP_SIZE, ttl, len(options)) + options


def record(rtype: int, ttl: int, rdata: bytes, owner: int = _QNAME) -> bytes:
    """Return one record whose owner is the question's name, or the part of it that the pointer `owner` says."""
    return struct.pack("!H", owner) + RECORD.pack(rtype, IN, ttl, len(rdata)) + rdata


def address_body(address: IPv4Address | IPv6Address, ttl: int) -> Body:
    """Return an answer of one address of ours."""
    rtype = Qtype.A if address.version == 4 else Qtype.AAAA
    return Body(record(rtype, ttl, address.packed), answers=1)


_SOA_NAMES = b"\x0aschoolgate\x07invalid\0\x0ahostmaster\x0aschoolgate\x07invalid\0"


def negative_body(query: Query, ttl: int, zone: bytes = b"") -> Body:
    """Return the SOA record that lets a client remember a "no" for `ttl` seconds (RFC 2308 section 5).

    It belongs to `zone`, a wire name that ends the question's, or to the question's name itself.
    """
    owner = _QNAME + (len(query.name) - len(zone) if zone else 0)
    rdata = _SOA_NAMES + struct.pack("!IIIII", 1, 3600, 600, 86400, ttl)
    return Body(record(Qtype.SOA, ttl, rdata, owner), authorities=1)


def truncated(query: Query) -> bytes:
    """Build a reply that tells the client to come back over TCP, which nobody can do under another's address."""
    reply = bytearray(build(query, Rcode.NOERROR, Body(), limit=TCP_SIZE))
    reply[2] |= TC >> 8
    return bytes(reply)


def refusal(query: Query, rcode: Rcode, *, limit: int, ede: Ede | None = None) -> bytes:
    """Build a reply without records: REFUSED, SERVFAIL."""
    return build(query, rcode, Body(), limit=limit, edes=(ede,) if ede else ())


OUR_FAULT = Ede(EdeCode.OTHER, "a fault of the filter itself; nothing is let through meanwhile")
