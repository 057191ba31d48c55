"""What the sinkhole counts (`schoolgate_dns.ports.DnsCounters`), as metrics."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from schoolgate.metrics_live import Live, LiveMetrics, Values
from schoolgate_dns.ports import CacheOutcome, Limit, Transport, UpstreamOutcome
from schoolgate_dns.wire import Rcode

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

    def describe(self) -> Iterable[Metric]:
        """Return the metric without its values."""
        return [HistogramMetricFamily(self._name, self._documentation)]

    def collect(self) -> Iterable[Metric]:
        """Return the metric."""
        bounds = [*map(floatToGoString, _UPSTREAM_BUCKETS), "+Inf"]
        totals = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, totals, self._sum)


class UpstreamMetrics:
    """Counts what comes of asking upstream resolvers (`schoolgate_dns.ports.UpstreamCounters`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._exchanges = Counter(
            "schoolgate_dns_upstream_exchanges",
            "Exchanges with upstream resolvers.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = _Durations(
            "schoolgate_dns_upstream_duration_seconds", "How long exchanges with upstream resolvers took."
        )
        registry.register(self._seconds)
        self._forged = Counter(
            "schoolgate_dns_forged_answers",
            "Datagrams from an upstream's address that answer no question of ours.",
            registry=registry,
        )
        self._working: Callable[[], Sequence[bool]] = tuple
        LiveMetrics(registry, [Live("schoolgate_dns_upstream_working",
            "1 where an upstream resolver answered when it was last asked. Upstreams are numbered as in the settings.",
            self._states, ("upstream",))])  # fmt: skip
        self._outcomes = {outcome: self._exchanges.labels(outcome) for outcome in UpstreamOutcome}

    def watch(self, working: Callable[[], Sequence[bool]]) -> None:
        """Show from now on which upstreams work: those of all names in the order of the settings, then zones' own."""
        self._working = working

    def _states(self) -> Values:
        return [((str(number),), works) for number, works in enumerate(self._working(), 1)]

    def upstream(self, outcome: UpstreamOutcome, seconds: float, times: int = 1) -> None:
        """Count exchanges with an upstream, each of which took `seconds`."""
        self._outcomes[outcome].inc(times)
        self._seconds.observe(seconds, times)

    def forged(self) -> None:
        """Count one forged datagram."""
        self._forged.inc()


class DnsMetrics(UpstreamMetrics):
    """Counts what the sinkhole does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._series: dict[tuple[Counter, tuple[str, ...]], Counter] = {}
        self._queries = Counter(
            "schoolgate_dns_queries", "Queries answered.", ["transport", "rcode"], registry=registry
        )
        self._dropped = Counter(
            "schoolgate_dns_dropped_messages", "Messages and connections left without an answer.", ["transport"],
            registry=registry,
        )  # fmt: skip
        self._cache = Counter(
            "schoolgate_dns_cache_lookups", "Looks into the cache.", ["outcome"], registry=registry
        )
        self._limited = Counter(
            "schoolgate_dns_limited_queries", "Questions turned away before they were judged.", ["limit"],
            registry=registry,
        )  # fmt: skip
        self._begin()

    def _begin(self) -> None:
        """Let every series begin at 0."""
        for transport in Transport:
            self._of(self._dropped, transport)
            for rcode in (Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.SERVFAIL, Rcode.REFUSED, Rcode.FORMERR):
                self._of(self._queries, transport, rcode.name)
        for outcome in CacheOutcome:
            self._of(self._cache, outcome)
        for limit in Limit:
            self._of(self._limited, limit)

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

    def limited(self, limit: Limit) -> None:
        """Count one question turned away by a limit."""
        self._of(self._limited, limit).inc()
