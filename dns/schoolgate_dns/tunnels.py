"""Data carried inside names (iodine, dnscat2, dnstt): found by how many names of one domain a client makes up.

A tunnel's names are never repeated, hence never in the cache: only questions that have to go upstream are counted.
Names are counted, not kept: each is one bit in a bitmap (linear counting; Whang, Vander-Zanden and Taylor, 1990).
"""

import math
from dataclasses import dataclass
from enum import Enum

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.query import Query
from schoolgate_dns.wire import Qtype
from schoolgate_policy.suffix import registered_domain, registered_name

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
    asked: int = 0
    first: int = 0  # the bit of the first name: most domains are asked for one, which needs no bitmap
    names: int = 0  # the bitmap
    carriers: int = 0
    noted: bool = False

    def add(self, name: bytes) -> None:
        self.asked += 1
        bit = hash(name) % _BITS
        if self.asked == 1:
            self.first = bit
        else:
            self.names |= 1 << bit | 1 << self.first

    def different_names(self) -> float:
        empty = _BITS - self.names.bit_count()
        return min(self.asked, _BITS * math.log(_BITS / empty)) if empty else math.inf


class Tunnels:
    """Counts what each client asks of each registered domain. Times are monotonic seconds."""

    def __init__(self, config: DnsConfig) -> None:
        self._config = config
        self._limit = config.tunnel_names or math.inf
        self._windows: dict[tuple[str, str], _Window] = {}
        self._older: dict[tuple[str, str], _Window] = {}

    def spend(self, client: str, query: Query, now: float) -> Budget:
        """Count a question that must go upstream, and say whether it may."""
        domain = registered_domain(query.host)
        if domain in self._config.tunnel_exempt:
            return Budget.WITHIN
        window = self._window(client, domain, now)
        window.add(query.name)
        window.carriers += query.qtype not in _ORDINARY
        limits = self._config.tunnel_names, self._config.tunnel_carriers
        spent = (window.different_names(), window.carriers)
        if not any(limit and used > limit for used, limit in zip(spent, limits, strict=True)):
            return Budget.WITHIN
        first, window.noted = not window.noted, True
        return Budget.SPENT_NOW if first else Budget.SPENT

    def spend_plainly(self, client: str, name: bytes, labels: list[str], now: float) -> bool:
        """Count a question of an ordinary type where nothing can be spent yet; False: not counted, `spend` must see."""
        domain = registered_name(labels)
        if domain in self._config.tunnel_exempt:
            return True
        window = self._window(client, domain, now)
        if window.carriers or window.asked >= self._limit:
            return False
        window.add(name)
        return True

    def charge(self, client: str, query: Query, octets: int, now: float) -> None:
        """Count what a carrier brought back, beyond the first KiB."""
        if query.qtype not in _ORDINARY and octets > _KIB:
            self._window(client, registered_domain(query.host), now).carriers += octets // _KIB

    def _window(self, client: str, domain: str, now: float) -> _Window:
        key = client, domain
        window = self._windows.get(key) or self._older.pop(key, None)
        if window is None or now - window.started >= self._config.tunnel_seconds:
            window = _Window(now)
        if len(self._windows) >= _MOST_PAIRS // 2:
            self._older, self._windows = (
                self._windows,
                {},
            )  # those of nobody seen since the last time are forgotten
        self._windows[key] = window
        return window
