"""The metrics of probes: what the newest run of each network found, zero where there never was one."""

import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from running import ROOT

from schoolgate.metrics_probe import ProbeMetrics
from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.probe_record import Finding, Group, Kind, ProbeRun, Result, outcome_of, pieces
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

AT = datetime(2026, 11, 23, 2, 15, tzinfo=UTC)


@pytest.fixture
def rig(tmp_path):
    """The service on a fresh database, and the metrics that look at it."""
    file = tmp_path / "policy.yaml"
    shutil.copy(ROOT / "policy.yaml", file)
    source = SimpleNamespace(engine=Engine(load_policy(file)))
    service = open_service(Settings(state=tmp_path / "state"), file, source, lambda: AT + timedelta(hours=1))
    registry = CollectorRegistry()
    yield SimpleNamespace(
        service=service, metrics=ProbeMetrics(registry, source), value=registry.get_sample_value
    )
    service.close()


def keep(rig, number: int, *groups: Group) -> None:
    at = AT + timedelta(minutes=number)
    run = ProbeRun(f"{number:032x}", at, at, "timer", "box", "box", "v", groups, outcome_of(groups))
    rig.service.log.take(list(pieces(run)))
    rig.service.log.flush()
    rig.metrics.look(rig.service.probes)


def checks(rig, network: str) -> dict[str, float]:
    return {
        result: rig.value("schoolgate_probe_checks", {"network": network, "result": result})
        for result in Result
    }


def test_without_a_probe_all_is_zero(rig):
    """The series are there from the start, for every network of the policy."""
    rig.metrics.look(rig.service.probes)
    assert rig.value("schoolgate_probe_run_timestamp_seconds") == 0
    assert rig.value("schoolgate_probe_failed") == 0
    assert set(checks(rig, "guests").values()) == {0}


def test_a_failed_probe_shows_until_the_next_is_green(rig):
    """Counts by network and result; a network that was not reached keeps what was last found of it."""
    good = Group("pupils", Kind.OPEN, "dns", ("a.example", "b.example"))
    bad = Group("staff", Kind.OPEN, "dns", ("a.example",), (Finding("b.example", Result.BROKEN),))
    away = Group("staff", Kind.CANARY, "dns", (), (Finding("everything", Result.UNREACHED),))
    keep(rig, 1, good, bad)
    assert rig.value("schoolgate_probe_failed") == 1
    assert checks(rig, "staff") == {"kept": 1, "broken": 1, "unknown": 0, "unreached": 0}
    keep(rig, 2, good, away)
    assert rig.value("schoolgate_probe_failed") == 0
    assert checks(rig, "staff")["broken"] == 1
    seen = rig.value("schoolgate_probe_network_timestamp_seconds", {"network": "staff"})
    assert seen == (AT + timedelta(minutes=1)).timestamp()
    assert rig.value("schoolgate_probe_run_timestamp_seconds") == (AT + timedelta(minutes=2)).timestamp()
