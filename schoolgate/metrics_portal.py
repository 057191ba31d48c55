"""What the portal counts (`schoolgate_exceptions.ports.PortalCounters`) and what waits in its queue, as metrics."""

from datetime import UTC, datetime, time, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schoolgate.metrics import kind_of
from schoolgate.metrics_live import Live, LiveMetrics, Values, one
from schoolgate_exceptions.overview import Overview
from schoolgate_exceptions.queue import is_school_day
from schoolgate_exceptions.workflow import OPEN
from schoolgate_policy.model import Policy
from schoolgate_policy.ports import Clock, PolicySource
from schoolgate_policy.technique_table import table

JOB_RESULTS = ("done", "failed")
_ACKNOWLEDGED = (
    300,
    900,
    3_600,
    4 * 3_600,
    8 * 3_600,
    86_400,
    3 * 86_400,
)  # seconds: five minutes to three days
_LOOK_BACK = 400  # days; who has waited for longer has waited for long


class PortalMetrics:
    """Counts what the portal shows and does; never a host, a name or an address."""

    def __init__(self, registry: CollectorRegistry, source: PolicySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._oldest: datetime | None = None
        self._pages = Counter(
            "schoolgate_portal_pages", "Pages shown.", ["page", "status"], registry=registry
        )
        self._jobs = Counter(
            "schoolgate_portal_jobs", "Jobs run by the clock.", ["task", "result"], registry=registry
        )
        self._job_done = Gauge(
            "schoolgate_portal_job_success_timestamp_seconds",
            "When a job run by the clock last did what it is for.",
            ["task"],
            registry=registry,
        )
        self._waiting = Gauge(
            "schoolgate_requests_waiting", "Requests that wait for somebody.", ["state"], registry=registry
        )
        self._unwritten = Gauge(
            "schoolgate_requests_unwritten",
            "Decided requests that policy.yaml could not be changed for.",
            registry=registry,
        )
        self._letters = Gauge(
            "schoolgate_outbox_letters", "Letters that have still to go out.", registry=registry
        )
        self._attempts = Counter(
            "schoolgate_attempts",
            "Attempts to get round the filter: sightings of one device by one technique within a minute are one.",
            ["technique", "kind", "network"],
            registry=registry,
        )
        self._seen_to = Histogram(
            "schoolgate_alert_acknowledgement_seconds",
            "How long alerts waited until somebody acknowledged them.",
            buckets=_ACKNOWLEDGED,
            registry=registry,
        )
        LiveMetrics(registry, self._live())
        for state in OPEN:
            self._waiting.labels(_label(state))

    def _live(self) -> tuple[Live, ...]:
        return (
            Live(
                "schoolgate_request_oldest_age_seconds",
                "How long ago the request that has waited longest was made; 0: none waits.",
                self._age,
            ),
            Live(
                "schoolgate_request_oldest_school_seconds",
                "How much of that was on days on which the school is open (86400 for each whole day).",
                self._school_age,
            ),
            Live(
                "schoolgate_school_day",
                "1 on days on which the school is open, from midnight to midnight.",
                self._school_day,
            ),
        )

    def page(self, page: str, status: int) -> None:
        """Count one page."""
        self._pages.labels(page, status).inc()

    def job(self, job: str, result: str) -> None:
        """Count one run of a job: `done` or `failed`. The label is no `job`, which is Prometheus' own word."""
        if result == "done":
            self._job_done.labels(job).set_to_current_time()
        self._jobs.labels(job, result).inc()
        for either in JOB_RESULTS:
            self._jobs.labels(job, either)

    def attempt(self, technique: str, network: str) -> None:
        """Count one attempt, folded; a network of another school's policy counts as `other`."""
        known = network if network in self._source.engine.policy.networks else "other"
        self._attempts.labels(technique, kind_of(technique), known).inc()

    def acknowledged(self, seconds: float) -> None:
        """Note how long an alert waited until somebody saw to it."""
        self._seen_to.observe(seconds)

    def begin(self) -> None:
        """Let the attempts of every network begin at 0, so that the first one is an increase."""
        for network in self._source.engine.policy.networks:
            for technique in table():
                self._attempts.labels(technique, kind_of(technique), network)

    def queue(self, overview: Overview) -> None:
        """Show what waits."""
        for state, count in overview.waiting.items():
            self._waiting.labels(_label(state)).set(count)
        self._oldest = overview.oldest.created_at if overview.oldest else None
        self._unwritten.set(len(overview.with_problems))
        self._letters.set(overview.letters_waiting)

    def _age(self) -> Values:
        return one((self._clock() - self._oldest).total_seconds() if self._oldest else 0)

    def _school_age(self) -> Values:
        policy = self._source.engine.policy
        return one(school_time(policy, self._oldest, self._clock()).total_seconds() if self._oldest else 0)

    def _school_day(self) -> Values:
        policy = self._source.engine.policy
        return one(is_school_day(policy, self._clock().astimezone(policy.calendar.zone).date()))


def school_time(policy: Policy, since: datetime, now: datetime) -> timedelta:
    """Return how much of `[since, now)` lies on school days, which count from midnight to midnight.

    So what comes on a Friday at three has waited for one day on the Monday at three. At most 400 days are looked at.
    """
    zone = policy.calendar.zone
    total, day = timedelta(), max(since, now - timedelta(days=_LOOK_BACK)).astimezone(zone).date()
    while day <= now.astimezone(zone).date():
        if is_school_day(policy, day):
            begins, ends = (
                datetime.combine(one_day, time(), zone).astimezone(UTC)
                for one_day in (day, day + timedelta(days=1))
            )
            total += max(timedelta(), min(now, ends) - max(since, begins))
        day += timedelta(days=1)
    return total


def _label(state: str) -> str:
    return str(state).replace(" ", "_")
