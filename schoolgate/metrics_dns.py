"""What the sinkhole counts (`schoolgate_dns.ports.DnsCounters`), as metrics."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from schoolgate_dns.ports import CacheOutcome, Limit, Transport, UpstreamOutcome

_UPSTREAM_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0)  # seconds


class _Durations(Collector):
    """A histogram that takes many alike at once: answers of an upstream come in batches."""

    def __init__(self, name: str, documentation: str) -> None:
        self._name, self._documentation = name, documentation
        self._counts = [0] * (len(_UPSTREAM_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float, times: int) -> None:
        self._counts[bisect_left(_UPSTREAM_BUCKETS, seconds)] += times
        self._sum += seconds * times

    def collect(self) -> Iterable[Metric]:
        bounds = [*map(floatToGoString, _UPSTREAM_BUCKETS), "+Inf"]
        totals = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, totals, self._sum)


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
        self._upstream_seconds = _Durations(
            "schoolgate_dns_upstream_duration_seconds", "How long exchanges with upstream resolvers took."
        )
        registry.register(self._upstream_seconds)
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

    def upstream(self, outcome: UpstreamOutcome, seconds: float, times: int = 1) -> None:
        """Count exchanges with an upstream, each of which took `seconds`."""
        self._of(self._upstream, outcome).inc(times)
        self._upstream_seconds.observe(seconds, times)

    def forged(self) -> None:
        """Count one forged datagram."""
        self._forged.inc()

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        self._limited.labels(limit).inc()
