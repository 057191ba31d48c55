"""What the portal counts (`schoolgate_exceptions.ports.PortalCounters`), as metrics."""

from prometheus_client import CollectorRegistry, Counter


class PortalMetrics:
    """Counts what the portal shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pages = Counter(
            "schoolgate_portal_pages", "Pages shown.", ["page", "status"], registry=registry
        )

    def page(self, page: str, status: int) -> None:
        """Count one page."""
        self._pages.labels(page, status).inc()
