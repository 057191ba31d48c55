"""Recording: counted by closed labels, never raising, never naming anybody."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from schoolgate.metrics import Metrics
from schoolgate.metrics_dns import DnsMetrics
from schoolgate.metrics_portal import PortalMetrics
from schoolgate.metrics_proxy import ProxyMetrics
from schoolgate.policy_events import PolicyEvents
from schoolgate.record import MetricsRecorder
from schoolgate_dns.ports import CacheOutcome, Transport, UpstreamOutcome
from schoolgate_policy.decision import Attempt, Decision, Point, Reason, Verdict
from schoolgate_policy.errors import PolicyIssue
from schoolgate_proxy.handling import Handling

AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
ATTEMPT = Attempt("127.0.20.5", "www.instagram.com", AT, None, Point.DNS)
DECISION = Decision(
    Verdict.BLOCK, Reason.RULE, "no", AT, None, "www.instagram.com", "pupils", source="policy.yaml:1"
)


@pytest.fixture
def metrics():
    return Metrics("test")


def test_a_decision_is_counted_by_closed_labels(metrics):
    """A decision counts by point, network, verdict and reason, and by nothing else."""
    MetricsRecorder(metrics).decision(ATTEMPT, DECISION)
    labels = {"point": "dns", "network": "pupils", "verdict": "block", "reason": "rule"}
    assert metrics.registry.get_sample_value("schoolgate_decisions_total", labels) == 1


def test_only_debug_names_people(metrics):
    """The access line is at debug; everything above it has neither address nor host."""
    recorder = MetricsRecorder(metrics)
    with capture_logs() as logs:
        recorder.decision(ATTEMPT, DECISION)
        recorder.technique("doh", "pupils", "127.0.20.5", "dns.google")
        recorder.fault("proxy", ValueError("www.instagram.com from 127.0.20.5"))
    loud = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [entry["event"] for entry in loud] == ["proxy.failed"]
    assert "127.0.20.5" not in str(loud)
    assert "instagram" not in str(loud)
    assert any(entry.get("host") == "www.instagram.com" for entry in logs)


def test_techniques_and_areas_are_closed_sets(metrics):
    """What is not in the set counts as `other`, so that no label can be made up from outside."""
    recorder = MetricsRecorder(metrics)
    recorder.technique("doh", "pupils", "a", "b")
    recorder.technique("evil.example", "pupils", "a", "b")
    recorder.fault("dns", ValueError())
    recorder.fault("evil.example", ValueError())
    value = metrics.registry.get_sample_value
    assert (
        value(
            "schoolgate_circumvention_attempts_total",
            {"technique": "doh", "kind": "attempt", "network": "pupils"},
        )
        == 1
    )
    assert (
        value(
            "schoolgate_circumvention_attempts_total",
            {"technique": "other", "kind": "attempt", "network": "pupils"},
        )
        == 1
    )
    assert value("schoolgate_faults_total", {"area": "dns"}) == 1
    assert value("schoolgate_faults_total", {"area": "other"}) == 1


def test_a_recorder_never_raises(metrics):
    """Even a decision that is none is counted as a fault of recording, and nothing is raised."""
    recorder = MetricsRecorder(metrics)
    recorder.decision(None, None)
    recorder.technique([], None, None, None)
    assert metrics.registry.get_sample_value("schoolgate_faults_total", {"area": "record"}) == 2
    recorder.fault(None, None)


def test_the_policys_fate_is_visible(metrics):
    """A loaded policy shows its version; a refused file shows that the policy in force is not what the file says."""
    from running import ROOT

    from schoolgate_policy.load import load_policy

    events, value = PolicyEvents(metrics), metrics.registry.get_sample_value
    policy = load_policy(ROOT / "policy.yaml")
    events.policy_loaded(policy, ())
    assert value("schoolgate_policy_info", {"version": policy.version}) == 1
    assert value("schoolgate_policy_current") == 1
    assert value("schoolgate_policy_loaded_timestamp_seconds") > 1e9
    with capture_logs() as logs:
        events.policy_rejected((PolicyIssue("policy.yaml", 3, 5, "rules", "is wrong"),), kept=policy.version)
    assert logs[0]["issues"] == ["policy.yaml:3:5: rules: is wrong"]
    assert value("schoolgate_policy_current") == 0
    assert value("schoolgate_policy_reloads_total", {"result": "rejected"}) == 1


def test_the_parts_counters(metrics):
    """What DNS, proxy and portal count ends in metrics of their own."""
    dns, proxy = DnsMetrics(metrics.registry), ProxyMetrics(metrics.registry)
    portal = PortalMetrics(metrics.registry, None, lambda: AT)
    dns.query(Transport.UDP, "NOERROR")
    dns.dropped(Transport.TCP)
    dns.cache(CacheOutcome.STALE)
    dns.upstream(UpstreamOutcome.TIMEOUT, 1.5)
    dns.forged()
    proxy.connection_opened("explicit")
    proxy.connection_opened("explicit")
    proxy.connection_closed("explicit")
    proxy.connection_handled("pupils", Handling.INSPECT)
    proxy.request_answered("pupils", 403)
    proxy.upstream_failed("name")
    portal.page("home", 200)
    value = metrics.registry.get_sample_value
    assert value("schoolgate_dns_queries_total", {"transport": "udp", "rcode": "NOERROR"}) == 1
    assert value("schoolgate_dns_dropped_messages_total", {"transport": "tcp"}) == 1
    assert value("schoolgate_dns_cache_lookups_total", {"outcome": "stale"}) == 1
    assert value("schoolgate_dns_upstream_exchanges_total", {"outcome": "timeout"}) == 1
    assert value("schoolgate_dns_upstream_duration_seconds_sum") == 1.5
    assert value("schoolgate_dns_forged_answers_total") == 1
    assert value("schoolgate_proxy_open_connections", {"listener": "explicit"}) == 1
    assert value("schoolgate_proxy_tls_connections_total", {"network": "pupils", "handling": "inspect"}) == 1
    assert value("schoolgate_proxy_answers_total", {"network": "pupils", "status": "403"}) == 1
    assert value("schoolgate_proxy_upstream_failures_total", {"problem": "name"}) == 1
    assert value("schoolgate_portal_pages_total", {"page": "home", "status": "200"}) == 1


def test_what_our_own_probe_tries_is_nobodys(metrics):
    """From the probe's address nothing counts as a verdict or an attempt, only as the probe's; others' count on."""
    recorder = MetricsRecorder(metrics)
    recorder.own = frozenset({"127.0.20.254"})
    probe = Attempt("127.0.20.254", "www.instagram.com", AT, None, Point.DNS)
    recorder.decision(probe, DECISION)
    recorder.repeated(Point.DNS, [("127.0.20.254", DECISION, 5), ("127.0.20.5", DECISION, 2)])
    recorder.technique("doh", "pupils", "127.0.20.254", "dns.google")
    value = metrics.registry.get_sample_value
    labels = {"point": "dns", "network": "pupils", "verdict": "block", "reason": "rule"}
    assert value("schoolgate_decisions_total", labels) == 2
    assert value("schoolgate_probe_sightings_total") == 1
    attempts = {"technique": "doh", "kind": "attempt", "network": "pupils"}
    assert not value("schoolgate_circumvention_attempts_total", attempts)
