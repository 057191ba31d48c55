"""What other resolvers need in their configuration to take a zone of ours; secrets are never printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """A zone, where it comes from, and the key's name and file (empty: none)."""

    zone: str
    host: str
    port: int
    key: str
    key_file: str
    algorithm: str


def bind(wanted: Wanted) -> str:
    """Return lines for named.conf of BIND 9.18 or newer."""
    key = f' key "{wanted.key}"' if wanted.key else ""
    allow = f'key "{wanted.key}"' if wanted.key else wanted.host
    include = (
        f'include "/etc/bind/{wanted.key}.key";   // a copy of {wanted.key_file}, chmod 640 root:bind\n'
        if key
        else ""
    )
    return f"""\
// Schoolgate: {wanted.zone}
{include}zone "{wanted.zone}" {{
    type secondary;
    primaries {{ {wanted.host} port {wanted.port}{key}; }};
    allow-notify {{ {allow}; }};
    allow-query {{ localhost; }};
    allow-transfer {{ none; }};
    min-refresh-time 60;
    min-retry-time 10;
    file "/var/cache/bind/{wanted.zone}.db";
}};
options {{
    // into the options that are there already; break-dnssec, or signed names would not be blocked for who validates
    response-policy {{ zone "{wanted.zone}" max-policy-ttl 60; }} break-dnssec yes qname-wait-recurse no min-update-interval 0;
}};
"""


def unbound(wanted: Wanted) -> str:
    """Return lines for unbound.conf; released versions of Unbound know no TSIG for transfers."""
    return f"""\
# Schoolgate: {wanted.zone}
# Unbound asks without TSIG. Either give this resolver `unsigned = true` in [rpz.secondaries] (known by its address
# alone: only on a wire that you trust), or let a BIND or Knot DNS beside it take the zone with TSIG and hand it on.
server:
    module-config: "respip validator iterator"
rpz:
    name: "{wanted.zone}"
    primary: {wanted.host}@{wanted.port}
    allow-notify: {wanted.host}
    zonefile: "/var/lib/unbound/{wanted.zone}.zone"
"""


def knot(wanted: Wanted) -> str:
    """Return lines for knot.conf: Knot DNS takes the zone and hands it on; Knot Resolver reads it as a file."""
    key = (
        f"""\
key:
  - id: {wanted.key}
    algorithm: {wanted.algorithm}
    secret: ""     # from {wanted.key_file}
"""
        if wanted.key
        else ""
    )
    acl = f"\n    key: {wanted.key}" if wanted.key else f"\n    address: {wanted.host}"
    remote = f"\n    key: {wanted.key}" if wanted.key else ""
    return f"""\
# Schoolgate: {wanted.zone}
# Knot Resolver reads a zone from a file, which Knot DNS keeps fresh:
#   policy.add(policy.rpz(policy.DENY, '/var/lib/knot/{wanted.zone}.zone', true))
{key}remote:
  - id: schoolgate
    address: {wanted.host}@{wanted.port}{remote}
acl:
  - id: schoolgate-notify
    action: notify{acl}
zone:
  - domain: {wanted.zone}
    master: schoolgate
    acl: schoolgate-notify
    zonefile-sync: 0
    file: "/var/lib/knot/{wanted.zone}.zone"
"""


def powerdns(wanted: Wanted) -> str:
    """Return lines for the Lua configuration of the PowerDNS Recursor (4.4 or newer)."""
    key = (
        f', tsigname="{wanted.key}", tsigalgo="{wanted.algorithm}", tsigsecret="" --[[ from {wanted.key_file} ]]'
        if wanted.key
        else ""
    )
    return f"""\
-- Schoolgate: {wanted.zone}; notices need `allow-notify-from={wanted.host}` and `allow-notify-for={wanted.zone}`
rpzPrimary("{wanted.host}:{wanted.port}", "{wanted.zone}", {{refresh=10, maxTTL=60, extendedErrorCode=15{key}}})
"""


SNIPPETS: Mapping[str, Callable[[Wanted], str]] = {
    "bind": bind,
    "unbound": unbound,
    "knot": knot,
    "powerdns": powerdns,
}
