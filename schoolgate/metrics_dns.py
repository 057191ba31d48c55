"""What the sinkhole counts (`schoolgate_dns.ports.DnsCounters`), as metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from schoolgate_dns.ports import CacheOutcome, Limit, Transport, UpstreamOutcome

_UPSTREAM_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0)  # seconds


class DnsMetrics:
    """Counts what the sinkhole does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queries = Counter(
            "schoolgate_dns_queries", "Queries answered.", ["transport", "rcode"], registry=registry
        )
        self._dropped = Counter(
            "schoolgate_dns_dropped", "Messages and connections left without an answer.", ["transport"],
            registry=registry,
        )  # fmt: skip
        self._cache = Counter("schoolgate_dns_cache", "Looks into the cache.", ["outcome"], registry=registry)
        self._upstream = Counter(
            "schoolgate_dns_upstream_exchanges",
            "Exchanges with upstream resolvers.",
            ["outcome"],
            registry=registry,
        )
        self._upstream_seconds = Histogram(
            "schoolgate_dns_upstream_duration_seconds", "How long exchanges with upstream resolvers took.",
            buckets=_UPSTREAM_BUCKETS, registry=registry,
        )  # fmt: skip
        self._forged = Counter(
            "schoolgate_dns_forged", "Datagrams from an upstream's address that answer no question of ours.",
            registry=registry,
        )  # fmt: skip
        self._limited = Counter(
            "schoolgate_dns_limited", "Questions turned away before they were judged.", ["limit"],
            registry=registry,
        )  # fmt: skip

    def query(self, transport: Transport, rcode: str) -> None:
        """Count one answered query."""
        self._queries.labels(transport, rcode).inc()

    def dropped(self, transport: Transport) -> None:
        """Count one message or connection left without an answer."""
        self._dropped.labels(transport).inc()

    def cache(self, outcome: CacheOutcome) -> None:
        """Count one look into the cache."""
        self._cache.labels(outcome).inc()

    def upstream(self, outcome: UpstreamOutcome, seconds: float) -> None:
        """Count one exchange with an upstream, which took `seconds`."""
        self._upstream.labels(outcome).inc()
        self._upstream_seconds.observe(seconds)

    def forged(self) -> None:
        """Count one forged datagram."""
        self._forged.inc()

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        self._limited.labels(limit).inc()
