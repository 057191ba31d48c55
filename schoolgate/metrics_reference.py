"""Writes docs/metrics.md from the metrics themselves: `python -m schoolgate.metrics_reference`.

The words around the tables stand in docs/metrics.frame.md. With `--check` nothing is written; exit code 1 says that
the page is stale.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from schoolgate.firewall.evidence import Evidence, EvidenceReader
from schoolgate.metrics import Metrics
from schoolgate.metrics_box import box_metrics, certificate_metrics
from schoolgate.metrics_centre import BoxMetrics
from schoolgate.metrics_dns import DnsMetrics, UpstreamMetrics
from schoolgate.metrics_events import EventMetrics
from schoolgate.metrics_labels import LABELS
from schoolgate.metrics_live import LiveMetrics
from schoolgate.metrics_policy import PolicyMetrics
from schoolgate.metrics_portal import PortalMetrics
from schoolgate.metrics_probe import ProbeMetrics
from schoolgate.metrics_proxy import ProxyMetrics
from schoolgate.metrics_rpz import RpzMetrics
from schoolgate.record import MetricsRecorder
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

FRAME, REFERENCE, POLICY = Path("docs/metrics.frame.md"), Path("docs/metrics.md"), Path("policy.yaml")
COMMON = "common"
_PARTS = ("dns", "proxy", "portal")
_FIREWALL = "firewall"  # has no policy, so it shares less
_RPZ, _BOX = "rpz", "box"
_NOTE = "<!-- Made from the code by `python -m schoolgate.metrics_reference`; edit docs/metrics.frame.md instead. -->"
_SLOT = re.compile(r"\{\{([a-z ]+)\}\}")


@dataclass(frozen=True, slots=True)
class _Source:
    engine: Engine


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as people write it in a query, and what there is to say about it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    about: str


def registries(policy: Path) -> dict[str, CollectorRegistry]:
    """Return the metrics of every part as they are when it has just started with this policy."""
    source = _Source(Engine(load_policy(policy)))
    made = {part: Metrics(part) for part in _PARTS}
    for metrics in made.values():
        metrics.watch_log(lambda: 0)
        metrics.policy_accepted(source.engine.policy.version, source.engine.policy.networks)
        PolicyMetrics(metrics.registry, source, _now)
    found = {part: metrics.registry for part, metrics in made.items()}
    DnsMetrics(found["dns"])
    UpstreamMetrics(found["proxy"])
    ProxyMetrics(found["proxy"])
    certificate_metrics(found["proxy"], {})
    EventMetrics(made["portal"], MetricsRecorder(made["portal"]))
    PortalMetrics(found["portal"], source, _now)
    ProbeMetrics(found["portal"], source)
    box_metrics(found["portal"], policy.parent)
    found[_RPZ] = _rpz(source)
    found[_BOX] = _box(source)
    found[_FIREWALL] = _firewall(source.engine)
    return found


def _rpz(source: _Source) -> CollectorRegistry:
    metrics = _usual(_RPZ, source)
    RpzMetrics(metrics.registry)
    return metrics.registry


def _box(source: _Source) -> CollectorRegistry:
    metrics = _usual(_BOX, source)
    EventMetrics(metrics, MetricsRecorder(metrics))
    BoxMetrics(metrics.registry)
    return metrics.registry


def _usual(part: str, source: _Source) -> Metrics:
    metrics = Metrics(part)
    metrics.watch_log(lambda: 0)
    metrics.policy_accepted(source.engine.policy.version, source.engine.policy.networks)
    PolicyMetrics(metrics.registry, source, _now)
    return metrics


def _firewall(engine: Engine) -> CollectorRegistry:
    metrics = Metrics(_FIREWALL)
    metrics.begin(engine.policy.networks)
    EvidenceReader(lambda: Evidence((), ()), MetricsRecorder(metrics), metrics.registry)
    return metrics.registry


def _now() -> datetime:
    return datetime.now(UTC)


def described(registry: CollectorRegistry) -> Iterator[Described]:
    """Return the metrics of ours in a registry, with their labels, whether or not they have values yet."""
    for collector in tuple(registry._collector_to_names):  # noqa: SLF001 - the registry tells it nobody else
        for family in _families(collector):
            if family.name.startswith("schoolgate_"):
                yield Described(_name(family), family.type, _labels(collector, family), family.documentation)


def _families(collector: object) -> Iterable[Metric]:
    describe: Callable[[], Iterable[Metric]] | None = getattr(collector, "describe", None)
    return describe() if describe else ()


def _name(family: Metric) -> str:
    ending = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return f"{family.name}{ending}"


def _labels(collector: object, family: Metric) -> tuple[str, ...]:
    if isinstance(collector, LiveMetrics):
        return collector.labels_of(family.name)
    named = tuple(getattr(collector, "_labelnames", ()))
    return named if family.type != "info" else ("version", "python", "component")


def by_part(policy: Path) -> dict[str, list[Described]]:
    """Return all metrics, sorted by name: those that every part has as `common`, the others by part."""
    every = {
        part: {one.name: one for one in described(registry)} for part, registry in registries(policy).items()
    }
    common = set.intersection(*(set(every[part]) for part in _PARTS))
    rows = {COMMON: sorted(common)} | {part: sorted(set(found) - common) for part, found in every.items()}
    return {
        where: [(every["dns"] if where == COMMON else every[where])[name] for name in names]
        for where, names in rows.items()
    }


def count_series(registry: CollectorRegistry) -> int:
    """Return how many time series Prometheus would make of a scrape."""
    return sum(len(family.samples) for family in registry.collect())


def render(frame: str, policy: Path) -> str:
    """Fill the frame in."""
    metrics = by_part(policy)

    def fill(match: re.Match[str]) -> str:
        what, _, where = match[1].partition(" ")
        match what:
            case "metrics":
                return _table(metrics[where])
            case "labels":
                return "\n".join(
                    [
                        "| label | values |",
                        "| --- | --- |",
                        *(f"| `{name}` | {LABELS[name]} |" for name in sorted(LABELS)),
                    ]
                )
            case _:
                # Rounded: a kernel that does not tell of its clock has two less.
                return str(round(_count(policy), -2) if what == "count" else round(_per_network(policy), -1))

    return f"{_NOTE}\n\n{_SLOT.sub(fill, frame)}"


def _count(policy: Path) -> int:
    return sum(count_series(registry) for registry in registries(policy).values())


def _per_network(policy: Path) -> int:
    """Return what one network costs where everything happens on it that can be counted from the start."""
    networks = load_policy(policy).networks
    found = registries(policy).values()
    samples = (sample for registry in found for family in registry.collect() for sample in family.samples)
    return sum("network" in sample.labels for sample in samples) // len(networks)


def _table(metrics: Iterable[Described]) -> str:
    rows = ["| metric | kind | labels | says |", "| --- | --- | --- | --- |"]
    for one in metrics:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{one.name}` | {one.kind} | {labels} | {one.about} |")
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    """Write the page below the current folder, or with `--check` say whether it is stale."""
    text = render(FRAME.read_text(encoding="utf-8"), POLICY)
    fresh = REFERENCE.is_file() and REFERENCE.read_text(encoding="utf-8") == text
    if arguments == ["--check"]:
        if not fresh:
            sys.stderr.write(f"{REFERENCE}: stale; run `python -m schoolgate.metrics_reference`\n")
        return int(not fresh)
    if not fresh:
        REFERENCE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
