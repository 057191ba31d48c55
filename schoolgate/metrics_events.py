"""What the receiver of events counts (`schoolgate.events.receiver.EventCounters`), as metrics."""

from prometheus_client import Counter

from schoolgate.metrics import Metrics
from schoolgate.record import MetricsRecorder


class EventMetrics:
    """Counts events that arrive, are written, or are lost."""

    def __init__(self, metrics: Metrics, recorder: MetricsRecorder) -> None:
        registry = metrics.registry
        self._received = Counter(
            "schoolgate_events_received", "Events that arrived from dns, proxy and portal.", registry=registry
        )
        self._stored = Counter(
            "schoolgate_events_stored", "Rows of events and counts written.", registry=registry
        )
        self._dropped = metrics.events_dropped.labels("receiver")
        self._recorder = recorder

    def received(self, events: int) -> None:
        """Count events that arrived."""
        self._received.inc(events)

    def dropped(self, events: int) -> None:
        """Count events that were lost here."""
        self._dropped.inc(events)

    def stored(self, rows: int) -> None:
        """Count rows that were written."""
        self._stored.inc(rows)

    def fault(self, error: Exception) -> None:
        """Note a failure of ours."""
        self._recorder.fault("events", error)
