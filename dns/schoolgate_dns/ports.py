"""What the sinkhole wants counted; whoever composes it turns this into metrics. Every label is a closed set."""

from enum import StrEnum
from typing import Protocol


class Transport(StrEnum):
    """How a query arrived."""

    UDP = "udp"
    TCP = "tcp"


class CacheOutcome(StrEnum):
    """What the cache had for a query that the policy allows."""

    HIT = "hit"
    MISS = "miss"
    STALE = "stale"


class UpstreamOutcome(StrEnum):
    """How one exchange with one upstream ended."""

    ANSWERED = "answered"
    FAILED = "failed"  # it answered, with SERVFAIL, REFUSED or the like
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


class Limit(StrEnum):
    """Why a question was turned away before anybody judged it."""

    UNKNOWN_CLIENT = "unknown_client"  # in no network of the policy
    CLIENT_RATE = "client_rate"
    SAME_ANSWER = "same_answer"  # response rate limiting
    TUNNEL = "tunnel"


class DnsCounters(Protocol):
    """Counts; every method must return at once and never raise."""

    def query(self, transport: Transport, rcode: str) -> None:
        """Count one answered query; `rcode` is an IANA name such as `NOERROR`, `OTHER` for one without."""
        ...

    def dropped(self, transport: Transport) -> None:
        """Count one message or connection that deserves no answer, or for which there was no room."""
        ...

    def cache(self, outcome: CacheOutcome) -> None:
        """Count one look into the cache."""
        ...

    def upstream(self, outcome: UpstreamOutcome, seconds: float) -> None:
        """Count one exchange with one upstream, and how long it took."""
        ...

    def forged(self) -> None:
        """Count one datagram from an upstream's address that answers nothing we asked (RFC 5452)."""
        ...

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        ...
