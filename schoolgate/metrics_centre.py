"""What a box counts of its centre, and a centre of its boxes, as metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from schoolgate.metrics_live import Live, LiveMetrics, known, one

LOOKS = ("same", "new", "away", "refused", "failed")


class BoxMetrics:
    """Counts what comes of asking the centre (`schoolgate.box.agent.BoxCounters`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._looks = Counter(
            "schoolgate_box_looks", "Looks for a newer policy at the centre.", ["look"], registry=registry
        )
        self._sent = Counter(
            "schoolgate_box_sent_datagrams",
            "Datagrams of events that the centre has written.",
            registry=registry,
        )
        for look in LOOKS:
            self._looks.labels(look)
        self._heard: Callable[[], float] = lambda: 0.0
        self._waiting: Callable[[], int] = lambda: 0
        self._version: Callable[[], int] = lambda: 0
        LiveMetrics(
            registry,
            [
                Live("schoolgate_box_centre_timestamp_seconds", "When the centre last answered as it should.",
                    lambda: known(self._heard() or None)),
                Live("schoolgate_box_waiting_datagrams", "Datagrams of events that wait for the centre.",
                    lambda: one(self._waiting())),
                Live("schoolgate_box_policy_version", "The version of the signed policy that this box has.",
                    lambda: one(self._version())),
            ],
        )  # fmt: skip

    def watch(
        self, heard: Callable[[], float], waiting: Callable[[], int], version: Callable[[], int]
    ) -> None:
        """Show from now on when the centre was heard, how much waits, and which version is here."""
        self._heard, self._waiting, self._version = heard, waiting, version

    def asked(self, outcome: str) -> None:
        """Count one look."""
        self._looks.labels(outcome).inc()

    def sent(self, datagrams: int) -> None:
        """Count datagrams."""
        self._sent.inc(datagrams)
