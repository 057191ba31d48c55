"""What the sinkhole wants counted; whoever composes it turns this into metrics. Every label is a closed set."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from schoolgate_policy.decision import Decision, Point
from schoolgate_policy.ports import Recorder


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


class UpstreamCounters(Protocol):
    """Counts what comes of asking other resolvers; every method must return at once and never raise."""

    def upstream(self, outcome: UpstreamOutcome, seconds: float, times: int = 1) -> None:
        """Count exchanges with one upstream, and how long each took."""
        ...

    def forged(self) -> None:
        """Count one datagram from an upstream's address that answers nothing we asked (RFC 5452)."""
        ...


class DnsCounters(UpstreamCounters, Protocol):
    """Counts what the sinkhole does; every method must return at once and never raise."""

    def query(self, transport: Transport, rcode: str, times: int = 1) -> None:
        """Count answered queries; `rcode` is an IANA name such as `NOERROR`, `OTHER` for one without."""
        ...

    def dropped(self, transport: Transport, times: int = 1) -> None:
        """Count messages or connections that deserve no answer, or for which there was no room."""
        ...

    def cache(self, outcome: CacheOutcome, times: int = 1) -> None:
        """Count looks into the cache."""
        ...

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        ...


class DnsRecorder(Recorder, Protocol):
    """A recorder that also takes verdicts in bulk: the sinkhole gives the same answers thousands of times a second."""

    def repeated(self, point: Point, batch: Sequence[tuple[str, Decision, int]]) -> None:
        """Record verdicts that were acted upon again and again: client's address, decision, how many times.

        All fell within the few seconds before the call; the host is the decision's.
        """
        ...
