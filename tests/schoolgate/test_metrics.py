"""The metrics: all documented, few however much happens, and nobody in them."""

import ctypes
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from running import ROOT
from structlog.testing import capture_logs

from schoolgate.metrics import Metrics
from schoolgate.metrics_box import box_metrics, certificate_metrics
from schoolgate.metrics_dns import DnsMetrics, UpstreamMetrics
from schoolgate.metrics_labels import LABELS
from schoolgate.metrics_live import Live, LiveMetrics
from schoolgate.metrics_policy import PolicyMetrics
from schoolgate.metrics_portal import PortalMetrics, school_time
from schoolgate.metrics_reference import POLICY, REFERENCE, by_part, main
from schoolgate_policy.decision import Attempt, Decision, Point, Reason, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_policy.model import Sanction
from schoolgate_policy.technique_table import table

MONDAY = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy():
    return load_policy(ROOT / "policy.yaml")


def policy_values(policy, now=MONDAY, sanctions=()):
    registry = CollectorRegistry()
    PolicyMetrics(registry, SimpleNamespace(engine=Engine(policy, sanctions)), lambda: now)
    return registry.get_sample_value


def test_the_page_of_metrics_is_fresh():
    """Whoever adds or changes a metric runs `python -m schoolgate.metrics_reference`."""
    done = subprocess.run(
        [sys.executable, "-m", "schoolgate.metrics_reference", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_attempts_begin_at_zero_and_other_schools_are_one(policy):
    """The portal counts folded attempts by technique and network; a network that the policy does not know is `other`."""
    registry = CollectorRegistry()
    portal = PortalMetrics(registry, SimpleNamespace(engine=Engine(policy)), lambda: MONDAY)
    portal.begin()
    value, labels = registry.get_sample_value, {"technique": "vpn", "kind": "attempt", "network": "pupils"}
    assert value("schoolgate_attempts_total", labels) == 0
    portal.attempt("vpn", "pupils")
    portal.attempt("wpad", "hall of another school")
    assert value("schoolgate_attempts_total", labels) == 1
    other = {"technique": "wpad", "kind": "background", "network": "other"}
    assert value("schoolgate_attempts_total", other) == 1


def test_a_stale_page_is_noticed_and_mended(tmp_path, monkeypatch):
    """With --check a stale page is exit code 1; without it the page is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/metrics.frame.md").write_text("{{metrics dns}}\n")
    (tmp_path / POLICY).write_bytes((ROOT / POLICY).read_bytes())
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "| `schoolgate_dns_queries_total` | counter | `transport`, `rcode` |" in REFERENCE.read_text()


def test_names_are_what_prometheus_expects():
    """Prefix, base units, a sentence each; every label is explained, and no explanation is of no use."""
    used = set()
    for metrics in by_part(ROOT / POLICY).values():
        for one in metrics:
            assert re.fullmatch(r"schoolgate_[a-z0-9_]+", one.name)
            assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb|percent)(_|$)", one.name)
            assert one.name.endswith("_total") == (one.kind == "counter")
            assert re.fullmatch(r"[A-Z1].*\.", one.about)
            used.update(one.labels)
    assert used == set(LABELS)
    assert not used & {"address", "client", "host", "ip", "user", "url", "path", "device", "domain", "name"}


def test_what_matters_begins_at_zero(policy):
    """A first event must not bring its series along: Prometheus would not see it as an increase."""
    metrics = Metrics("proxy")
    metrics.policy_accepted(policy.version, policy.networks)
    value = metrics.registry.get_sample_value
    for one in table().values():
        kind = "background" if one.is_background else "attempt"
        labels = {"technique": one.technique, "kind": kind, "network": "pupils"}
        seen = value("schoolgate_circumvention_attempts_total", labels)
        assert seen == (0 if "proxy" in one.seen_by else None)
    labels = {"point": "proxy", "network": "guests", "verdict": "block", "reason": "locked"}
    assert value("schoolgate_decisions_total", labels) == 0
    labels["point"] = "dns"
    assert value("schoolgate_decisions_total", labels) is None


def test_blocks_are_counted_by_kind_of_site():
    """What is blocked counts by the category of the site; what is in none counts as that."""
    metrics = Metrics("dns")
    attempt = Attempt("127.0.20.5", "x.example", MONDAY, None, Point.DNS)
    made = {"at": MONDAY, "valid_until": None, "host": "x.example", "network": "pupils", "message": "no"}
    metrics.decision(attempt, Decision(Verdict.BLOCK, Reason.RULE, category="video", **made))
    metrics.decision(attempt, Decision(Verdict.ALLOW, Reason.RULE, category="video", **made))
    tally = {("pupils", "allow", "rule", "", "video"): 5, ("pupils", "block", "rule", "", ""): 7}
    metrics.repeated(Point.DNS, tally)
    value = metrics.registry.get_sample_value
    labels = {"point": "dns", "network": "pupils"}
    assert value("schoolgate_blocks_total", {**labels, "category": "video"}) == 1
    assert value("schoolgate_blocks_total", {**labels, "category": "none"}) == 7


def test_the_policys_present_is_read_when_asked_for(policy):
    """Schedules, exceptions, sanctions and the review are told as they are at the moment of the scrape."""
    value = policy_values(policy)
    assert value("schoolgate_schedule_in_force", {"schedule": "lessons"}) == 1
    assert value("schoolgate_schedule_in_force", {"schedule": "lunch"}) == 0
    assert value("schoolgate_policy_rules") == len(policy.rules)
    due = value("schoolgate_policy_review_due_timestamp_seconds")
    assert datetime.fromtimestamp(due, policy.calendar.zone).isoformat() == "2027-09-02T00:00:00+01:00"
    standing = [value("schoolgate_policy_exceptions", {"standing": name}) for name in ("in_force", "to_come")]
    assert sum(standing) == sum(one.ends > MONDAY for one in policy.exceptions)
    sanctions = tuple(Sanction("127.0.20.5", MONDAY + timedelta(hours=n), "why") for n in (-1, 1, 2))
    assert policy_values(policy, sanctions=sanctions)("schoolgate_sanctions_in_force") == 2
    assert policy_values(policy, MONDAY + timedelta(hours=2))(
        "schoolgate_schedule_in_force", {"schedule": "lunch"}
    )


@pytest.mark.parametrize(
    ("since", "now", "days"),
    [
        ("2026-11-23T10:00", "2026-11-24T10:00", 1.0),  # Monday to Tuesday
        ("2026-11-20T15:00", "2026-11-23T00:00", 0.375),  # Friday afternoon, and a weekend
        ("2026-11-20T15:00", "2026-11-23T15:00", 1.0),
        ("2026-12-18T12:00", "2027-01-04T12:00", 1.0),  # over the Christmas holidays
        ("2026-11-26T00:00", "2026-11-28T00:00", 1.0),  # the 27th is an INSET day
        ("2026-11-23T10:00", "2026-11-23T10:00", 0.0),
    ],
)
def test_waiting_counts_on_school_days(policy, since, now, days):
    """How long a request has waited is told in time on school days: weekends and holidays do not count."""
    begun, at = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (since, now))
    assert school_time(policy, begun, at) / timedelta(days=1) == days


def test_the_queue_is_shown(policy):
    """What waits, for how long, and that nothing does."""
    registry, source = CollectorRegistry(), SimpleNamespace(engine=Engine(policy))
    portal = PortalMetrics(registry, source, lambda: MONDAY)
    value = registry.get_sample_value
    assert value("schoolgate_request_oldest_age_seconds") == 0
    assert value("schoolgate_requests_waiting", {"state": "under_review"}) == 0
    assert value("schoolgate_school_day") == 1
    oldest = SimpleNamespace(created_at=MONDAY - timedelta(days=3))
    portal.queue(
        SimpleNamespace(waiting={"under review": 2}, oldest=oldest, with_problems=(1,), letters_waiting=4)
    )
    assert value("schoolgate_request_oldest_age_seconds") == 3 * 86400
    assert value("schoolgate_request_oldest_school_seconds") == 86400
    assert value("schoolgate_requests_waiting", {"state": "under_review"}) == 2
    assert value("schoolgate_requests_unwritten") == 1
    assert value("schoolgate_outbox_letters") == 4
    portal.job("mail", "failed")
    assert value("schoolgate_portal_jobs_total", {"task": "mail", "result": "done"}) == 0
    assert value("schoolgate_portal_job_success_timestamp_seconds", {"task": "mail"}) is None
    portal.job("mail", "done")
    assert value("schoolgate_portal_job_success_timestamp_seconds", {"task": "mail"}) == pytest.approx(
        time.time(), abs=60
    )


def test_upstreams_are_numbered_not_named():
    """Which upstream works is told by its number in the settings: an address is nobody's label."""
    registry = CollectorRegistry()
    metrics = UpstreamMetrics(registry)
    assert "schoolgate_dns_upstream_working{" not in generate_latest(registry).decode()
    metrics.watch(lambda: [True, False])
    assert registry.get_sample_value("schoolgate_dns_upstream_working", {"upstream": "1"}) == 1
    assert registry.get_sample_value("schoolgate_dns_upstream_working", {"upstream": "2"}) == 0


def test_the_machine_is_watched(tmp_path):
    """Room where the state is, and the time; a clock's error where the kernel tells it."""
    registry = CollectorRegistry()
    box_metrics(registry, tmp_path)
    value = registry.get_sample_value
    assert 0 < value("schoolgate_state_free_bytes") <= value("schoolgate_state_size_bytes")
    assert value("schoolgate_time_seconds") == pytest.approx(time.time(), abs=60)
    assert value("schoolgate_clock_synchronised") in {0, 1, None}
    assert (value("schoolgate_clock_error_seconds") is None) == (
        value("schoolgate_clock_synchronised") is None
    )


@pytest.mark.parametrize(("state", "shown"), [(5, (0, 0.25)), (0, (1, 0.25)), (-1, (None, None))])
def test_the_kernels_word_on_the_clock_is_read_right(tmp_path, monkeypatch, state, shown):
    """The state is what adjtimex returns, the largest error its fourth long, in microseconds; no answer: nothing."""

    def adjtimex(timex):
        timex[3] = 250_000
        return state

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(adjtimex=adjtimex))
    registry = CollectorRegistry()
    box_metrics(registry, tmp_path)
    value = registry.get_sample_value
    assert (value("schoolgate_clock_synchronised"), value("schoolgate_clock_error_seconds")) == shown


def test_certificates_tell_when_they_expire(tmp_path):
    """The metric follows the file; one that is not there is missing, a broken one is missing and said."""
    import trustme

    registry, path = CollectorRegistry(), tmp_path / "ca.pem"
    certificate_metrics(registry, {"authority": path, "intermediate": tmp_path / "none.pem"})
    name, labels = "schoolgate_certificate_expiry_timestamp_seconds", {"certificate": "authority"}
    assert registry.get_sample_value(name, labels) is None
    path.write_bytes(trustme.CA().cert_pem.bytes())
    assert registry.get_sample_value(name, labels) > time.time()
    assert registry.get_sample_value(name, {"certificate": "intermediate"}) is None
    path.write_bytes(b"nonsense")
    os.utime(path, (1, 1))
    with capture_logs() as logs:
        assert registry.get_sample_value(name, labels) is None
    assert logs[0]["event"] == "metrics.not_read"


def test_one_that_cannot_be_read_costs_no_other():
    """A metric that fails is missing from the scrape, said once each time, and all the others are there."""

    def fails():
        raise OSError("gone")

    registry = CollectorRegistry()
    LiveMetrics(registry, [Live("schoolgate_a", "A.", fails), Live("schoolgate_b", "B.", lambda: [((), 2)])])
    with capture_logs() as logs:
        text = generate_latest(registry).decode()
    assert "schoolgate_b 2.0" in text
    assert "\nschoolgate_a " not in text
    assert [(one["metric"], one["error"]) for one in logs] == [("schoolgate_a", "OSError")]


def test_the_sinkholes_series_are_all_there_from_the_start():
    """Every transport, limit and outcome begins at 0."""
    registry = CollectorRegistry()
    DnsMetrics(registry)
    assert (
        registry.get_sample_value("schoolgate_dns_queries_total", {"transport": "tcp", "rcode": "NXDOMAIN"})
        == 0
    )
    assert registry.get_sample_value("schoolgate_dns_limited_queries_total", {"limit": "tunnel"}) == 0
