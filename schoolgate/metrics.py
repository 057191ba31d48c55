"""The metrics that every process has; those of single parts stand beside this file.

Prefix `schoolgate_`, base units, labels from closed sets only: never an address, a host, a user or a URL. Each process
has a registry of its own. Methods that count never raise. docs/metrics.md is made from all of them.

What is counted begins at 0 for every set of labels that matters (`increase()` does not see a first event that brings
its series along).
"""

import platform
import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from schoolgate import __version__
from schoolgate.metrics_live import Live, LiveMetrics, known, one
from schoolgate_policy.decision import Attempt, Decision, Point, Reason, Verdict
from schoolgate_policy.technique import Technique
from schoolgate_policy.technique_table import about, table

# A second series for each counter would be of use to nobody here.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped

FAULT_AREAS = frozenset(
    {
        "dns",
        "proxy",
        "portal",
        "upstream",
        "policy",
        "record",
        "block_page",
        "events",
        "jobs",
        "rpz",
        "centre",
        "other",
    }
)
EVENT_STAGES = ("sender", "receiver")
RELOAD_RESULTS = ("accepted", "rejected")
_TECHNIQUES = frozenset(Technique)
_VERDICTS = (
    *((Verdict.ALLOW, why) for why in (Reason.ALWAYS_ALLOW, Reason.EXCEPTION, Reason.RULE, Reason.OTHERWISE)),
    *((Verdict.BLOCK, why) for why in Reason if why is not Reason.ALWAYS_ALLOW),
)
_POINTS = {"dns": Point.DNS, "proxy": Point.PROXY}  # the parts that decide
NO_CATEGORY = "none"


def kind_of(technique: str) -> str:
    """Tell what people do (`attempt`) from what ordinary devices send by themselves (`background`)."""
    found = about(technique)
    return "background" if found is not None and found.is_background else "attempt"


class Metrics:
    """The metrics that every process has."""

    def __init__(self, component: str, workers: int = 1) -> None:
        self.component = component
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Info("schoolgate_build", "Which Schoolgate this is.", registry=registry)
        build.info({"version": __version__, "python": platform.python_version(), "component": component})
        Gauge(
            "schoolgate_workers", "Processes that this part is to have, by the settings.", registry=registry
        ).set(workers)
        self.faults = Counter(
            "schoolgate_faults", "Failures of ours that ended in a block.", ["area"], registry=registry
        )
        for area in FAULT_AREAS:
            self.faults.labels(area)
        self._count_metrics()
        self._policy_metrics()

    def _count_metrics(self) -> None:
        self._decisions = Counter(
            "schoolgate_decisions",
            "Verdicts that were acted upon.",
            ["point", "network", "verdict", "reason"],
            registry=self.registry,
        )
        self._blocks = Counter(
            "schoolgate_blocks",
            "Verdicts to block, by what kind of site it was.",
            ["point", "network", "category"],
            registry=self.registry,
        )
        self._attempts = Counter(
            "schoolgate_circumvention_attempts",
            "Known ways round the filter that were seen, each sighting.",
            ["technique", "kind", "network"],
            registry=self.registry,
        )
        self._probed = Counter(
            "schoolgate_probe_sightings",
            "Ways round the filter that our own probe tried, each sighting; these count as nobody's attempts.",
            registry=self.registry,
        )
        self.events_dropped = Counter(
            "schoolgate_events_dropped",
            "Events lost on their way to the portal, where they were sent or where they were read.",
            ["stage"],
            registry=self.registry,
        )
        for stage in EVENT_STAGES:
            self.events_dropped.labels(stage)
        self._decided: dict[tuple[str, str, str, str], Counter] = {}

    def _policy_metrics(self) -> None:
        registry = self.registry
        self._policy_info = Gauge(
            "schoolgate_policy_info", "The policy in force.", ["version"], registry=registry
        )
        self._reloads = Counter(
            "schoolgate_policy_reloads",
            "Changes of policy.yaml that were read.",
            ["result"],
            registry=registry,
        )
        self._current: bool | None = None
        self._loaded: float | None = None
        LiveMetrics(
            registry,
            (
                Live(
                    "schoolgate_policy_current",
                    "1 where the policy in force is what policy.yaml says; 0 where that was refused and an older one holds.",
                    lambda: known(self._current),
                ),
                Live(
                    "schoolgate_policy_loaded_timestamp_seconds",
                    "When the policy in force was accepted.",
                    lambda: known(self._loaded),
                ),
            ),
        )
        for result in RELOAD_RESULTS:
            self._reloads.labels(result)

    def watch_log(self, dropped: Callable[[], int]) -> None:
        """Show how many log lines were lost."""
        says, name = "Log lines lost, as stderr took no more.", "schoolgate_log_lines_dropped"
        LiveMetrics(self.registry, [Live(name, says, lambda: one(dropped()), counter=True)])

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        """Count one verdict."""
        labels = decision.network, decision.verdict, decision.reason
        self._add(attempt.point, labels, decision.category or "", 1)

    def repeated(self, point: Point, tally: Mapping[tuple[str, str, str, str, str], int]) -> None:
        """Count verdicts given again and again, by network, verdict, reason, service and category."""
        for (network, verdict, reason, _, category), times in tally.items():
            self._add(point, (network, verdict, reason), category, times)

    def _add(self, point: Point, labels: tuple[str, str, str], category: str, times: int) -> None:
        key = point, *labels
        series = self._decided.get(key)
        if series is None:  # finding it anew each time costs more than counting
            series = self._decided[key] = self._decisions.labels(*key)
        series.inc(times)
        if labels[1] == Verdict.BLOCK:
            self._blocks.labels(point, labels[0], category or NO_CATEGORY).inc(times)

    def technique(self, technique: str, network: str) -> None:
        """Count one sighting of a way round the filter; an unknown one counts as `other`."""
        name = technique if technique in _TECHNIQUES else "other"
        self._attempts.labels(name, kind_of(name), network).inc()

    def probed(self) -> None:
        """Count one sighting of a way round the filter that our own probe tried."""
        self._probed.inc()

    def fault(self, area: str) -> None:
        """Count one failure of ours; an unknown area counts as `other`."""
        self.faults.labels(area if area in FAULT_AREAS else "other").inc()

    def policy_accepted(self, version: str, networks: Iterable[str] = ()) -> None:
        """Note that a policy came into force."""
        self._reloads.labels("accepted").inc()
        self._policy_info.clear()
        self._policy_info.labels(version).set(1)
        self._current, self._loaded = True, time.time()
        self.begin(networks)

    def begin(self, networks: Iterable[str]) -> None:
        """Let what this process can count on these networks begin at 0."""
        point = _POINTS.get(self.component)
        seen = [one.technique for one in table().values() if self.component in one.seen_by]
        for network in networks:
            for verdict, reason in _VERDICTS if point else ():
                self._decisions.labels(point, network, verdict, reason)
            for technique in seen:
                self._attempts.labels(technique, kind_of(technique), network)

    def policy_rejected(self) -> None:
        """Note that policy.yaml was refused, and an older policy stays in force."""
        self._reloads.labels("rejected").inc()
        self._current = False
