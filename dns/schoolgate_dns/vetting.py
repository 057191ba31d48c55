"""What an upstream's answer may not carry to anybody, whatever the policy: found here, taken out by `edits`."""

from dataclasses import dataclass, field

from schoolgate_dns.rebinding import is_private
from schoolgate_dns.svcb import without_hiding
from schoolgate_dns.wire import HEADER, IN, Qtype, Record, WireError, read_name
from schoolgate_policy.model import IPNetwork

SERVICE = frozenset({Qtype.SVCB, Qtype.HTTPS})
_ADDRESS_SIZE = {Qtype.A: 4, Qtype.AAAA: 16}


@dataclass(slots=True)
class Vetting:
    """Which records get other data, or None for none, by place; and whether one led into a private network."""

    changes: dict[int, bytes | None] = field(default_factory=dict)
    rebinding: bool = False


def vet(message: bytes, records: list[Record], private_allowed: tuple[IPNetwork, ...] | None) -> Vetting:
    """Find what has to go from an answer; `private_allowed` None allows every private address.

    Raises:
        WireError: an address record has the wrong length, or a name is malformed.

    """
    vetting = Vetting(dict.fromkeys(_foreign(message, records)))
    for place, record in enumerate(records):
        rdata = message[record.rdata_at : record.end]
        if record.rtype in SERVICE:
            cleaned = without_hiding(rdata)
            if cleaned != rdata:
                vetting.changes[place] = cleaned
        elif record.rtype in _ADDRESS_SIZE and record.rclass == IN:
            if len(rdata) != _ADDRESS_SIZE[Qtype(record.rtype)]:
                raise WireError("an address record has the wrong length")
            if private_allowed is not None and is_private(rdata, private_allowed):
                vetting.changes[place] = None
                vetting.rebinding = True
    _drop_void_signatures(message, records, vetting)
    return vetting


def _foreign(message: bytes, records: list[Record]) -> list[int]:
    """Return the places of answers to what was not asked: neither the name itself nor where it leads (RFC 5452 6).

    A DNAME record speaks for a name above the one asked for (RFC 6672).
    """
    known = {read_name(message, HEADER.size)[0].lower()}
    for record in records:
        if record.section == 1 and record.rtype in {Qtype.CNAME, Qtype.DNAME}:
            known.add(read_name(message, record.rdata_at)[0].lower())
            if record.rtype == Qtype.DNAME:
                known.add(record.owner)
        elif record.section == 1 and record.rtype in SERVICE:
            known.add(read_name(message, record.rdata_at + 2)[0].lower())
    return [
        place for place, record in enumerate(records) if record.section == 1 and record.owner not in known
    ]


def _drop_void_signatures(message: bytes, records: list[Record], vetting: Vetting) -> None:
    """Drop every signature over a record set that is edited: it proves nothing any more (RFC 4035)."""
    edited = {(records[place].owner, records[place].rtype) for place in vetting.changes}
    for place, record in enumerate(records):
        covered = int.from_bytes(message[record.rdata_at : record.rdata_at + 2])
        if record.rtype == Qtype.RRSIG and (record.owner, covered) in edited:
            vetting.changes[place] = None
