"""The DNS sinkhole: answers what the policy allows from upstream, and everything it blocks by itself."""

from schoolgate_dns.config import DnsConfig
from schoolgate_dns.ports import CacheOutcome, DnsCounters, Transport, UpstreamOutcome
from schoolgate_dns.server import DnsServer

__all__ = ["CacheOutcome", "DnsConfig", "DnsCounters", "DnsServer", "Transport", "UpstreamOutcome"]
