"""Reads how the box is from what its parts serve at `/metrics`, for the samples that the portal keeps."""

import math
import operator
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from schoolgate.box_facts import metrics_of
from schoolgate.doctor.running import health, not_ready
from schoolgate.settings import Endpoint, Settings
from schoolgate_exceptions.ports import Readings
from schoolgate_exceptions.sampling import GROWTHS, INTERVAL

_SECONDS = 2.0
PART = "(part)"  # instead of a label: which part told it
type _Key = tuple[Endpoint, str, str]  # who told it, series, what it is of


@dataclass(frozen=True, slots=True)
class Source:
    """A metric, and where its numbers go: into a series, by one label, by the part, or under a fixed name.

    `only` are labels and what they must begin with. `whole` is the fold of several numbers of one name: the least, the
    greatest, or all together.
    """

    series: str
    metric: str
    by: str = ""
    name: str = ""
    whole: str = "sum"
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    part: str = ""  # only of this one


_ERRORS = {"status": ("4", "5")}
SOURCES = (
    Source("started", "process_start_time_seconds", PART, whole="max"),
    Source("memory", "process_resident_memory_bytes", PART),
    Source("policy", "schoolgate_policy_current", name="current", whole="min"),
    Source("room", "schoolgate_state_free_bytes", name="free", whole="min"),
    Source("room", "schoolgate_state_size_bytes", name="size", whole="min"),
    Source("clock", "schoolgate_clock_synchronised", name="synchronised", whole="min"),
    Source("clock", "schoolgate_clock_error_seconds", name="error", whole="max"),
    Source("certificates", "schoolgate_certificate_expiry_timestamp_seconds", "certificate", whole="min"),
    Source("upstreams", "schoolgate_dns_upstream_working", "upstream", whole="min"),
    Source("firewall", "schoolgate_firewall_loaded", name="loaded", whole="min"),
    Source("open", "schoolgate_proxy_open_connections", "listener"),
    Source("old", "schoolgate_proxy_connections_older_than_the_bell", name="open"),
    Source("zones", "schoolgate_rpz_secondaries_behind", name="behind"),
    Source("cpu", "process_cpu_seconds_total", PART),
    Source("queries", "schoolgate_dns_queries_total", "rcode"),
    Source("cache", "schoolgate_dns_cache_lookups_total", "outcome"),
    Source("exchanges", "schoolgate_dns_upstream_exchanges_total", "outcome"),
    Source("answer_times", "schoolgate_dns_upstream_duration_seconds_bucket", "le"),
    Source("dns_refused", "schoolgate_dns_limited_queries_total", "limit"),
    Source("dns_refused", "schoolgate_dns_dropped_messages_total", name="dropped"),
    Source("dns_refused", "schoolgate_dns_forged_answers_total", name="forged"),
    Source("connections", "schoolgate_proxy_connections_total", "listener"),
    Source("turned_away", "schoolgate_proxy_connections_turned_away_total", "cause"),
    Source("site_failures", "schoolgate_proxy_upstream_failures_total", "problem"),
    Source("ech", "schoolgate_proxy_ech_hellos_total", "shown"),
    Source("pinned", "schoolgate_proxy_pinned_connections_total", "network"),
    Source("no_certificate", "schoolgate_proxy_certificate_missing_total", "network"),
    Source("lost", "schoolgate_events_dropped_total", "stage"),
    Source("lost", "schoolgate_log_lines_dropped_total", name="log"),
    Source("recorded", "schoolgate_events_received_total", name="arrived", part="portal"),
    Source("recorded", "schoolgate_events_stored_total", name="written", part="portal"),
    Source("pages", "schoolgate_portal_pages_total", "page"),
    Source("errors", "schoolgate_portal_pages_total", "status", only=_ERRORS),
    Source("jobs_failed", "schoolgate_portal_jobs_total", "task", only={"result": ("failed",)}),
    Source("reloads", "schoolgate_policy_reloads_total", "result", part="portal"),
)
_BY_METRIC: dict[str, list[Source]] = {}
for _one in SOURCES:
    _BY_METRIC.setdefault(_one.metric, []).append(_one)
_FOLDS: Mapping[str, Callable[[float, float], float]] = {"sum": operator.add, "min": min, "max": max}


class PartInstruments:
    """Reads every part that should run by the settings; remembers the last counts of each, to tell how they grew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts: dict[_Key, float] = {}
        self._read_at: float | None = None

    def read(self) -> Readings:
        """Return how the parts are; one that does not answer is not up, and nothing else of it is told."""
        parts = list(health(self._settings))
        with ThreadPoolExecutor(len(parts)) as pool:
            told = list(pool.map(lambda one: _told(one[1]), parts))
        readings: dict[str, dict[str, float]] = {"up": {}}
        versions, counts = set[str](), dict[_Key, float]()
        for (part, endpoint), (well, text) in zip(parts, told, strict=True):
            readings["up"][part] = min(readings["up"].get(part, 1), well)
            for source, name, value, version in _numbers(part, text):
                if version:
                    versions.add(version)
                elif source is not None and source.series in GROWTHS:
                    key = endpoint, source.series, name
                    counts[key] = counts.get(key, 0) + value
                elif source is not None:
                    of = readings.setdefault(source.series, {})
                    of[name] = _FOLDS[source.whole](of[name], value) if name in of else value
        if versions:
            readings.setdefault("policy", {})["versions"] = len(versions)
        self._grow(readings, counts)
        return readings

    def _grow(self, readings: dict[str, dict[str, float]], counts: dict[_Key, float]) -> None:
        """Add how much was counted since the reading before; a part that began anew has counted all of it since."""
        now, before = time.monotonic(), self._read_at
        if before is not None:
            known = {endpoint for endpoint, _, _ in self._counts}
            for key, value in counts.items():
                if key[0] not in known:
                    continue  # seen for the first time: nobody knows since when it has counted
                last = self._counts.get(key, 0)
                grown = value - last if value >= last else value
                of = readings.setdefault(key[1], {})
                of[key[2]] = of.get(key[2], 0) + grown
            readings[INTERVAL] = {"seconds": now - before}
        self._read_at = now
        self._counts.update(counts)


def _told(endpoint: Endpoint) -> tuple[int, str]:
    """Return whether a part is ready, and its metrics; empty where it does not answer."""
    well = int(not not_ready(endpoint, _SECONDS))
    try:
        return well, metrics_of(endpoint)
    except OSError:
        return well, ""


def _numbers(part: str, text: str) -> Iterator[tuple[Source | None, str, float, str]]:
    """Yield the numbers of a part that are kept: source, what it is of, the number; or the version of its policy."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "schoolgate_policy_info":
                yield None, "", 0, sample.labels["version"]
            for source in _BY_METRIC.get(sample.name, ()):
                if _is_meant(source, part, sample.labels) and math.isfinite(sample.value):
                    yield source, _name(source, part, sample.labels), sample.value, ""


def _is_meant(source: Source, part: str, labels: Mapping[str, str]) -> bool:
    wanted = all(labels.get(name, "").startswith(begins) for name, begins in source.only.items())
    return wanted and source.part in {"", part}


def _name(source: Source, part: str, labels: Mapping[str, str]) -> str:
    return part if source.by == PART else labels[source.by] if source.by else source.name
