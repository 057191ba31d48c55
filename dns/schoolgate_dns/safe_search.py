"""Filtered search results: a search engine's name is answered with the addresses of its filtered twin.

The answer is CNAME to the twin, with the twin's real addresses behind it. For any other type the name is empty: an
HTTPS record of the real name would lead back to it. Nothing here is signed, so nothing claims to be (AD=0).
"""

import struct
from dataclasses import replace

from schoolgate_dns.answer import Answer
from schoolgate_dns.cache import Found
from schoolgate_dns.query import Query
from schoolgate_dns.reply import TCP_SIZE, Body, build, negative_body, record
from schoolgate_dns.wire import HEADER, IN, RECORD, Qtype, Rcode, Record, read_records

_TTL_AT = 6  # in a record whose owner is a pointer
_ADDRESSES = frozenset({Qtype.A, Qtype.AAAA})


def twin_query(query: Query, twin: str) -> Query:
    """Return the same question about the filtered twin."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in twin.split(".")) + b"\0"
    return replace(query, name=name, host=twin, question=name + query.question[-4:])


def needs_twin(query: Query) -> bool:
    """Whether the twin's addresses are part of the answer."""
    return query.qtype in _ADDRESSES


def alias_only(query: Query, twin: Query, ttl: int) -> Body:
    """Return the answer for types that are no addresses: the alias itself for CNAME, nothing for the rest."""
    if query.qtype == Qtype.CNAME:
        return Body(record(Qtype.CNAME, ttl, twin.name), answers=1)
    return negative_body(query, ttl)


def with_alias(query: Query, twin: Query, found: Found) -> Found:
    """Return what was found out about the twin, as an answer about the name that was asked for."""
    if found.answer.rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return found
    addresses = _addresses(twin, found.answer)
    # Owner of the addresses: the name in the CNAME record's data, which begins behind that record's fixed part.
    behind = 0xC000 | HEADER.size + len(query.question) + 2 + RECORD.size
    parts = [(int(Qtype.CNAME), 0xC000 | HEADER.size, found.answer.lifetime, twin.name)]
    parts += [(query.qtype, behind, ttl, packed) for ttl, packed in addresses]
    data, ttls = b"", []
    for rtype, owner, ttl, rdata in parts:
        ttls.append((len(data) + _TTL_AT, ttl))
        data += struct.pack("!H", owner) + RECORD.pack(rtype, IN, ttl, len(rdata)) + rdata
    body = Body(data, answers=len(parts))
    if not addresses:
        empty = negative_body(query, found.answer.lifetime)
        ttls.append((len(data) + _TTL_AT, found.answer.lifetime))
        body = Body(data + empty.data, answers=1, authorities=1)
    answer = Answer(
        Rcode.NOERROR,
        body,
        tuple(ttls),
        found.answer.lifetime,
        found.answer.aliases,
        edes=found.answer.edes,
        rebinding=found.answer.rebinding,
    )
    return replace(found, answer=answer)


def _addresses(twin: Query, answer: Answer) -> list[tuple[int, bytes]]:
    message = build(replace(twin, edns=None), answer.rcode, answer.body, limit=TCP_SIZE)
    records: list[Record] = read_records(message, HEADER.size + len(twin.question))
    return [
        (one.ttl, message[one.rdata_at : one.end])
        for one in records
        if one.section == 1 and one.rtype == twin.qtype and one.rclass == IN
    ]
