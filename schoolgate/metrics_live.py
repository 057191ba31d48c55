"""Metrics that are read at the moment somebody asks for them: ages, free space, what is in force now."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_log = structlog.get_logger()

type Values = Iterable[
    tuple[tuple[str, ...], float]
]  # label values in the order of the labels, and the number
type Family = GaugeMetricFamily | CounterMetricFamily


@dataclass(frozen=True, slots=True)
class Live:
    """One metric, and how its values are read: at once, and from the event loop's thread."""

    name: str
    about: str
    read: Callable[[], Values]
    labels: tuple[str, ...] = ()
    counter: bool = False

    def family(self) -> Family:
        """Return the metric without values."""
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        return kind(self.name, self.about, labels=self.labels)


def one(value: float) -> Values:
    """Return the values of a metric without labels."""
    return [((), value)]


def known(value: float | None) -> Values:
    """Return the values of a metric without labels that is missing as long as nothing is known."""
    return () if value is None else one(value)


class LiveMetrics(Collector):
    """Reads its metrics at every scrape; one that cannot be read is missing from it, and the others are not."""

    def __init__(self, registry: CollectorRegistry, metrics: Iterable[Live]) -> None:
        self._metrics = tuple(metrics)
        registry.register(self)

    def labels_of(self, name: str) -> tuple[str, ...]:
        """Return the labels of one of these metrics."""
        return next(live.labels for live in self._metrics if live.name == name)

    def describe(self) -> Iterator[Family]:
        """Return the metrics without values."""
        return (live.family() for live in self._metrics)

    def collect(self) -> Iterator[Family]:
        """Return the metrics as they are now."""
        for live in self._metrics:
            family = live.family()
            try:
                for labels, value in live.read():
                    family.add_metric(labels, value)
            except Exception as error:  # noqa: BLE001 - whoever asks must see all the rest
                _log.warning("metrics.not_read", metric=live.name, error=type(error).__name__)
            yield family
