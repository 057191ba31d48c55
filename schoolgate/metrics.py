"""Every metric of Schoolgate, in one place.

Prefix `schoolgate_`, base units, labels from closed sets only: never an address, a host, a user or a URL. Each process
has a registry of its own. Methods that count never raise.
"""

import platform
import time
from collections.abc import Iterable, Mapping
from functools import partial

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
from schoolgate_policy.decision import Attempt, Decision, Point
from schoolgate_policy.lists.spec import ListStatus, Standing
from schoolgate_policy.technique import Technique

# A second series for each counter would be of use to nobody here.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped

FAULT_AREAS = frozenset({"dns", "proxy", "portal", "upstream", "policy", "record", "block_page", "events"})
EVENT_STAGES = ("sender", "receiver")
RELOAD_RESULTS = ("accepted", "rejected")
_TECHNIQUES = frozenset(Technique)


def _age(since: float) -> float:
    return max(0.0, time.time() - since)


class Metrics:
    """The metrics that every process has."""

    def __init__(self, component: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Info("schoolgate_build", "Which Schoolgate this is.", registry=registry)
        build.info({"version": __version__, "python": platform.python_version(), "component": component})
        self.decisions = Counter(
            "schoolgate_decisions",
            "Verdicts that were acted upon.",
            ["point", "network", "verdict", "reason"],
            registry=registry,
        )
        self.attempts = Counter(
            "schoolgate_attempts",
            "Known ways round the filter that were seen; some of them ordinary devices do by themselves.",
            ["technique", "network"],
            registry=registry,
        )
        self.errors = Counter(
            "schoolgate_errors", "Failures of ours that ended in a block.", ["area"], registry=registry
        )
        self.log_lines_dropped = Gauge(
            "schoolgate_log_lines_dropped",
            "Log lines lost since the start, as stderr took no more.",
            registry=registry,
        )
        self.events_dropped = Counter(
            "schoolgate_events_dropped",
            "Events lost on their way to the portal, where they were sent or where they were read.",
            ["stage"],
            registry=registry,
        )
        for stage in EVENT_STAGES:
            self.events_dropped.labels(stage)
        self._policy_metrics()
        for area in FAULT_AREAS:
            self.errors.labels(area)

    def _policy_metrics(self) -> None:
        registry = self.registry
        self.policy_info = Gauge(
            "schoolgate_policy_info", "The policy in force.", ["version"], registry=registry
        )
        self.policy_current = Gauge(
            "schoolgate_policy_current",
            "1 where the policy in force is what policy.yaml says; 0 where that was refused and an older one holds.",
            registry=registry,
        )
        self.reloads = Counter(
            "schoolgate_policy_reloads",
            "Changes of policy.yaml that were read.",
            ["result"],
            registry=registry,
        )
        self.reload_success = Gauge(
            "schoolgate_policy_last_success_timestamp_seconds",
            "When a policy was last accepted.",
            registry=registry,
        )
        self.list_names = Gauge(
            "schoolgate_list_names",
            "Hosts and pages on a list; 0 where it was not supplied or not fetched yet.",
            ["list"],
            registry=registry,
        )
        self.list_age = Gauge(
            "schoolgate_list_age_seconds",
            "Time since the content of a list was changed or confirmed.",
            ["list"],
            registry=registry,
        )
        self.list_current = Gauge(
            "schoolgate_list_current",
            "1 where a list is what its source brings; 0 where that was refused, or there is none.",
            ["list"],
            registry=registry,
        )
        for result in RELOAD_RESULTS:
            self.reloads.labels(result)

    def decision(self, attempt: Attempt, decision: Decision) -> None:
        """Count one verdict."""
        self.decisions.labels(attempt.point, decision.network, decision.verdict, decision.reason).inc()

    def repeated(
        self,
        point: Point,
        tally: Mapping[tuple[str, str, str, str, str], int],
        rows: Iterable[tuple[str, Decision, int]] = (),
    ) -> None:
        """Count verdicts given again and again: some by (network, verdict, reason, …), some one by one."""
        totals: dict[tuple[str, str, str], int] = {}
        for (network, verdict, reason, *_), times in tally.items():
            counted = network, verdict, reason
            totals[counted] = totals.get(counted, 0) + times
        for _, decision, times in rows:
            one: tuple[str, str, str] = decision.network, decision.verdict, decision.reason
            totals[one] = totals.get(one, 0) + times
        for labels, times in totals.items():
            self.decisions.labels(point, *labels).inc(times)

    def technique(self, technique: str, network: str) -> None:
        """Count one sighting of a way round the filter; an unknown one counts as `other`."""
        self.attempts.labels(technique if technique in _TECHNIQUES else "other", network).inc()

    def fault(self, area: str) -> None:
        """Count one failure of ours; an unknown area counts as `other`."""
        self.errors.labels(area if area in FAULT_AREAS else "other").inc()

    def policy_accepted(self, version: str) -> None:
        """Note that a policy came into force."""
        self.reloads.labels("accepted").inc()
        self.policy_info.clear()
        self.policy_info.labels(version).set(1)
        self.policy_current.set(1)
        self.reload_success.set_to_current_time()

    def lists_read(self, lists: Iterable[ListStatus]) -> None:
        """Note what the lists of the policy in force hold, and how old they are."""
        for gauge in (self.list_names, self.list_age, self.list_current):
            gauge.clear()
        for status in lists:
            name = f"locked:{status.spec.name}" if status.spec.locked else status.spec.name
            self.list_names.labels(name).set(status.names)
            self.list_current.labels(name).set(status.standing is Standing.IN_USE)
            if status.dated is not None:
                self.list_age.labels(name).set_function(partial(_age, status.dated.timestamp()))

    def policy_rejected(self) -> None:
        """Note that policy.yaml was refused, and an older policy stays in force."""
        self.reloads.labels("rejected").inc()
        self.policy_current.set(0)
