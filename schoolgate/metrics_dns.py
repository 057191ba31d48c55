"""What the sinkhole counts (`schoolgate_dns.ports.DnsCounters`), as metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from schoolgate_dns.ports import CacheOutcome, Limit, Transport, UpstreamOutcome

_UPSTREAM_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0)  # seconds


class DnsMetrics:
    """Counts what the sinkhole does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._series: dict[tuple[Counter, tuple[str, ...]], Counter] = {}
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

    def _of(self, counter: Counter, *labels: str) -> Counter:
        """Return the series of some labels; finding it anew each time costs more than counting."""
        key = counter, labels
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = counter.labels(*labels)
        return series

    def query(self, transport: Transport, rcode: str, times: int = 1) -> None:
        """Count answered queries."""
        self._of(self._queries, transport, rcode).inc(times)

    def dropped(self, transport: Transport, times: int = 1) -> None:
        """Count messages and connections left without an answer."""
        self._of(self._dropped, transport).inc(times)

    def cache(self, outcome: CacheOutcome, times: int = 1) -> None:
        """Count looks into the cache."""
        self._of(self._cache, outcome).inc(times)

    def upstream(self, outcome: UpstreamOutcome, seconds: float) -> None:
        """Count one exchange with an upstream, which took `seconds`."""
        self._of(self._upstream, outcome).inc()
        self._upstream_seconds.observe(seconds)

    def forged(self) -> None:
        """Count one forged datagram."""
        self._forged.inc()

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        self._limited.labels(limit).inc()
