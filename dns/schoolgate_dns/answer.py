"""Upstream's truth, made ready to keep: what came back, cleaned once, with its TTLs marked for every later telling.

Nothing here depends on who asks or on the policy: that is applied after the cache, on each answer given.
"""

import struct
from dataclasses import dataclass

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.edits import rewrite
from schoolgate_dns.query import Query
from schoolgate_dns.reply import Body, Ede, build
from schoolgate_dns.svcb import alias_target
from schoolgate_dns.vetting import SERVICE, vet
from schoolgate_dns.wire import (
    AD,
    HEADER,
    IN,
    QUESTION_TAIL,
    RECORD,
    Edns,
    Qtype,
    Rcode,
    Record,
    name_to_text,
    read_edns,
    read_name,
    read_records,
    without_ttls,
)

_TTL = struct.Struct("!I")
_EDE = 15  # option code, RFC 8914
_SOA_TAIL = 20  # serial, refresh, retry, expire, minimum


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an upstream, as everybody may be told it."""

    rcode: int
    body: Body
    ttls: tuple[tuple[int, int], ...] = ()  # where in `body.data` a TTL stands, and its value
    lifetime: int = 0  # seconds for which it may be kept; 0 is not at all
    aliases: tuple[str, ...] = ()  # the hosts that CNAME, DNAME and AliasMode records lead to
    authenticated: bool = False
    edes: tuple[Ede, ...] = ()  # upstream's own
    rebinding: bool = False  # it tried to lead into a private network
    denial: bytes = b""  # NXDOMAIN for the name itself: the SOA record, uncompressed, without TTL applied


def digest(message: bytes, config: DnsConfig, *, own_zone: bool = False) -> Answer:
    """Make an upstream's message into an `Answer`: edited where it must be, else its very bytes.

    `own_zone` is for names of the school's own zones, which may have private addresses.

    Raises:
        WireError: it is malformed, or must be edited and cannot be.

    """
    body_at = _question_end(message)
    records = read_records(message, body_at)
    vetting = vet(message, records, None if own_zone else config.private_allowed)
    if vetting.changes:
        message = rewrite(message, vetting.changes)
        records = read_records(message, body_at)
    edns = read_edns(message, records)
    flags = HEADER.unpack_from(message)[1]
    kept = _before_opt(records)
    steady = without_ttls(message, records)
    end = kept[-1].end if kept else body_at
    counts = [sum(record.section == section for record in kept) for section in (1, 2, 3)]
    ttls, lifetime = _times(message, kept, config)
    rcode = flags & 0xF | (edns.extended_rcode << 4 if edns else 0)
    return Answer(
        rcode,
        Body(message[body_at:end], *counts),
        tuple((record.ttl_at - body_at, ttl) for record, ttl in zip(kept, ttls, strict=True)),
        max(lifetime, config.policy_ttl) if vetting.rebinding else lifetime,
        _aliases(steady, kept),
        config.trust_ad and bool(flags & AD) and not vetting.changes,
        _upstream_edes(edns),
        vetting.rebinding,
        _denial(steady, kept) if rcode == Rcode.NXDOMAIN else b"",
    )


def _question_end(message: bytes) -> int:
    return read_name(message, HEADER.size)[1] + QUESTION_TAIL.size


def _before_opt(records: list[Record]) -> list[Record]:
    """Return the records up to OPT: it is upstream's word to us, and what follows it is optional by nature."""
    for place, record in enumerate(records):
        if record.rtype == Qtype.OPT:
            return records[:place]
    return records


def _times(message: bytes, records: list[Record], config: DnsConfig) -> tuple[list[int], int]:
    """Return each record's TTL, and how long the whole may be kept (RFC 2308 sections 4 and 5)."""
    ttls: list[int] = []
    longest = config.cache_seconds
    answered = any(record.section == 1 for record in records)
    denied = HEADER.unpack_from(message)[1] & 0xF == Rcode.NXDOMAIN
    for record in records:
        ttl = record.ttl
        if record.section == 2 and record.rtype == Qtype.SOA:
            ttl = min(ttl, int.from_bytes(message[record.end - 4 : record.end]))
            longest = min(longest, config.negative_seconds)
            answered, denied = True, False
        ttls.append(ttl)
    # A "no" without an SOA record does not say how long it holds: not kept.
    return ttls, min([longest, *ttls]) if answered and not denied else 0


def _aliases(message: bytearray, records: list[Record]) -> tuple[str, ...]:
    targets: list[str] = []
    for record in records:
        if record.rclass != IN or record.section == 2:
            continue
        if record.rtype in {Qtype.CNAME, Qtype.DNAME}:
            target, _ = read_name(message, record.rdata_at)
            targets.append(name_to_text(target.lower()))
        elif record.rtype in SERVICE:
            alias = alias_target(bytes(message[record.rdata_at : record.end]))
            if alias is not None:
                targets.append(name_to_text(alias))
    return tuple(dict.fromkeys(targets))


def _upstream_edes(edns: Edns | None) -> tuple[Ede, ...]:
    if edns is None:
        return ()
    return tuple(
        Ede(int.from_bytes(data[:2]), data[2:].decode(errors="replace"))
        for code, data in edns.options
        if code == _EDE and len(data) >= 2
    )


def _denial(message: bytearray, records: list[Record]) -> bytes:
    """Return the SOA record of a plain NXDOMAIN, uncompressed; empty where an alias was followed to get there."""
    if any(record.section == 1 for record in records):
        return b""
    for record in records:
        if record.rtype == Qtype.SOA and record.section == 2:
            primary, offset = read_name(message, record.rdata_at)
            mailbox, offset = read_name(message, offset)
            rdata = primary + mailbox + bytes(message[offset : offset + _SOA_TAIL])
            return record.owner + RECORD.pack(Qtype.SOA, IN, 0, len(rdata)) + rdata
    return b""


def denied_below(answer: Answer) -> Answer:
    """Return what a plain NXDOMAIN says of every name below (RFC 8020): no such name, and the same SOA record."""
    _, owner_end = read_name(answer.denial, 0)
    return Answer(
        Rcode.NXDOMAIN,
        Body(answer.denial, authorities=1),
        ((owner_end + 4, answer.lifetime),),
        answer.lifetime,
        edes=answer.edes,
    )


def render(
    answer: Answer, query: Query, *, age: int, longest: int, limit: int, edes: tuple[Ede, ...] = ()
) -> bytes:
    """Tell a client an answer that was learnt `age` seconds ago, no TTL above `longest`."""
    data = bytearray(answer.body.data)
    for offset, ttl in answer.ttls:
        _TTL.pack_into(data, offset, min(max(ttl - age, 0), longest))
    body = Body(bytes(data), answer.body.answers, answer.body.authorities, answer.body.additionals)
    every = (*edes, *answer.edes)
    return build(query, answer.rcode, body, limit=limit, edes=every, authenticated=answer.authenticated)
