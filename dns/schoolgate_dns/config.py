"""The settings of the sinkhole: everything about the box, nothing about the school."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from schoolgate_dns.upstream_address import Upstream
from schoolgate_policy.model import IPNetwork

type Endpoint = tuple[str, int]  # an IP address as text, and a port

# Registered domains whose owners are asked one name for each file, link or mail: antivirus and mail reputation.
LOOK_UP_SERVICES = frozenset(
    {
        *("sophosxl.net", "mcafee.com", "trendmicro.com", "e5.sk", "kaspersky-labs.com", "bitdefender.net"),
        *("spamhaus.org", "spamhaus.net", "dnswl.org", "surbl.org", "uribl.com", "barracudacentral.org"),
        *("spamcop.net", "cymru.com"),
    }
)


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """How the sinkhole listens, where it asks, and how long it remembers. Times are seconds."""

    listen: tuple[Endpoint, ...] = (("127.0.0.1", 5353),)
    upstreams: tuple[Upstream | Endpoint, ...] = ()  # the fastest is asked first, those that failed last
    # Upstreams of single zones, by canonical name: the school's Active Directory. Such a zone is also a local one.
    zones: Mapping[str, tuple[Upstream | Endpoint, ...]] = field(default_factory=dict)
    upstream_roots: Path | None = (
        None  # further certificate authorities (PEM) that `tls://` upstreams may have
    )
    shared_ports: bool = False  # other processes of this user listen on the same addresses (SO_REUSEPORT)
    # What blocked names resolve to. None: the box's own address on which the query arrived.
    block_page_v4: IPv4Address | None = None
    block_page_v6: IPv6Address | None = None
    # The portal's name, which is answered as blocked names are: with this box's address. Not in a zone of the school's own.
    portal_host: str = ""
    # Zones of the school's own, as canonical names: they may hold private addresses and are never special.
    local_zones: frozenset[str] = frozenset()
    # Private ranges that names of the internet may resolve to (a stand-in internet, a carrier's NAT).
    private_allowed: tuple[IPNetwork, ...] = ()
    # Whether addresses in no network of the policy are answered, by the rules of `unknown_clients`. Loopback is.
    answer_unknown: bool = False
    # RFC 7873: 16 octets, the same in all processes that share an address; none: each process makes up its own.
    cookie_secret: bytes = b""
    trust_ad: bool = False  # pass on the upstream's "authenticated" bit: only over a path nobody can forge

    policy_ttl: int = 60  # how long a client may hold an answer that the policy speaks of
    longest_ttl: int = 300  # … and any other answer: bounds how late a new rule bites
    cache_entries: int = 50_000
    cache_bytes: int = 64 * 1024 * 1024
    cache_seconds: int = 86_400
    fast_entries: int = 32_768  # finished answers kept beside the cache
    negative_seconds: int = 10_800  # RFC 2308 section 5: three hours
    failure_seconds: int = 5  # RFC 9520: at least one second, at most five minutes
    stale_seconds: int = 86_400  # RFC 8767: one to three days
    stale_ttl: int = 30
    stale_after: float = 1.8  # wait this long for the upstream before a stale answer is given

    quick_timeout: float = 0.5  # before a question is asked again, more thoroughly
    udp_timeout: float = 1.5
    tcp_timeout: float = 3.0
    upstream_deadline: float = 6.0  # for one question, over all upstreams
    upstream_check: float = 2.0  # how often an upstream that failed is asked whether it is back
    upstream_idle: float = 10.0  # a connection to an upstream without questions is closed after so long
    # The next two together stay below the 1,024 files that a process may open where nobody raised that.
    max_in_flight: int = 500  # clients' questions waiting for upstreams at once

    # Limits for each client; 0 is none. A device that loads a busy page asks some dozens of questions a second.
    queries_per_second: int = 1_000  # those beyond are told to come back over TCP, or dropped
    same_answers_per_second: int = (
        100  # over UDP: nobody needs the same answer more often (response rate limiting)
    )
    # Within `tunnel_seconds`, for each client and each registered domain:
    tunnel_names: int = 1_000  # different names that had to be asked upstream
    tunnel_carriers: int = 200  # questions upstream for TXT, CNAME, MX … and each KiB in their answers
    tunnel_seconds: int = 300
    tunnel_exempt: frozenset[str] = LOOK_UP_SERVICES

    tcp_connections: int = 300
    tcp_idle: float = 10.0
    tcp_per_client: int = 20
    tcp_pipeline: int = 64  # unanswered queries on one connection before reading pauses

    @property
    def own_zones(self) -> frozenset[str]:
        """The zones of the school's own: they may hold private addresses and are never special."""
        return self.local_zones | self.zones.keys()
