"""Names that are answered here and never asked upstream, whatever the policy says.

Sources: RFC 6761, 6762, 7686, 8375, 9476 (special-use names), RFC 6303 (reverse zones of private addresses),
RFC 9461/9462/9606 (discovery of encrypted resolvers), and the documented "canaries" by which Firefox and Apple's
Private Relay ask a network whether it filters.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from schoolgate_dns.query import Query
from schoolgate_dns.reply import Ede, EdeCode, address_body, build, negative_body
from schoolgate_dns.wire import Qtype, Rcode
from schoolgate_policy import certificate_check
from schoolgate_policy.names import suffixes
from schoolgate_policy.technique import Technique

_TTL = 60


class Kind(Enum):
    """How a special name is answered."""

    NXDOMAIN = "nxdomain"
    EMPTY = "empty"  # a zone with nothing in it: NODATA at its top, NXDOMAIN below
    NODATA = "nodata"
    LOOPBACK = "loopback"
    PAGE = "page"  # the box itself


@dataclass(frozen=True, slots=True)
class Special:
    """What to do with a special name: `zone` is where it was found; `technique` says what a query for it hints at."""

    kind: Kind
    zone: str
    technique: Technique | None = None


_REVERSE_ZONES = (
    *(
        "10.in-addr.arpa",
        "168.192.in-addr.arpa",
        "0.in-addr.arpa",
        "127.in-addr.arpa",
        "254.169.in-addr.arpa",
    ),
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),  # RFC 7793
    *("2.0.192.in-addr.arpa", "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa"),
    "255.255.255.255.in-addr.arpa",
    *("d.f.ip6.arpa", "8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa"),
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "0." * 32 + "ip6.arpa",
    "1." + "0." * 31 + "ip6.arpa",
)
_ZONES = {
    certificate_check.HOST: Special(Kind.PAGE, ""),
    "localhost": Special(Kind.LOOPBACK, "localhost"),
    "resolver.arpa": Special(Kind.NODATA, "resolver.arpa", Technique.DDR),
    **{zone: Special(Kind.EMPTY, zone) for zone in ("invalid", "test", "onion", "local", "alt", "home.arpa")},
    **{zone: Special(Kind.EMPTY, zone) for zone in _REVERSE_ZONES},
    "use-application-dns.net": Special(Kind.NXDOMAIN, "", Technique.DOH_CANARY),
    "mask.icloud.com": Special(Kind.NXDOMAIN, "", Technique.PRIVATE_RELAY),
    "mask-h2.icloud.com": Special(Kind.NXDOMAIN, "", Technique.PRIVATE_RELAY),
    "mask-canary.icloud.com": Special(Kind.NXDOMAIN, "", Technique.PRIVATE_RELAY),
    "mask.apple-dns.net": Special(Kind.NXDOMAIN, "", Technique.PRIVATE_RELAY),
}
_DISCOVERY = Special(Kind.NODATA, "", Technique.DDR)
_WPAD = Special(Kind.NXDOMAIN, "", Technique.WPAD)
_DNSCRYPT = Special(Kind.NXDOMAIN, "", Technique.DNSCRYPT)


_WHY = {
    Technique.DDR: "this network names no encrypted resolver; names are looked up here",
    Technique.DOH_CANARY: "this network filters by name; browsers are asked not to look names up elsewhere",
    Technique.PRIVATE_RELAY: "this network filters by name; relays are not available",
    Technique.WPAD: "this network has no proxy to be discovered",
    Technique.DNSCRYPT: "this network has no other resolver",
}

# What the zones above end in: their last two labels, or the only one.
_ENDS = frozenset(".".join(zone.split(".")[-2:]) for zone in _ZONES)


def is_ordinary(labels: list[str]) -> bool:
    """Whether a name of two labels or more is surely not special for A and AAAA; False: `special_name` knows."""
    if labels[-1] in _ENDS or f"{labels[-2]}.{labels[-1]}" in _ENDS:
        return False
    return labels[0] != "wpad" and labels[1] != "dnscrypt-cert"


def zones_for_others() -> tuple[str, ...]:
    """Return the special names that another resolver of the school should answer as we do.

    What is special to every resolver (localhost, private reverse zones) is left to it: it may hold zones of its own
    there.
    """
    return tuple(name for name, one in _ZONES.items() if one.technique is not None or one.kind is Kind.PAGE)


def special_name(host: str, qtype: int, local_zones: AbstractSet[str] = frozenset()) -> Special | None:
    """Return how `host` (lower-case text) is answered locally, or None where it is an ordinary name.

    The zones in `local_zones` are the school's own: what lies in them is ordinary, be it a private reverse zone
    or a `wpad` that the school itself runs.
    """
    if local_zones and any(name in local_zones for name in suffixes(host)):
        return None
    for name in suffixes(host):
        found = _ZONES.get(name)
        if found is not None:
            return found
    return _by_first_labels(host, qtype)


def _by_first_labels(host: str, qtype: int) -> Special | None:
    first, _, rest = host.partition(".")
    if first == "wpad":
        return _WPAD
    if first.isdecimal() and rest.startswith("dnscrypt-cert."):
        return _DNSCRYPT
    if qtype == Qtype.RESINFO:
        return _DISCOVERY
    # RFC 9461 section 5: `_dns.HOST`, or `_PORT._dns.HOST`, says where a resolver speaks encrypted DNS.
    if qtype == Qtype.SVCB and (first == "_dns" or (first.startswith("_") and rest.startswith("_dns."))):
        return _DISCOVERY
    return None


def special_reply(special: Special, query: Query, limit: int) -> bytes:
    """Build the answer to a special name."""
    if special.kind is Kind.LOOPBACK and query.qtype in {Qtype.A, Qtype.AAAA}:
        address = IPv4Address("127.0.0.1") if query.qtype == Qtype.A else IPv6Address("::1")
        return build(query, Rcode.NOERROR, address_body(address, _TTL), limit=limit)
    below = special.kind is Kind.EMPTY and query.host != special.zone
    rcode = Rcode.NXDOMAIN if below or special.kind is Kind.NXDOMAIN else Rcode.NOERROR
    # The text is ASCII without dots in labels, so a zone is as long in wire form as in text, plus two.
    zone = query.name[-(len(special.zone) + 2) :] if special.zone else b""
    edes = (Ede(EdeCode.BLOCKED, _WHY[special.technique]),) if special.technique is not None else ()
    return build(query, rcode, negative_body(query, _TTL, zone), limit=limit, edes=edes)
