"""Data carried inside names (iodine, dnscat2, dnstt): found by how many names of one domain a client makes up.

A tunnel's names are never repeated, hence never in the cache: only questions that have to go upstream are counted.
Names are counted, not kept: each is one bit in a bitmap (linear counting; Whang, Vander-Zanden and Taylor, 1990).
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.query import Query
from schoolgate_dns.wire import Qtype
from schoolgate_policy.suffix import is_public_suffix, registrable_domain

_BITS = 4096
_MOST_PAIRS = 10_000  # of client and domain; about 10 MB
_KIB = 1024
_DS, _DNSKEY, _PTR = 43, 48, 12
# Types that every device asks for, and that carry little. Everything else is a carrier: TXT, NULL, CNAME, MX, SRV …
_ORDINARY = frozenset({Qtype.A, Qtype.AAAA, Qtype.HTTPS, Qtype.SVCB, Qtype.NS, Qtype.SOA, _DS, _DNSKEY, _PTR})


class Budget(Enum):
    """Whether a client may ask on."""

    WITHIN = "within"
    SPENT_NOW = "spent_now"  # for the first time in this window: worth a note
    SPENT = "spent"


@dataclass(slots=True)
class _Window:
    started: float
    names: int = 0  # the bitmap
    carriers: int = 0
    noted: bool = False

    def different_names(self) -> float:
        empty = _BITS - self.names.bit_count()
        return _BITS * math.log(_BITS / empty) if empty else math.inf


class Tunnels:
    """Counts what each client asks of each registered domain. Times are monotonic seconds."""

    def __init__(self, config: DnsConfig) -> None:
        self._config = config
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def spend(self, client: str, query: Query, now: float) -> Budget:
        """Count a question that must go upstream, and say whether it may."""
        domain = _registered(query.host)
        if domain in self._config.tunnel_exempt:
            return Budget.WITHIN
        window = self._window(client, domain, now)
        window.names |= 1 << hash(query.name) % _BITS
        window.carriers += query.qtype not in _ORDINARY
        limits = self._config.tunnel_names, self._config.tunnel_carriers
        spent = (window.different_names(), window.carriers)
        if not any(limit and used > limit for used, limit in zip(spent, limits, strict=True)):
            return Budget.WITHIN
        first, window.noted = not window.noted, True
        return Budget.SPENT_NOW if first else Budget.SPENT

    def charge(self, client: str, query: Query, octets: int, now: float) -> None:
        """Count what a carrier brought back, beyond the first KiB."""
        if query.qtype not in _ORDINARY and octets > _KIB:
            self._window(client, _registered(query.host), now).carriers += octets // _KIB

    def _window(self, client: str, domain: str, now: float) -> _Window:
        key = client, domain
        window = self._windows.get(key)
        if window is None or now - window.started >= self._config.tunnel_seconds:
            window = self._windows[key] = _Window(now)
            if len(self._windows) > _MOST_PAIRS:
                self._windows.popitem(last=False)
        self._windows.move_to_end(key)
        return window


def _registered(host: str) -> str:
    """Return the registered domain of a host; below a suffix that nobody listed, its last two labels."""
    domain = registrable_domain(host)
    if domain == host and host.count(".") > 1:
        last_two = ".".join(host.rsplit(".", 2)[1:])
        return host if is_public_suffix(last_two) else last_two
    return domain
