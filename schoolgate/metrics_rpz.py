"""What the server of response policy zones counts (`schoolgate_dns.rpz.ports.RpzCounters`), as metrics."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from schoolgate.metrics_live import Live, LiveMetrics, Values, one
from schoolgate_dns.rpz.ports import Refused, Transfer


class RpzMetrics:
    """Counts transfers, refusals and notices."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gave = Counter(
            "schoolgate_rpz_transfers",
            "Requests of secondaries that were answered.",
            ["transfer"],
            registry=registry,
        )
        self._refused = Counter(
            "schoolgate_rpz_refused",
            "Requests for zones that were turned away.",
            ["refusal"],
            registry=registry,
        )
        self._notices = Counter(
            "schoolgate_rpz_notices", "Notices of a changed zone, and whether the secondary answered.", ["heard"],
            registry=registry,
        )  # fmt: skip
        self._versions = Counter("schoolgate_rpz_versions", "New versions of zones.", registry=registry)
        self._seconds = Gauge(
            "schoolgate_rpz_publish_duration_seconds", "How long it took to work the zones out last.",
            registry=registry,
        )  # fmt: skip
        for transfer in Transfer:
            self._gave.labels(transfer)
        for why in Refused:
            self._refused.labels(why)
        for heard in ("yes", "no"):
            self._notices.labels(heard)
        self._behind: Callable[[], Mapping[str, bool]] = dict
        LiveMetrics(registry, [Live("schoolgate_rpz_secondaries_behind",
            "Secondaries that did not answer the last notice.", self._count)])  # fmt: skip

    def watch(self, behind: Callable[[], Mapping[str, bool]]) -> None:
        """Show from now on how many secondaries have not heard."""
        self._behind = behind

    def _count(self) -> Values:
        return one(sum(self._behind().values()))

    def gave(self, what: Transfer) -> None:
        """Count one request that was answered."""
        self._gave.labels(what).inc()

    def refused(self, why: Refused) -> None:
        """Count one request that was not."""
        self._refused.labels(why).inc()

    def notified(self, *, heard: bool) -> None:
        """Count one notice."""
        self._notices.labels("yes" if heard else "no").inc()

    def published(self, zones: int, seconds: float) -> None:
        """Count new versions, and note how long they took."""
        self._versions.inc(zones)
        self._seconds.set(seconds)
