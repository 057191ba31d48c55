"""The DNS sinkhole: answers what the policy allows from upstream, and everything it blocks by itself."""

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.ports import CacheOutcome, DnsCounters, Limit, Transport, UpstreamOutcome
from schoolgate_dns.server import DnsServer
from schoolgate_dns.upstream_address import Upstream, parse_upstream

__all__ = [
    "CacheOutcome",
    "DnsConfig",
    "DnsCounters",
    "DnsServer",
    "Limit",
    "Transport",
    "Upstream",
    "UpstreamOutcome",
    "parse_upstream",
]
