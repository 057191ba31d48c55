"""What the portal counts (`schoolgate_exceptions.ports.PortalCounters`) and what waits in its queue, as metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from schoolgate_exceptions.overview import Overview


class PortalMetrics:
    """Counts what the portal shows and does; never a host, a name or an address."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pages = Counter(
            "schoolgate_portal_pages", "Pages shown.", ["page", "status"], registry=registry
        )
        self._jobs = Counter(
            "schoolgate_portal_jobs", "Jobs run by the clock.", ["job", "result"], registry=registry
        )
        self._waiting = Gauge(
            "schoolgate_access_requests", "Requests that wait for somebody.", ["state"], registry=registry
        )
        self._oldest = Gauge(
            "schoolgate_oldest_request_timestamp_seconds",
            "When the request that has waited longest was made; 0: none waits.",
            registry=registry,
        )
        self._unwritten = Gauge(
            "schoolgate_unwritten_requests",
            "Decided requests that policy.yaml could not be changed for.",
            registry=registry,
        )
        self._letters = Gauge("schoolgate_letters_waiting", "Letters not yet sent.", registry=registry)

    def page(self, page: str, status: int) -> None:
        """Count one page."""
        self._pages.labels(page, status).inc()

    def job(self, job: str, result: str) -> None:
        """Count one run of a job: `done` or `failed`."""
        self._jobs.labels(job, result).inc()

    def queue(self, overview: Overview) -> None:
        """Show what waits."""
        for state, count in overview.waiting.items():
            self._waiting.labels(state.value.replace(" ", "_")).set(count)
        self._oldest.set(overview.oldest.created_at.timestamp() if overview.oldest else 0)
        self._unwritten.set(len(overview.with_problems))
        self._letters.set(overview.letters_waiting)
